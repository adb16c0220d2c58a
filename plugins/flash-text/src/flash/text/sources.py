"""Tables from datasets of the library ``datasets``, and from other rows of dicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flash.data.auto_dataset import is_indexed
from flash.data.inputs import names_of
from flash.data.row_streams import RowStream, StreamInputs
from flash.data.tables import Table
from flash.errors import DataError, MissingColumnError

__all__ = ["class_names", "stream_inputs", "table_of_dataset"]


def table_of_dataset(dataset: Iterable[Mapping[str, Any]], fields: Sequence[str], name: str) -> Table:
    """Return columns of a dataset of the library ``datasets``, streaming or not, or of any rows of dicts.

    A stream is read once, completely.

    Args:
        dataset: The dataset.
        fields: The columns to read.
        name: The name of the dataset in messages, such as ``"the train data"``.

    Raises:
        MissingColumnError: If there is no such column.
        DataError: If it is a dict of datasets, has no rows, or rows that are no dicts.

    Example:
        >>> table_of_dataset([{"text": "good", "label": 1}], ["text"], "the train data")["text"]
        ['good']
    """
    if isinstance(dataset, Mapping):
        raise DataError(
            f"Expected one dataset as {name}, but got several: {', '.join(map(repr, dataset))}. Pass one of them: "
            f"dataset[{next(iter(dataset), 'train')!r}]."
        )
    known = getattr(dataset, "column_names", None)
    if isinstance(known, list) and is_indexed(dataset):
        _check_known(fields, known, name)
        table: Any = dataset
        columns = {field: list(table[field]) for field in fields}
    else:
        columns = _columns_of(dataset, fields, name)
    if not columns[fields[0]]:
        raise DataError(f"Expected at least one row in {name}, but there is none.")
    return Table(columns, name)


def stream_inputs(
    dataset: Any,
    input_field: str | Sequence[str],
    target_fields: str | Sequence[str] | None,
    name: str,
    delimiter: str | None,
) -> StreamInputs:
    """Return the texts of a stream, which are read anew in each epoch, with their targets.

    Args:
        dataset: A streaming dataset of the library ``datasets``, or an ``IterableDataset`` of torch, of dicts.
        input_field: The column of texts, or the two columns of pairs.
        target_fields: The column of targets, or a list of columns of numbers; ``None`` for prediction.
        name: The name of the dataset in messages.
        delimiter: The separator between the classes of a sample, if they are written as one text.

    Raises:
        MissingColumnError: If the first row lacks a column.
        DataError: If there are no rows.
    """
    fields = [*names_of(input_field), *names_of(target_fields)]
    known = getattr(dataset, "column_names", None)
    if known is not None:
        _check_known(fields, known, name)
    several = target_fields is not None and not isinstance(target_fields, str)
    names = names_of(target_fields) if several else class_names(dataset, target_fields)
    feature = (getattr(dataset, "features", None) or {}).get(target_fields) if isinstance(target_fields, str) else None
    return StreamInputs(
        RowStream(dataset, fields, name),
        input_field,
        target_fields,
        names=names,
        delimiter=delimiter,
        are_indices=getattr(feature, "names", None) is not None,
        name=name,
    )


def _columns_of(rows: Iterable[Mapping[str, Any]], fields: Sequence[str], name: str) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {field: [] for field in fields}
    for row in rows:
        if not isinstance(row, Mapping):
            raise DataError(f"Expected rows that are dicts in {name}, but got a {type(row).__name__}.")
        _check_known(fields, row, name)
        for field, values in columns.items():
            values.append(row[field])
    return columns


def _check_known(fields: Sequence[str], known: Iterable[str], name: str) -> None:
    known = list(known)
    for field in fields:
        if field not in known:
            raise MissingColumnError(
                f"Expected a column {field!r} in {name}, but it has {', '.join(map(repr, known))}."
            )


def class_names(dataset: Any, target_fields: str | Sequence[str] | None) -> list[str] | None:
    """Return the class names of a ``ClassLabel`` column, or ``None`` if it is of another type."""
    features = getattr(dataset, "features", None)
    if not isinstance(target_fields, str) or not isinstance(features, Mapping):
        return None
    feature = features.get(target_fields)
    feature = getattr(feature, "feature", feature)
    names = getattr(feature, "names", None)
    return list(names) if isinstance(names, list | tuple) else None

"""Texts and targets from what users have: tables, lists, and datasets of the library ``datasets``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from flash.data.tables import Table, is_missing, read_table, whole_numbers
from flash.errors import ConfigurationError, DataError, MissingColumnError

from .rows import TextInputs
from .texts import PackedTexts, texts_of

__all__ = ["from_dataset", "from_lists", "from_table"]

Fields = str | Sequence[str] | None


def from_table(table: Any, input_field: str, target_fields: Fields, delimiter: str | None, stage: str) -> TextInputs:
    """Return the texts and targets of a table.

    Args:
        table: A table, or a data frame of any library.
        input_field: The column of texts.
        target_fields: The column of classes, or of lists of classes; a list of columns of zeros and ones; ``None``
            where there are no targets.
        delimiter: What stands between the classes of a text, where they are written as one string.
        stage: What the texts are for.

    Raises:
        MissingColumnError: If there is no such column.
        DataError: If a text is missing.

    Example:
        >>> table = {"text": ["good", "so so"], "tags": ["new,loud", ""]}
        >>> from_table(table, "text", "tags", ",", "train").targets
        [['new', 'loud'], []]
    """
    source = f"the {stage} data"
    table = table if isinstance(table, Table) else read_table(table, name=source)
    columns = {input_field: table[input_field]}
    for name in _names(target_fields):
        columns[name] = whole_numbers(table[name]) if table.is_text else table[name]
    if stage == "train" and table.is_text and delimiter is not None and isinstance(target_fields, str):
        _check_delimiter(columns[target_fields], target_fields, delimiter)
    return _from_columns(columns, input_field, target_fields, delimiter, source)


def _check_delimiter(values: Sequence[Any], field: str, delimiter: str) -> None:
    """Refuse a delimiter that separates columns, as it does in other libraries, and no classes."""
    if not any(delimiter in str(value) for value in values):
        raise ConfigurationError(
            f"Expected classes that are separated by delimiter={delimiter!r} in column {field!r} of the train data, "
            f"but no text has several. Leave delimiter out if each text has one class; if {delimiter!r} separates the "
            f"columns, pass sep={delimiter!r}."
        )


def from_dataset(
    dataset: Iterable[Mapping[str, Any]], input_field: str, target_fields: Fields, delimiter: str | None, stage: str
) -> TextInputs:
    """Take texts and targets from a dataset of the library ``datasets``, streaming or not, or of any rows.

    Rows of a stream are read once and kept compactly. The arguments are those of :func:`from_table`.
    """
    source = f"the {stage} data"
    if isinstance(dataset, Mapping):
        raise DataError(
            f"Expected one dataset as {source}, but got several: {', '.join(map(repr, dataset))}. Pass one of them: "
            f"dataset[{next(iter(dataset), 'train')!r}]."
        )
    fields = [input_field, *_names(target_fields)]
    if isinstance(getattr(dataset, "column_names", None), list) and hasattr(dataset, "__getitem__"):
        table: Any = dataset
        known = {name: table[name] for name in dataset.column_names if name in fields}  # type: ignore[attr-defined]  # asked above
        _check_known(fields, dataset.column_names, source)  # type: ignore[attr-defined]  # as above
        columns = {name: list(values) for name, values in known.items()}
    else:
        columns = _from_rows(dataset, fields, source)
    if not columns[input_field]:
        raise DataError(f"Expected at least one row in {source}, but there is none.")
    names = _class_names(dataset, target_fields)
    return _from_columns(columns, input_field, target_fields, delimiter, source, names)


def from_lists(texts: Any, targets: Any, stage: str) -> TextInputs | None:
    """Take texts and targets from sequences, arrays or series of equal length.

    Example:
        >>> from_lists(["good", "bad"], [1, 0], "train").targets
        [1, 0]
    """
    if texts is None:
        if targets is not None:
            raise DataError(f"Expected {stage}_data together with {stage}_targets, but got targets without data.")
        return None
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise DataError(
            f"Expected a list of texts as {stage}_data, but got a {type(texts).__name__}. For a single text, pass "
            "[text]."
        )
    values = targets if targets is None or (hasattr(targets, "shape") and not hasattr(targets, "index")) else [*targets]
    return TextInputs(PackedTexts(texts_of(texts, f"the {stage} data")), values)


def _from_columns(
    columns: Mapping[str, list[Any]],
    input_field: str,
    target_fields: Fields,
    delimiter: str | None,
    source: str,
    names: Sequence[str] | None = None,
) -> TextInputs:
    texts = PackedTexts(texts_of(columns[input_field], source))
    if target_fields is None:
        return TextInputs(texts)
    if not isinstance(target_fields, str):
        if delimiter is not None:
            raise ConfigurationError(
                f"Expected one column of targets with the delimiter {delimiter!r}, but target_fields names "
                f"{len(target_fields)}. Leave one of them out."
            )
        indicators = np.array([columns[name] for name in target_fields], dtype=object).T
        return TextInputs(texts, indicators, list(target_fields))
    return TextInputs(texts, [_target(value, delimiter) for value in columns[target_fields]], names)


def _target(value: Any, delimiter: str | None) -> Any:
    if isinstance(value, np.ndarray | tuple):
        return list(value)
    if delimiter is None or not isinstance(value, str):
        # An empty cell with a delimiter has no class.
        return [] if delimiter is not None and is_missing(value) else value
    return [part.strip() for part in value.split(delimiter) if part.strip()]


def _from_rows(rows: Iterable[Mapping[str, Any]], fields: Sequence[str], source: str) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in fields}
    for row in rows:
        if not isinstance(row, Mapping):
            raise DataError(f"Expected rows that are dicts in {source}, but got a {type(row).__name__}.")
        _check_known(fields, row, source)
        for name, values in columns.items():
            values.append(row[name])
    return columns


def _check_known(fields: Sequence[str], known: Iterable[str], source: str) -> None:
    known = list(known)
    for name in fields:
        if name not in known:
            raise MissingColumnError(
                f"Expected a column {name!r} in {source}, but it has {', '.join(map(repr, known))}."
            )


def _class_names(dataset: Any, target_fields: Fields) -> list[str] | None:
    """The names of the classes, where the dataset has their numbers."""
    features = getattr(dataset, "features", None)
    if not isinstance(target_fields, str) or not isinstance(features, Mapping):
        return None
    feature = features.get(target_fields)
    feature = getattr(feature, "feature", feature)
    names = getattr(feature, "names", None)
    return list(names) if isinstance(names, list | tuple) else None


def _names(fields: Fields) -> list[str]:
    return [] if fields is None else [fields] if isinstance(fields, str) else list(fields)

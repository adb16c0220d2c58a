"""Predictions in files: the columns of their rows, and writers of CSV, JSON Lines and Parquet.

Rows are written in blocks; a file is complete, or the old one.
"""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import repeat
from pathlib import Path
from typing import IO, Any, TypeAlias

from flash.core.outputs import PLAIN_TYPES, plain
from flash.errors import ConfigurationError
from flash.serialization import writing

__all__ = ["FORMATS", "Write", "check_format", "prediction_columns", "row_writer"]

#: Takes the names of the columns, the same each time, and the columns of a block of rows.
Write: TypeAlias = Callable[[Sequence[str], Sequence[Sequence[Any]]], None]


def prediction_columns(
    ids: Sequence[Any],
    results: Sequence[Any],
    names: tuple[str, str] = ("id", "prediction"),
    labels: Sequence[str] | None = None,
) -> tuple[list[str], list[Sequence[Any]]]:
    """Return the columns of a block of predictions: ids, and results; a number for each class has a column of its own.

    Args:
        ids: The id of each row.
        results: The result of each row, at least one, as ``task.predict_blocks`` yields them.
        names: The names of the column of ids and of that of predictions.
        labels: The classes, ``task.output_names``.

    Returns:
        The names of the columns, and their values as JSON can hold them.

    Example:
        >>> prediction_columns([7, 8], ["no", "yes"])
        (['id', 'prediction'], [[7, 8], ['no', 'yes']])
        >>> prediction_columns([7, 8], [[0.5, 0.5], [0.75, 0.25]], labels=["no", "yes"])
        (['id', 'prediction_no', 'prediction_yes'], [[7, 8], [0.5, 0.75], [0.5, 0.25]])
    """
    id_name, name = names
    values = _all_plain(results)
    classes = _classes_of(values[0], labels)
    if classes is None:
        return [id_name, name], [_all_plain(ids), values]
    columns = [list(column) for column in zip(*values, strict=True)]
    return [id_name, *(f"{name}_{label}" for label in classes)], [_all_plain(ids), *columns]


def _classes_of(value: Any, labels: Sequence[str] | None) -> Sequence[str] | None:
    """Return the classes that a prediction has a number for each of, such as probabilities; ``None`` for another."""
    is_numbers = isinstance(value, list) and value and all(isinstance(each, float) for each in value)
    return labels if is_numbers and labels is not None and len(labels) == len(value) else None


def _all_plain(values: Sequence[Any]) -> Sequence[Any]:
    """Return values as JSON can hold them, without a call per value where they are plain already."""
    return values if PLAIN_TYPES.issuperset(map(type, values)) else list(map(plain, values))


def check_format(path: Path, argument: str = "-o") -> None:
    """Check that the suffix of a path is that of a format.

    Args:
        path: The path.
        argument: Where the user chose it, for the message.

    Raises:
        ConfigurationError: If it is not.
    """
    if path.suffix not in FORMATS:
        raise ConfigurationError(f"Expected {argument} to end in {', '.join(FORMATS)}, but got {path}.")


def row_writer(path: Path, argument: str = "-o") -> AbstractContextManager[Write]:
    """Open a file of the format that its suffix says.

    Args:
        path: The file; its folder is created.
        argument: Where the user chose it, for messages.

    Returns:
        A context manager whose value is called with the names of the columns and the columns of a block of rows.

    Raises:
        CheckpointError: If the file cannot be written; an older file of that name is untouched.
        ConfigurationError: If it is one of Parquet, and pyarrow is not installed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "out.csv"
        ...     with row_writer(path) as write:
        ...         write(["id", "prediction"], [[7, 8], ["no", "yes"]])
        ...     path.read_text().split()
        ['id,prediction', '7,no', '8,yes']
    """
    return _WRITERS[path.suffix](path, argument)


@contextmanager
def _csv(path: Path, argument: str) -> Iterator[Write]:
    with writing(path, "w", folder_argument=argument, encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        begun = False

        def write(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> None:
            nonlocal begun
            if not begun:
                writer.writerow(names)
                begun = True
            writer.writerows(zip(*map(_cells, columns), strict=True))

        yield write


def _cells(column: Sequence[Any]) -> Iterable[Any]:
    """Return the values of a column, with lists and dicts as JSON."""
    if {list, dict}.isdisjoint(map(type, column)):
        return column
    return [json.dumps(value, ensure_ascii=False) if type(value) in (list, dict) else value for value in column]


@contextmanager
def _jsonl(path: Path, argument: str) -> Iterator[Write]:
    with writing(path, "w", folder_argument=argument, encoding="utf-8") as file:
        encode = json.JSONEncoder(ensure_ascii=False).encode

        def write(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> None:
            # Column by column: a step of Python per row would take longer than the encoding.
            starts = [f"{', ' if place else '{'}{encode(name)}: " for place, name in enumerate(names)]
            encoded = [_encoded(column, encode) for column in columns]
            parts = [each for start, values in zip(starts, encoded, strict=True) for each in (repeat(start), values)]
            file.writelines(map("".join, zip(*parts, repeat("}\n"))))  # what is repeated has no end

        yield write


def _encoded(column: Sequence[Any], encode: Callable[[Any], str]) -> Iterable[str]:
    """Return the JSON of each value, of equal texts once."""
    kinds = set(map(type, column))
    if kinds == {int}:
        return map(str, column)
    if kinds == {str}:
        known = {text: encode(text) for text in set(column)}
        return map(known.__getitem__, column)
    return map(encode, column)


@contextmanager
def _parquet(path: Path, argument: str) -> Iterator[Write]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ConfigurationError(
            'Expected pyarrow, which writes Parquet files, but it is not installed: pip install "flash-core[parquet]".'
        ) from error
    with writing(path, folder_argument=argument) as file:
        writer: Any = None

        def write(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> None:
            nonlocal writer
            table = pa.table(dict(zip(names, map(_array, columns), strict=True)))
            if writer is None:
                writer = pq.ParquetWriter(file, table.schema)
            elif table.schema != writer.schema:
                schema = _common_schema(writer.schema, table.schema)
                writer = writer if schema == writer.schema else _with_schema(writer, file, schema)
                table = _cast(table, schema)
            writer.write_table(table)

        try:
            yield write
        finally:  # Also after a failure: it would be closed when the file is no longer open.
            if writer is not None:
                writer.close()


def _array(values: Sequence[Any]) -> Any:
    """Return values of one type as they are, and values of several as text."""
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array(_texts(values))


def _texts(values: Sequence[Any]) -> list[str | None]:
    """Return texts as they are, and other values as JSON."""
    return [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]


def _common_schema(one: Any, other: Any) -> Any:
    """Return the schema of columns that hold the values of two blocks: the wider type, or text."""
    import pyarrow as pa

    def common(first: Any, second: Any) -> Any:
        try:
            return pa.unify_schemas([pa.schema([first]), pa.schema([second])], promote_options="permissive").field(0)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            return pa.field(first.name, pa.string())

    return pa.schema([common(first, second) for first, second in zip(one, other, strict=True)])


def _with_schema(writer: Any, file: IO[bytes], schema: Any) -> Any:
    """Return a writer of a file with the rows that a writer has written, in the columns of another schema.

    A later block has a wider type, such as text after numbers. The rows go through a copy on the disk, not the memory.
    """
    import pyarrow.parquet as pq

    writer.close()
    file.flush()
    with tempfile.TemporaryFile() as copy:
        with Path(file.name).open("rb") as written:
            shutil.copyfileobj(written, copy)
        copy.seek(0)
        file.seek(0)
        file.truncate()
        wider = pq.ParquetWriter(file, schema)
        for batch in pq.ParquetFile(copy).iter_batches():
            wider.write_batch(_cast(batch, schema))
    return wider


def _cast(table: Any, schema: Any) -> Any:
    """Return a table, or a batch of one, with the types of a schema; what has no text of its own is JSON."""
    import pyarrow as pa

    def column(values: Any, kind: Any) -> Any:
        if kind != pa.string() or values.type == kind:
            return values.cast(kind)
        return pa.array(_texts(values.to_pylist()), kind)

    return type(table).from_arrays(
        [column(values, each.type) for values, each in zip(table.columns, schema, strict=True)], schema=schema
    )


_WRITERS: dict[str, Callable[[Path, str], AbstractContextManager[Write]]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
#: The suffixes of the formats.
FORMATS = tuple(_WRITERS)

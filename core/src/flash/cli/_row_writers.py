"""Write rows to a file of CSV, JSON Lines or Parquet, in blocks; the file is complete, or the old one."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import repeat
from pathlib import Path
from typing import IO, Any

from flash.errors import ConfigurationError
from flash.serialization import writing

__all__ = ["check_format", "row_writer"]

# Takes the names of the columns, the same each time, and the columns of a block of rows.
Write = Callable[[Sequence[str], Sequence[Sequence[Any]]], None]


def check_format(path: Path) -> None:
    """Check that the suffix of a path is that of a format.

    Raises:
        ConfigurationError: If it is not.
    """
    if path.suffix not in _WRITERS:
        raise ConfigurationError(f"Expected -o to end in {', '.join(_WRITERS)}, but got {path}.")


def row_writer(path: Path) -> AbstractContextManager[Write]:
    """Open a file of the format that its suffix says.

    Returns:
        A context manager whose value is called with the names of the columns and the columns of a block of rows.

    Raises:
        CheckpointError: If the file cannot be written; an older file of that name is untouched.
    """
    return _WRITERS[path.suffix](path)


@contextmanager
def _csv(path: Path) -> Iterator[Write]:
    with writing(path, "w", folder_argument="-o", encoding="utf-8") as file:
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
def _jsonl(path: Path) -> Iterator[Write]:
    with writing(path, "w", folder_argument="-o", encoding="utf-8") as file:
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
def _parquet(path: Path) -> Iterator[Write]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ConfigurationError(
            'Expected pyarrow, which writes Parquet files, but it is not installed: pip install "flash-core[parquet]".'
        ) from error
    with writing(path, folder_argument="-o") as file:
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


_WRITERS: dict[str, Callable[[Path], AbstractContextManager[Write]]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}

"""Write rows to a file of CSV, JSON Lines or Parquet, in blocks; the file is complete, or the old one."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from flash.errors import ConfigurationError
from flash.serialization import writing

__all__ = ["check_format", "row_writer"]

# Takes the names of the columns, the same each time, and a block of rows.
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
        A context manager whose value is called with the names of the columns and a block of rows.

    Raises:
        CheckpointError: If the file cannot be written; an older file of that name is untouched.
    """
    return _WRITERS[path.suffix](path)


@contextmanager
def _csv(path: Path) -> Iterator[Write]:
    with writing(path, "w", folder_argument="-o", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        begun = False

        def write(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
            nonlocal begun
            if not begun:
                writer.writerow(names)
                begun = True
            kinds = {type(value) for row in rows for value in row}
            is_plain = not kinds & {list, dict}
            writer.writerows(rows if is_plain else [[_cell(value) for value in row] for row in rows])

        yield write


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if type(value) in (list, dict) else value


@contextmanager
def _jsonl(path: Path) -> Iterator[Write]:
    with writing(path, "w", folder_argument="-o", encoding="utf-8") as file:
        encode = json.JSONEncoder(ensure_ascii=False).encode

        def write(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
            # A line is filled with the values of its row, which are encoded column by column.
            keys = (encode(name).replace("%", "%%") for name in names)
            line = f"{{{', '.join(f'{key}: %s' for key in keys)}}}\n"
            columns = [_encoded(column, encode) for column in zip(*rows, strict=True)]
            file.writelines([line % row for row in zip(*columns, strict=True)])

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

        def write(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
            nonlocal writer
            columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
            table = pa.table(columns, schema=None if writer is None else writer.schema)
            writer = pq.ParquetWriter(file, table.schema) if writer is None else writer
            writer.write_table(table)

        try:
            yield write
        finally:  # Also after a failure: it would be closed when the file is no longer open.
            if writer is not None:
                writer.close()


_WRITERS: dict[str, Callable[[Path], AbstractContextManager[Write]]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}

"""Formats of files with rows that are written in blocks: CSV, JSON Lines and Parquet."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import repeat
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

from flash.errors import ConfigurationError

__all__ = ["FORMATS", "Block", "RowFormat", "row_format"]

#: Rows as a format keeps them: text that is encoded, or a table of Arrow.
Block: TypeAlias = Any


class RowFormat(ABC):
    """A format of rows: how blocks of them are made, written to a file, and read from a part of one.

    Parts are files with some of the rows; a whole file is written of the blocks of its parts.
    """

    @abstractmethod
    def block(self, names: Sequence[str], columns: Sequence[Sequence[Any]]) -> Block:
        """Return rows as this format keeps them.

        Args:
            names: The names of the columns.
            columns: The values of each column, as JSON can hold them.
        """

    @abstractmethod
    def size(self, block: Block) -> int:
        """Return the number of bytes that a block takes in memory."""

    @abstractmethod
    def writer(self, file: IO[bytes], names: Sequence[str]) -> AbstractContextManager[Callable[[Block], Any]]:
        """Return a context manager whose value writes a block to a whole file.

        Args:
            file: The open file.
            names: The names of the columns.
        """

    @abstractmethod
    def save_part(self, file: IO[bytes], blocks: Sequence[Block]) -> list[int]:
        """Write blocks to a part, and return the size of each, which :meth:`load_part` needs."""

    @abstractmethod
    def load_part(self, path: Path, sizes: Sequence[int]) -> Iterator[Block]:
        """Yield the blocks of a part."""


class _Text(RowFormat):
    """A format of encoded text."""

    def head(self, names: Sequence[str]) -> Block:
        """Return what a file begins with."""
        return b""

    def size(self, block: Block) -> int:
        return len(block)

    @contextmanager
    def writer(self, file: IO[bytes], names: Sequence[str]) -> Iterator[Callable[[Block], Any]]:
        file.write(self.head(names))
        yield file.write

    def save_part(self, file: IO[bytes], blocks: Sequence[Block]) -> list[int]:
        file.writelines(blocks)
        return [len(block) for block in blocks]

    def load_part(self, path: Path, sizes: Sequence[int]) -> Iterator[Block]:
        with path.open("rb") as file:
            for size in sizes:
                yield file.read(size)


class _Csv(_Text):
    def head(self, names: Sequence[str]) -> Block:
        return self.block(names, [[name] for name in names])

    def block(self, names: Sequence[str], columns: Sequence[Sequence[Any]]) -> Block:
        rows = list(zip(*map(_cells, columns), strict=True))
        text = _csv_text(rows, csv.QUOTE_MINIMAL)
        # Older versions of Python do not quote it, and readers take it for the end of a line.
        return (_csv_text(rows, csv.QUOTE_ALL) if "\r" in text else text).encode()


def _csv_text(rows: Iterable[Sequence[Any]], quoting: Literal[0, 1]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=quoting).writerows(rows)
    return text.getvalue()


def _cells(column: Sequence[Any]) -> Iterable[Any]:
    """Return the values of a column, with lists and dicts as JSON."""
    if {list, dict}.isdisjoint(map(type, column)):
        return column
    return [json.dumps(value, ensure_ascii=False) if type(value) in (list, dict) else value for value in column]


class _JsonLines(_Text):
    def block(self, names: Sequence[str], columns: Sequence[Sequence[Any]]) -> Block:
        encode = json.JSONEncoder(ensure_ascii=False).encode
        # Column by column: a step of Python per row would take longer than the encoding.
        starts = [f"{', ' if place else '{'}{encode(name)}: " for place, name in enumerate(names)]
        encoded = [_encoded(column, encode) for column in columns]
        parts = [each for start, values in zip(starts, encoded, strict=True) for each in (repeat(start), values)]
        return "".join(map("".join, zip(*parts, repeat("}\n")))).encode()  # what is repeated has no end


def _encoded(column: Sequence[Any], encode: Callable[[Any], str]) -> Iterable[str]:
    """Return the JSON of each value, of equal texts once."""
    kinds = set(map(type, column))
    if kinds == {int}:
        return map(str, column)
    if kinds == {str}:
        known = {text: encode(text) for text in set(column)}
        return map(known.__getitem__, column)
    return map(encode, column)


class _Parquet(RowFormat):
    """Tables of Arrow. Columns whose blocks differ have the type that holds all of them."""

    def block(self, names: Sequence[str], columns: Sequence[Sequence[Any]]) -> Block:
        import pyarrow as pa

        return pa.table(dict(zip(names, map(_array, columns), strict=True)))

    def size(self, block: Block) -> int:
        return int(block.nbytes)

    @contextmanager
    def writer(self, file: IO[bytes], names: Sequence[str]) -> Iterator[Callable[[Block], None]]:
        import pyarrow.parquet as pq

        writer: Any = None

        def write(table: Block) -> None:
            nonlocal writer
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

    def save_part(self, file: IO[bytes], blocks: Sequence[Block]) -> list[int]:
        with self.writer(file, blocks[0].column_names) as write:
            for block in blocks:
                write(block)
        return [block.num_rows for block in blocks]

    def load_part(self, path: Path, sizes: Sequence[int]) -> Iterator[Block]:
        import pyarrow.parquet as pq

        table, start = pq.read_table(path), 0
        for size in sizes:
            yield table.slice(start, size)
            start += size


def _array(values: Sequence[Any]) -> Any:
    """Return values of one type as they are, and values of several as text."""
    import pyarrow as pa

    try:
        array = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array(_texts(values))
    return pa.array(_texts(values)) if _has_empty_struct(array.type) else array


def _has_empty_struct(kind: Any) -> bool:
    """Return whether a type holds structs without fields, as of empty dicts, which Parquet cannot store."""
    import pyarrow as pa

    if pa.types.is_struct(kind) and not kind.num_fields:
        return True
    return any(_has_empty_struct(kind.field(place).type) for place in range(kind.num_fields))


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


_FORMATS: dict[str, type[RowFormat]] = {".csv": _Csv, ".jsonl": _JsonLines, ".parquet": _Parquet}
#: The suffixes of the formats.
FORMATS = tuple(_FORMATS)


def row_format(path: Path, argument: str) -> RowFormat:
    r"""Return the format that the suffix of a path says.

    Args:
        path: The file.
        argument: Where the user chose it, for error messages.

    Raises:
        ConfigurationError: If the suffix is that of no format, or the library that writes it is not installed.

    Example:
        >>> row_format(Path("out.jsonl"), "to=").block(["id"], [[1, 2]])
        b'{"id": 1}\n{"id": 2}\n'
    """
    if path.suffix not in _FORMATS:
        raise ConfigurationError(f"Expected {argument} to end in {', '.join(_FORMATS)}, but got {path}.")
    made = _FORMATS[path.suffix]()
    if isinstance(made, _Parquet):
        _check_pyarrow()
    return made


def _check_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401  # it is used elsewhere
    except ImportError as error:
        raise ConfigurationError(
            'Expected pyarrow, which writes Parquet files, but it is not installed: pip install "flash-core[parquet]".'
        ) from error

"""Read tables from files, URLs, folders and data frames, for all domains."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, Literal, Protocol, TypeAlias, TypedDict, get_args
from urllib.parse import urlsplit

from flash.data._frames import FrameColumns, columns_of, read_parquet
from flash.data._json_table import parse_json
from flash.data._missing import is_missing
from flash.data.delimited import check_unique, parse_delimited
from flash.data.messages import show, show_some
from flash.download import fetch
from flash.errors import ConfigurationError, DataError, MissingColumnError

__all__ = [
    "READ_OPTIONS",
    "SMALL_BYTES",
    "DataFrame",
    "FileSource",
    "ReadOptions",
    "Table",
    "TableFormat",
    "TableSource",
    "check_encodable",
    "check_unique",
    "is_large_table",
    "is_missing",
    "is_table",
    "is_table_file",
    "read_table",
    "whole_numbers",
]

TableFormat = Literal["csv", "tsv", "json", "jsonl", "parquet"]


class DataFrame(Protocol):
    """A data frame of pandas, polars or Arrow."""

    @property
    def columns(self) -> Any:
        """The names of the columns, or the columns."""


#: A table in memory: a data frame, a mapping of columns, or a list of mappings, one per row.
TableSource: TypeAlias = DataFrame | Mapping[str, Any] | Sequence[Mapping[str, Any]]
#: A table in files: a path, a URL, an open file, a folder of Parquet files, or a list of any of these.
FileSource: TypeAlias = str | os.PathLike[str] | IO[Any] | Sequence[str | os.PathLike[str] | IO[Any]]

#: Files with fewer bytes are read as a whole.
SMALL_BYTES = 4 << 20

#: The arguments of :func:`read_table` that define the text format.
READ_OPTIONS = ("sep", "delimiter", "encoding", "quotechar", "field")

_FORMATS: dict[str, TableFormat] = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_PACKED = (".gz", ".bz2", ".xz", ".zip")
# UTF-32 first: its mark starts with that of UTF-16.
_BYTE_ORDER_MARKS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_SHOWN_NAMES = 20
_GIT_LFS = "version https://git-lfs.github.com/spec/"
# Half of a character: a lone surrogate.
_HALF = re.compile("[\ud800-\udfff]")


class ReadOptions(TypedDict, total=False):
    """Format options of tables, in place of detection; accepted by constructors that read tables."""

    #: The separator of CSV, detected by default. ``delimiter`` is an alias.
    sep: str | None
    delimiter: str | None
    #: By default that of the byte order mark, or UTF-8.
    encoding: str | None
    #: The quote character of CSV cells that contain separators; ``None`` for no quoting.
    quotechar: str | None


@dataclass(frozen=True)
class Table(Mapping[str, list[Any]]):
    """Named columns of one length; a missing column is an error that names the closest.

    Args:
        columns: The values of each column, in the order of the rows.
        name: The table, for error messages.
        is_text: Whether all cells are unparsed text, such as those of CSV.
        folder: The folder that paths in its cells are relative to, if it is one of files.

    Example:
        >>> table = Table({"a": [1, 2], "b": ["x", None]})
        >>> table["b"], table.num_rows, list(table)
        (['x', None], 2, ['a', 'b'])
    """

    columns: Mapping[str, list[Any]]
    name: str = "the table"
    is_text: bool = False
    folder: Path | None = None

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        if isinstance(self.columns, FrameColumns):
            return self.columns.num_rows
        return len(next(iter(self.columns.values()), ()))

    @property
    def frame(self) -> Any:
        """The data frame of the columns, of any library; ``None`` if they are not from a data frame."""
        return self.columns.frame if isinstance(self.columns, FrameColumns) else None

    def take(self, rows: Sequence[int]) -> Table:
        """Return the given rows."""
        if isinstance(self.columns, FrameColumns):
            return Table(self.columns.take(rows), self.name, self.is_text, self.folder)
        # Several times as fast as a loop; of fewer than two rows it returns no tuple.
        taken = itemgetter(*rows) if len(rows) > 1 else lambda values: [values[row] for row in rows]
        columns = {name: list(taken(values)) for name, values in self.columns.items()}
        return Table(columns, self.name, self.is_text, self.folder)

    def __getitem__(self, name: str) -> list[Any]:
        if name not in self.columns:
            close = get_close_matches(str(name), self.columns, 1)
            known = show_some(self.columns, most=_SHOWN_NAMES)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise MissingColumnError(f"Expected a column {name!r} in {self.name}, but it has {known}.{hint}")
        return self.columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)


def read_table(
    source: FileSource | TableSource,
    *,
    format: TableFormat | None = None,
    sep: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    quotechar: str | None = '"',
    field: str | None = None,
    name: str | None = None,
) -> Table:
    r"""Read a table from a file, a URL, or an object in memory.

    Cells of CSV and TSV are unparsed text (``001``, ``1.10``, ``None``), and an empty cell is ``None``; the other
    formats keep their values, and a missing one is ``None``. Files may be compressed (gzip, bzip2, xz, or a zip file
    with one file in it).

    Args:
        source: A path, a URL, an open file, a folder of Parquet files, a list of any of these (their rows are
            concatenated), a data frame of pandas, polars or Arrow, a mapping of columns, or a list of mappings.
        format: The format of files; by default detected from their names, or else from their content.
        sep: The separator of CSV; by default detected among ``,``, ``;``, a tab and ``|``.
        delimiter: An alias of ``sep``.
        encoding: The encoding of text; by default that of the byte order mark, or UTF-8.
        quotechar: The quote character of CSV cells that contain separators; ``None`` for no quoting.
        field: The key that holds the rows of JSON, if they are inside an object.
        name: The name of the table in error messages; by default the path.

    Raises:
        DataError: If the source is missing, empty, or of another format; if the number of values in a row differs from
            that of the header, a quote is not closed, or the name of a column is missing or not unique.
        ConfigurationError: If arguments contradict each other.

    Example:
        >>> import io
        >>> table = read_table(io.StringIO("code;size\n001;1.10\n002;\n"))
        >>> table["code"], table["size"], table.is_text
        (['001', '002'], ['1.10', None], True)
    """
    sep = separator_of(sep, delimiter, quotechar)
    if format is not None and format not in get_args(TableFormat):
        raise ConfigurationError(
            f"Expected format to be one of {', '.join(get_args(TableFormat))}, but got {format!r}."
        )
    reader = _Reader(format, sep, encoding, quotechar, field)
    table = reader.read(source)
    if sep is not None and not table.is_text:
        raise ConfigurationError(
            f"Expected text whose cells are separated by {sep!r}, but {table.name} is of another format, which has "
            "cells of its own. Leave sep or delimiter out."
        )
    if name is not None:
        table = Table(table.columns, name, table.is_text)
    if table.num_rows == 0:
        raise DataError(
            f"Expected {table.name} to have rows and columns, but it has shape ({table.num_rows}, {len(table)})."
        )
    return table


def is_large_table(source: object) -> bool:
    """Return whether a path is that of a large table that :func:`flash.data.table_parts.table_parts` can read.

    That is CSV, TSV, JSON Lines or Parquet, or a folder of Parquet files, on a local disk and not compressed.

    Example:
        >>> is_large_table("small_or_missing.csv")
        False
    """
    if not isinstance(source, str | os.PathLike):
        return False
    path = Path(source).expanduser()
    if os.path.isdir(path):
        files = [file for suffix in (".parquet", ".pq") for file in path.rglob(f"*{suffix}")]
        return sum(file.stat().st_size for file in files) >= SMALL_BYTES
    is_in_parts = _FORMATS.get(path.suffix.lower()) in ("csv", "tsv", "jsonl", "parquet")
    return is_in_parts and os.path.isfile(path) and path.stat().st_size >= SMALL_BYTES


def is_table_file(source: object) -> bool:
    """Return whether a path or URL has the extension of a format that :func:`read_table` supports.

    Example:
        >>> is_table_file("reviews.csv.gz"), is_table_file("photo.png")
        (True, False)
    """
    return isinstance(source, str | os.PathLike) and format_of(str(source)) is not None


def is_table(data: object) -> bool:
    """Return whether data in memory is a table: a data frame, a mapping of columns, or a list of mappings.

    Example:
        >>> is_table({"text": ["good"]}), is_table([{"text": "good"}]), is_table(["good"])
        (True, True, False)
    """
    return isinstance(data, Table) or columns_of(data) is not None


def check_encodable(values: Iterable[Any], what: str) -> None:
    r"""Raise an error if a text among some values has half of a character.

    ``json.loads`` and ``os.listdir`` return such texts, of damaged files and of names in an unknown encoding.

    Args:
        values: One value per row, of any type.
        what: What has these rows, for the message, such as ``"column 'city' of the train table"``.

    Raises:
        DataError: If there is such a text; the message shows the first, and its row.

    Example:
        >>> check_encodable(["très bien", 7, None], "column 'note'")
    """
    rows = list(values)
    try:
        # One call for all of them, since this is done for each column of each table; most columns are text alone.
        try:
            joined = "".join(rows)
        except TypeError:
            joined = "".join([text for text in rows if isinstance(text, str)])
        if not joined.isascii():
            joined.encode()
    except UnicodeEncodeError as error:
        row, text = next((row, text) for row, text in enumerate(rows) if isinstance(text, str) and _HALF.search(text))
        raise DataError(
            f"Expected text that UTF-8 can encode in {what}, but {show(_Shown(text))} (number {row}, counted "
            "from 0) has half of a character. Read the data again in its encoding, or replace it: "
            "text.encode(errors='replace').decode()."
        ) from error


class _Shown:
    """A text whose representation shows what cannot be encoded as its number."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return ascii(self.text)


def whole_numbers(values: Sequence[Any]) -> list[Any]:
    """Convert the cells of a text column to integers, if all of them are integers in canonical form.

    So ``0`` and ``1`` are the same in CSV as in a data frame, and codes such as ``007`` and ``1.10`` stay text.

    Args:
        values: Strings, and ``None`` for missing cells.

    Example:
        >>> whole_numbers(["3", "-10", None]), whole_numbers(["007", "10"])
        ([3, -10, None], ['007', '10'])
    """
    known = [value for value in values if value is not None]
    if not all(_is_whole(value) for value in known):
        return list(values)
    return [None if value is None else int(value) for value in values]


def _is_whole(value: Any) -> bool:
    # Not integers of 19 digits or more, which may not fit in 64 bits.
    if not isinstance(value, str) or not value.removeprefix("-").isdecimal() or len(value) > 18:
        return False
    return str(int(value)) == value


@dataclass(frozen=True)
class _Reader:
    """The arguments of :func:`read_table`, applied to one source at a time."""

    format: TableFormat | None
    sep: str | None
    encoding: str | None
    quotechar: str | None
    field: str | None

    def read(self, source: Any) -> Table:
        if isinstance(source, Table):
            return source
        if isinstance(source, str | os.PathLike):
            return self._read_named(source)
        if hasattr(source, "read"):
            return self._read_open(source)
        if isinstance(source, list | tuple) and source and all(_is_file(part) for part in source):
            return _joined([self.read(part) for part in source])
        columns = columns_of(source)
        if columns is None:
            row = hasattr(source, "iloc")
            raise DataError(
                "Expected a table: a path, a URL, an open file, a folder of Parquet files, a list of these, a data "
                "frame of pandas, polars or Arrow, a dict of columns or a list of rows, but got "
                f"{type(source).__name__}." + (" For a row of a data frame, pass frame.iloc[[0]]." if row else "")
            )
        return Table(columns)

    def _read_named(self, source: str | os.PathLike[str]) -> Table:
        name = os.fspath(source)
        if urlsplit(name).scheme in ("http", "https", "file"):
            with tempfile.TemporaryDirectory() as folder:
                file = Path(urlsplit(name).path).name or "table"
                return self._read_path(fetch(name, Path(folder, file), progress=False), name)
        return self._read_path(Path(name).expanduser(), name)

    def _read_path(self, path: Path, name: str) -> Table:
        if os.path.isdir(path):
            if not any(path.rglob("*.parquet")) and not any(path.rglob("*.pq")):
                raise DataError(
                    f"Expected a file, or a folder of Parquet files, at {name}, but the folder holds none. Pass the "
                    "path of a file, or a list of paths."
                )
            return _of_arrow(read_parquet(path, name), name)
        if not os.path.isfile(path):
            raise DataError(f"Expected a table at {name}, but there is no such file. Check the path.")
        if (self.format or format_of(name)) == "parquet":
            return _of_arrow(read_parquet(path, name), name)
        return self._parse(path.read_bytes(), name, self.format or format_of(name))

    def _read_open(self, source: Any) -> Table:
        name = getattr(source, "name", None)
        name = name if isinstance(name, str) else "the open file"
        content = source.read()
        if isinstance(content, str):
            return self._parse_text(content, name, self.format or format_of(name))
        return self._parse(content, name, self.format or format_of(name))

    def _parse(self, content: bytes, name: str, format: TableFormat | None) -> Table:
        content = _unpacked(content, name)
        if format == "parquet" or (format is None and content.startswith(b"PAR1")):
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, "table.parquet")
                file.write_bytes(content)
                return _of_arrow(read_parquet(file, name), name)
        return self._parse_text(self._decoded(content, name), name, format)

    def _decoded(self, content: bytes, name: str) -> str:
        encoding = encoding_of(content, self.encoding)
        try:
            return content.decode(encoding)
        except ValueError as error:  # also other UnicodeErrors than those of decoding
            raise DataError(
                f"Expected a table of {encoding.upper().removesuffix('-SIG')} text in {name}, but: {error}. Name its "
                "encoding, such as encoding='cp1252' (Excel in Western Europe), 'latin-1' or 'utf-16'."
            ) from error
        except LookupError as error:
            raise ConfigurationError(
                f"Expected encoding to name one that Python knows, such as 'utf-8', but got {encoding!r}."
            ) from error

    def _parse_text(self, text: str, name: str, format: TableFormat | None) -> Table:
        text = text.removeprefix("\ufeff")
        if text.startswith(_GIT_LFS):
            raise DataError(
                f"Expected a table in {name}, but it is a pointer of Git LFS to the table. Fetch the file itself: git "
                "lfs pull."
            )
        if format in ("json", "jsonl") or (format is None and text.lstrip()[:1] in ("[", "{")):
            lines = True if "jsonl" in (format, format_of(name)) else None
            columns = parse_json(text, name, field=self.field, lines=lines)
            return Table(columns, name)
        sep = "\t" if self.sep is None and (format == "tsv" or format_of(name) == "tsv") else self.sep
        return Table(parse_delimited(text, name, sep=sep, quotechar=self.quotechar), name, is_text=True)


def separator_of(sep: str | None, delimiter: str | None, quotechar: str | None) -> str | None:
    """Return the separator of CSV that was passed, by either name.

    Raises:
        ConfigurationError: If the two contradict each other, or it or the quote character is not a single character.
    """
    if sep is not None and delimiter is not None and sep != delimiter:
        raise ConfigurationError(f"Expected sep or delimiter, its other name, but got {sep!r} and {delimiter!r}.")
    sep = delimiter if sep is None else sep
    for argument, mark in (("sep", sep), ("quotechar", quotechar)):
        if mark is not None and (not isinstance(mark, str) or len(mark) != 1):
            raise ConfigurationError(f"Expected {argument} to be a single character, but got {mark!r}.")
    return sep


def encoding_of(content: bytes, given: str | None) -> str:
    """Return the encoding of text: the given one, or that of its byte order mark, or UTF-8."""
    marked = next((code for mark, code in _BYTE_ORDER_MARKS.items() if content.startswith(mark)), "utf-8")
    encoding = marked if given is None else given
    return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding


def _is_file(part: Any) -> bool:
    return isinstance(part, str | os.PathLike) or hasattr(part, "read")


def format_of(name: str) -> TableFormat | None:
    """Return the format that the extension of a path or URL names, that of a compression left out."""
    suffixes = [suffix.lower() for suffix in Path(urlsplit(name).path if "://" in name else name).suffixes]
    while suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return _FORMATS.get(suffixes[-1]) if suffixes else None


# A compressed table may have this many bytes, or this many times its size: rows of text become five to twenty times as
# large, and only those that are nearly all alike more.
_MOST_UNPACKED = 1 << 28
_MOST_TIMES = 100
# NotImplementedError and RuntimeError: a member of a zip file that is compressed by another method, or encrypted.
# ValueError: bzip2 that ends too early, and a zip file whose parts are not where it says.
_DAMAGED = (OSError, EOFError, RuntimeError, ValueError, lzma.LZMAError, zipfile.BadZipFile, zlib.error)


def _unpacked(content: bytes, name: str) -> bytes:
    """Decompress content, with the format detected from its first bytes."""
    try:
        stream: Any = None
        if content.startswith(b"\x1f\x8b"):
            stream = gzip.GzipFile(fileobj=io.BytesIO(content))
        elif content.startswith(b"BZh"):
            stream = bz2.BZ2File(io.BytesIO(content))
        elif content.startswith(b"\xfd7zXZ"):
            stream = lzma.LZMAFile(io.BytesIO(content))  # noqa: SIM115  # closed below, as the others
        elif content.startswith(b"PK\x03\x04"):
            stream = _only_member(content, name)
        if stream is not None:
            with stream:
                return _read_bounded(stream, len(content), name)
    except DataError:
        raise
    except _DAMAGED as error:
        raise DataError(
            f"Expected a whole compressed file at {name}, but it is damaged ({error}). Copy or download it again."
        ) from error
    return content


def _read_bounded(stream: IO[bytes], packed: int, name: str) -> bytes:
    """Read a decompressed stream, unless it is larger than any table becomes."""
    most = max(_MOST_UNPACKED, _MOST_TIMES * packed)
    content = stream.read(most + 1)
    if len(content) > most:
        raise DataError(
            f"Expected a compressed table of at most {_MOST_TIMES} times its size, but {name} has {packed:,} bytes and "
            f"more than {most:,} unpacked. If you trust it, unpack it, and pass that file."
        )
    return content


def _only_member(content: bytes, name: str) -> IO[bytes]:
    archive = zipfile.ZipFile(io.BytesIO(content))
    members = [member for member in archive.namelist() if not member.endswith("/")]
    if len(members) != 1:
        is_excel = "xl/workbook.xml" in members
        what = "it is an Excel workbook: save it as CSV" if is_excel else f"it has {len(members)} files"
        raise DataError(f"Expected a zip file with one table in {name}, but {what}.")
    return archive.open(members[0])


def _of_arrow(table: Any, name: str) -> Table:
    columns = columns_of(table)
    assert columns is not None
    return Table(columns, name)


def _joined(tables: Sequence[Table]) -> Table:
    first = tables[0]
    for other in tables[1:]:
        if set(other) != set(first):
            unlike = sorted(set(other) ^ set(first))
            raise DataError(
                f"Expected the same columns in {first.name} and {other.name}, but only one of them has "
                f"{', '.join(map(repr, unlike))}. Rename or drop them."
            )
    columns = {name: [value for table in tables for value in table[name]] for name in first}
    return Table(columns, f"{first.name} and {len(tables) - 1} more", all(table.is_text for table in tables))

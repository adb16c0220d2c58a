"""Read large tables in files part by part, so that a table that no memory holds can be predicted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO

from flash.data._frames import columns_of, parquet_parts
from flash.data._json_table import parse_json
from flash.data.delimited import MisfitError, delimited_parts
from flash.data.folders import table_folder
from flash.data.tables import ReadOptions, Table, encoding_of, format_of, read_table, separator_of
from flash.errors import DataError

__all__ = ["PART_ROWS", "table_parts"]

#: The number of rows of a part.
PART_ROWS = 65_536


def table_parts(
    source: str | os.PathLike[str],
    *,
    sep: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    quotechar: str | None = '"',
) -> Iterator[Table]:
    """Yield the parts of a table, whose rows together are those of :func:`flash.data.tables.read_table`.

    Whatever is wrong with the file is the error of :func:`~flash.data.tables.read_table`, after the parts before it.
    JSON Lines are read twice, since a column may be in later lines only.

    Args:
        source: A path for which :func:`flash.data.tables.is_large_table` is true.
        sep: As for :func:`~flash.data.tables.read_table`, and so are the others.
        delimiter: An alias of ``sep``.
        encoding: The encoding of text.
        quotechar: The quote character of CSV.

    Yields:
        Tables of :data:`PART_ROWS` rows, whose names tell which; the last may have fewer.

    Raises:
        DataError: If the file is not a table of its format, or changes while it is read.
        ConfigurationError: If arguments contradict each other.
    """
    path, name, folder = Path(source).expanduser(), os.fspath(source), table_folder(source)
    separator = separator_of(sep, delimiter, quotechar)
    options: ReadOptions = {"sep": separator, "encoding": encoding, "quotechar": quotechar}
    first = 0
    try:
        for table in _parts(path, name, options):
            last = first + table.num_rows - 1
            yield replace(table, name=f"{name}, rows {first:,} to {last:,} (counted from 0)", folder=folder)
            first = last + 1
        if not first:
            raise MisfitError("There are no rows.")
    except (MisfitError, UnicodeError, LookupError, ImportError, OSError, ValueError, DataError) as error:
        # Its error tells the line; or it can read what cannot be read by parts.
        whole = read_table(source, **options)
        if first:
            raise DataError(
                f"Expected {name} to stay as it is while it is read, but it changed. Run it again."
            ) from error
        yield replace(whole, folder=folder)


def _parts(path: Path, name: str, options: ReadOptions) -> Iterator[Table]:
    file_format = format_of(path.name)
    if file_format == "parquet" or os.path.isdir(path):
        if options["sep"] is not None:
            raise MisfitError("Parquet has no separator.")
        for part in parquet_parts(path, PART_ROWS):
            columns = columns_of(part)
            assert columns is not None
            yield Table(columns)
        return
    with path.open("rb") as file:
        encoding = encoding_of(file.read(4), options["encoding"])
    # JSON Lines end at \n alone.
    with path.open(encoding=encoding, newline="\n" if file_format == "jsonl" else "") as text:
        if file_format == "jsonl":
            yield from _json_parts(text, name, options["sep"])
        else:
            sep = "\t" if options["sep"] is None and file_format == "tsv" else options["sep"]
            quotechar = options["quotechar"]
            for cells in delimited_parts(text, name, sep=sep, quotechar=quotechar, rows=PART_ROWS):
                yield Table(cells, is_text=True)


def _json_parts(text: IO[str], name: str, sep: str | None) -> Iterator[Table]:
    if sep is not None:
        raise MisfitError("JSON has no separator.")
    names = _names_of(text)
    text.seek(0)
    while lines := list(islice(text, PART_ROWS)):
        if any(line.strip() for line in lines):
            columns = parse_json("".join(lines), name, lines=True)
            rows = len(next(iter(columns.values()), ()))
            yield Table({each: columns.get(each, [None] * rows) for each in names})


def _names_of(text: IO[str]) -> dict[str, None]:
    """Return the names of the columns of all lines, in the order in which they come."""
    names: dict[str, None] = {}
    for line in text:
        row = json.loads(line) if line.strip() else None
        if isinstance(row, dict) and not names.keys() >= row.keys():
            names |= dict.fromkeys(row)
    return names

"""Parse delimited text, CSV and TSV, with detection of the separator; exported folders have a copy of this file."""

from __future__ import annotations

import csv
import gc
import io
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import IO, Any

from flash.errors import DataError

__all__ = ["MisfitError", "check_unique", "delimited_parts", "parse_delimited"]

_SEPARATORS = (",", ";", "\t", "|")
_NAMES = {"\t": "a tab"}
# Number of rows that are parsed to detect the separator if the first line is ambiguous.
_TRIED_ROWS = 50
# Number of characters that are read to detect the separator of a table that is read in parts.
_HEAD = 1 << 20
# csv.field_size_limit, whose default is too small for documents, is global to the process.
_SETTINGS = threading.RLock()


class MisfitError(Exception):
    """A part of a table has a row that does not fit; reading the whole tells its line."""


def parse_delimited(
    text: str, name: str, *, sep: str | None = None, quotechar: str | None = '"'
) -> dict[str, list[str | None]]:
    r"""Parse delimited text whose first row names the columns; an empty cell is ``None``.

    Args:
        text: The content of a file.
        name: The file, for error messages.
        sep: The separator; by default detected among ``,``, ``;``, a tab and ``|``.
        quotechar: The quote character of cells that contain the separator or line ends; ``None`` for no quoting.

    Raises:
        DataError: If the text is empty, a row is longer or shorter than the header, a quote is not closed, the
            separator is ambiguous, or the name of a column is missing or not unique.

    Example:
        >>> parse_delimited("a;b\n1;2\n;x\n", "t.csv")
        {'a': ['1', None], 'b': ['2', 'x']}
    """
    if not text.strip():
        raise DataError(f"Expected a table in {name}, but the file is empty.")
    with _fast_unlimited_parsing():
        separator = _find_separator(text, name, quotechar) if sep is None else sep
        header, *rows = _rows(text, name, separator, quotechar)
        _check_header(header, name)
        if any(length != len(header) for length in set(map(len, rows))):
            raise DataError(_misfit(text, name, header, separator, quotechar))
        return _columns_of(header, rows)


def delimited_parts(
    file: IO[str], name: str, *, sep: str | None, quotechar: str | None, rows: int
) -> Iterator[dict[str, list[str | None]]]:
    """Yield the parts of delimited text with several rows each, as :func:`parse_delimited` parses the whole.

    Args:
        file: An open file, with its line ends as they are.
        name: The file, for error messages.
        sep: As for :func:`parse_delimited`; the first million characters decide.
        quotechar: As for :func:`parse_delimited`.
        rows: The number of rows of a part.

    Raises:
        DataError: If the header is wrong, or the separator is ambiguous.
        MisfitError: If a row is; it does not tell the line.
    """
    head = file.read(_HEAD)
    file.seek(0)
    if len(head) == _HEAD:
        head = head[: head.rfind("\n") + 1] or head
    with _fast_unlimited_parsing():
        separator = _find_separator(head, name, quotechar) if sep is None else sep
    reader = _reader(file, separator, quotechar)
    records = filter(None, reader)
    header: list[str] = []
    while True:
        with _fast_unlimited_parsing():
            try:
                if not header:
                    header = next(records, [])
                    _check_header(header, name)
                part = list(islice(records, rows))
            except csv.Error as error:
                raise MisfitError(str(error)) from error
            if not part:
                return
            if set(map(len, part)) != {len(header)}:
                raise MisfitError("A row has another number of values than the header.")
            columns = _columns_of(header, part)
        yield columns


def _columns_of(header: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, list[str | None]]:
    columns = zip(*rows, strict=True) if rows else [() for _ in header]
    return {title: [cell or None for cell in column] for title, column in zip(header, columns, strict=True)}


@contextmanager
def _fast_unlimited_parsing() -> Iterator[None]:
    """Allow cells of any length, and disable garbage collection, which would double the time."""
    with _SETTINGS:
        limit, collects = csv.field_size_limit(min(sys.maxsize, 2**31 - 1)), gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            csv.field_size_limit(limit)
            if collects:
                gc.enable()


def _rows(text: str, name: str, separator: str, quotechar: str | None, limit: int | None = None) -> list[list[str]]:
    """Return the rows that are not blank."""
    try:
        return list(filter(None, islice(_reader(io.StringIO(text, newline=""), separator, quotechar), limit)))
    except csv.Error as error:
        line = max(start for start, _ in _numbered(text, separator, quotechar))
        raise DataError(
            f"Expected quotes {quotechar} that are closed, and nothing between them and the next "
            f"{_shown(separator)}, but the row that starts in line {line} of {name} breaks that ({error}). Close "
            "the quote, write a quote inside a cell twice, or pass quotechar=None if the file has no quoted cells."
        ) from error


def _reader(file: IO[str], separator: str, quotechar: str | None) -> Any:
    return csv.reader(
        file,
        delimiter=separator,
        quotechar=quotechar,
        quoting=csv.QUOTE_NONE if quotechar is None else csv.QUOTE_MINIMAL,
        strict=True,
    )


def _numbered(text: str, separator: str, quotechar: str | None) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the number of its first line, counted from 1; a malformed row is empty and the last."""
    reader = _reader(io.StringIO(text, newline=""), separator, quotechar)
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield line, []
            return


def _find_separator(text: str, name: str, quotechar: str | None) -> str:
    header = _first_line(text, quotechar)
    found = [mark for mark in _SEPARATORS if mark in header]
    if len(found) < 2:
        return found[0] if found else ","
    fits = [mark for mark in found if _fits(text, name, mark, quotechar)]
    if len(fits) == 1:
        return fits[0]
    marks = " or ".join(map(_shown, fits or found))
    raise DataError(
        f"Expected to find how the columns of {name} are separated, but its first line {header[:80]!r} can be read "
        f"with {marks}. Say which: sep={(fits or found)[0]!r}."
    )


def _first_line(text: str, quotechar: str | None) -> str:
    """Return the first row without quoted text."""
    start = text.lstrip("\r\n")
    if quotechar is None or quotechar not in start:
        return start.splitlines()[0]
    line, inside = [], False
    for character in start:
        if character == quotechar:
            inside = not inside
        elif not inside and character in "\r\n":
            break
        elif not inside:
            line.append(character)
    return "".join(line)


def _fits(text: str, name: str, separator: str, quotechar: str | None) -> bool:
    try:
        rows = _rows(text, name, separator, quotechar, _TRIED_ROWS)
    except DataError:
        return False
    return len(set(map(len, rows))) == 1


def _check_header(header: list[str], name: str) -> None:
    unnamed = [place for place, title in enumerate(header, 1) if not title.strip()]
    if unnamed:
        raise DataError(
            f"Expected a name for each column in the first line of {name}, but column {unnamed[0]} of {len(header)} "
            "has none. Name it; if it is the index of a data frame, save it without: frame.to_csv(path, index=False)."
        )
    check_unique(header, name)


def check_unique(names: Sequence[str], source: str) -> None:
    """Raise an error if two columns have the same name.

    Args:
        names: The names of the columns.
        source: The table, for the message.

    Raises:
        DataError: If there are two; the message lists them.

    Example:
        >>> check_unique(["age", "city"], "train.csv")
    """
    twice = sorted(title for title, count in Counter(names).items() if count > 1)
    if twice:
        raise DataError(
            f"Expected columns with different names in {source}, but there are several of "
            f"{', '.join(map(repr, twice))}. Rename or drop them."
        )


def _misfit(text: str, name: str, header: list[str], separator: str, quotechar: str | None) -> str:
    rows = _numbered(text, separator, quotechar)
    line, row = next((line, row) for line, row in rows if row and len(row) != len(header))
    advice = f"Put cells that contain {_shown(separator)} in quotes, as in {quotechar}a{separator}b{quotechar}"
    if quotechar is None or separator.isspace():
        advice = "Add what is missing, or remove what is too much"
    return (
        f"Expected {len(header)} values in each row of {name}, separated by {_shown(separator)}, as its first line has "
        f"names, but line {line} has {len(row)}. {advice}; or name another separator: sep=..."
    )


def _shown(separator: str) -> str:
    return _NAMES.get(separator, repr(separator))

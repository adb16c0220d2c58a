"""Encode delimited text or JSON Lines for a network, as :class:`~flash.tabular.preprocess.TabularPreprocess` does.

An exported folder has a copy of this file, which therefore needs nothing but numpy.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from flash.errors import DataError

__all__ = [
    "BOOLEANS",
    "DATE_LIKE",
    "DECIMAL_COMMA",
    "ISO_DATE",
    "MISSING",
    "batches",
    "encode",
    "encode_samples",
    "text_of_value",
]

#: The spellings of missing numbers and dates; in a text column they are ordinary text.
MISSING = frozenset(
    {"#N/A", "#NA", "-NaN", "-nan", "<NA>", "N/A", "NA", "NULL", "NaN", "NaT", "None", "n/a", "nan", "null"}
)
#: The spellings of truth values.
BOOLEANS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
_SPACE = r"[ \t\n\r\f\v]*"
_NUMBER = re.compile(rf"{_SPACE}[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?{_SPACE}")
_WHOLE = re.compile(rf"{_SPACE}[+-]?[0-9]+{_SPACE}")
_INFINITY = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
#: A number that may have a decimal comma.
DECIMAL_COMMA = re.compile(r"[+-]?\d+(,\d+)?")
#: Text that looks like a date.
DATE_LIKE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}.*")
#: A date of ISO 8601.
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}.*)?")
_CLOCK = (
    r"(?P<hour>[0-9]{1,2})(?:(?P<colon>:?)(?P<minute>(?<=:)[0-9]{1,2}|[0-9]{2})"
    r"(?:(?P=colon)(?P<second>(?<=:)[0-9]{1,2}|[0-9]{2})(?:\.(?P<fraction>[0-9]+))?)?)?"
    r"(?P<zone>Z| ?[+-][0-9]{1,2}(?::?[0-9]{2})?)?"
)
_STAMP = re.compile(
    r"[ \t\n\r\f\v]*(?P<year>[0-9]{4})(?:(?P<mark>[-/.\\ ])(?P<month>[0-9]{1,2})"
    rf"(?:(?P=mark)(?P<day>[0-9]{{1,2}})(?:[ T]{_CLOCK})?)?)?"
)
_COMPACT = re.compile(rf"(?P<year>[0-9]{{4}})(?P<month>[0-9]{{2}})(?P<day>[0-9]{{2}})(?:[ T]{_CLOCK})?")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
_NUMBERS, _TEXTS = {int, float, type(None)}, {str, type(None)}
# Whole numbers of this many bits are exact in a column without missing values.
_BITS = 64
# Numbers of this many characters are exact as floats.
_EXACT_DIGITS = 15


@dataclass(frozen=True)
class _Column:
    """A column with its type; one of values of several types is of objects."""

    kind: Literal["whole", "number", "seconds", "truth", "text", "objects"]
    cells: list[Any]


def batches(
    source: str, settings: Mapping[str, Any], reader: Any, batch_size: int
) -> Iterator[tuple[list[int], dict[str, Any]]]:
    """Yield the inputs of batches of rows.

    Args:
        source: The path of a delimited file, or of JSON Lines.
        settings: The schema, as :meth:`flash.tabular.preprocess.TabularPreprocess.portable` returns it.
        reader: Its ``read_table(path)`` returns the columns, whose ``is_text`` tells whether they have no types.
        batch_size: Rows per batch.

    Yields:
        The indices of the rows, and ``numerical`` and ``categorical``, each of shape ``(rows, columns)``.

    Raises:
        DataError: If the table has no rows, lacks a column, or a number is none.
    """
    inputs = encode(reader.read_table(source), settings)
    rows = len(inputs["numerical"])
    for start in range(0, rows, batch_size):
        places = list(range(start, min(start + batch_size, rows)))
        yield places, {name: array[start : start + batch_size] for name, array in inputs.items()}


def encode_samples(
    samples: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    reader: Any,  # noqa: ARG001  # of others
) -> dict[str, Any]:
    """Return what :func:`encode` does for rows of a request, whose values have types.

    Args:
        samples: The rows; a value is a number, such as the seconds of a duration, a truth value, a text, or ``None``.
            They may have an attribute ``columns``, with the list of values of each column.
        settings: As for :func:`batches`.
        reader: Not used.
    """
    names = dict.fromkeys(column["name"] for column in [*settings["numerical"], *settings["categorical"]])
    given = getattr(samples, "columns", None) or {name: [row[name] for row in samples] for name in names}
    texts, numbers = _text_and_number_fields(settings)
    columns = {name: _requested(name, given[name], name in numbers, name in texts) for name in names}
    for column in settings["numerical"]:
        if column["part"] == "seconds":
            columns[column["name"]] = _Column("seconds", given[column["name"]])
    return _encoded(columns, len(samples), settings)


def _requested(name: str, cells: list[Any], is_number: bool, is_text: bool) -> _Column:
    """Return a column of a request: numbers are what they are, and all else is read as its text would be."""
    kinds = set(map(type, cells))
    if is_number and kinds <= _NUMBERS:
        return _Column("number", cells)
    if not kinds <= _TEXTS:
        cells = [None if cell is None else _text(cell) for cell in cells]
    # In a request numbers have no decimal comma.
    return _Column("text", cells) if is_text else _inferred(name, cells, is_number, ".")


def encode(table: Mapping[str, list[Any]], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``numerical``, float32, and ``categorical``, int32, each of shape ``(rows, columns)``.

    Args:
        table: The cells of each column; a missing one is ``None``. They are text whose types are inferred, unless
            ``table.is_text`` is false: then they are values of JSON.
        settings: As for :func:`batches`.

    Raises:
        DataError: If the table has no rows, lacks a column, or a number is none.

    Example:
        >>> age = {"name": "age", "part": "", "mean": 30.0, "std": 10.0, "is_truth": False}
        >>> kind = {"is_text": True, "is_missing_flag": False, "aliases": {}}
        >>> city = {"name": "city", "categories": ["Oslo", "Rome"], **kind}
        >>> settings = {"numerical": [age], "categorical": [city], "target_fields": [], "decimal": None, "limit": 1e6}
        >>> {name: array.tolist() for name, array in encode({"age": ["50"], "city": ["Rome"]}, settings).items()}
        {'numerical': [[2.0]], 'categorical': [[2]]}
    """
    rows = len(next(iter(table.values()), ()))
    _check(table, rows, [column["name"] for column in [*settings["numerical"], *settings["categorical"]]])
    texts, numbers = _text_and_number_fields(settings)
    used = {name: cells for name, cells in table.items() if name not in settings["target_fields"]}
    if getattr(table, "is_text", True):
        columns = {
            name: _Column("text", cells)
            if name in texts
            else _inferred(name, cells, name in numbers, settings["decimal"])
            for name, cells in used.items()
        }
    else:
        columns = {name: _typed(cells) for name, cells in used.items()}
    return _encoded(columns, rows, settings)


def _text_and_number_fields(settings: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """Return the columns of text, and those of numbers and dates."""
    texts = {column["name"] for column in settings["categorical"] if column["is_text"]}
    return texts, {column["name"] for column in settings["numerical"]}


def _encoded(columns: Mapping[str, _Column], rows: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    numerical, categorical = settings["numerical"], settings["categorical"]
    values = np.zeros((rows, len(numerical)), dtype=np.float32)
    codes = np.zeros((rows, len(categorical)), dtype=np.int32)
    parts, truths = {}, set()
    for place, column in enumerate(numerical):
        name = column["name"]
        parts[name] = column["part"]
        if column["is_truth"]:
            truths.add(name)
        raw = _numbers(name, columns[name], column["part"], column["is_truth"])
        with np.errstate(over="ignore"):
            scaled = np.clip((raw - column["mean"]) / column["std"], -settings["limit"], settings["limit"])
        values[:, place] = np.nan_to_num(scaled, nan=0.0)
    for place, column in enumerate(categorical):
        name = column["name"]
        if column["is_missing_flag"] and column["is_text"]:
            codes[:, place] = [cell is None for cell in columns[name].cells]
        elif column["is_missing_flag"]:
            part = parts.get(name, "days" if _is_date(columns[name]) else "")
            codes[:, place] = np.isnan(_numbers(name, columns[name], part, name in truths))
        else:
            codes[:, place] = _codes(columns[name], column)
    return {"numerical": values, "categorical": codes}


def _check(table: Mapping[str, Any], rows: int, needed: Sequence[str]) -> None:
    if not rows:
        raise DataError("Expected at least one row in the table, but it has none.")
    missing = [name for name in dict.fromkeys(needed) if name not in table]
    if missing:
        raise DataError(
            f"Expected the predict table to have the column{'s' * (len(missing) > 1)} "
            f"{', '.join(map(repr, missing))}, but it has only {', '.join(map(repr, table))}. Add what is missing."
        )


# ---------------------------------------------------------------------- types


def _inferred(name: str, cells: list[str | None], is_number: bool, decimal: str | None) -> _Column:
    if decimal not in (None, "."):
        cells = [None if cell is None else cell.replace(str(decimal), ".") for cell in cells]
    known = {cell: _number(cell) for cell in set(cells) if cell is not None}
    parsed = [None if cell is None else known[cell] for cell in cells]
    rest = [cell for cell, number in zip(cells, parsed, strict=True) if cell is not None and number is None]
    words = set(rest)
    if words <= MISSING:
        if is_number or len(rest) < len(cells) - len(rest) or not words:
            return _numeric(cells, parsed)
        return _Column("text", cells)
    if words <= BOOLEANS.keys() and all(number is None for number in parsed):
        return _Column("truth", [None if cell is None else BOOLEANS[cell] for cell in cells])
    wanted = [cell for cell in rest if cell not in MISSING]
    if decimal is None and all(DECIMAL_COMMA.fullmatch(cell) for cell in wanted):
        raise DataError(
            f"Expected numbers with a decimal point in column {name!r}, but got {wanted[0]!r}. If the comma is the "
            "decimal mark, train with decimal=','; if this is no number, with decimal='.'."
        )
    if is_number or all(DATE_LIKE.fullmatch(cell) for cell in wanted):
        return _Column("text", [None if cell in MISSING else cell for cell in cells])
    return _Column("text", cells)


def _typed(cells: Sequence[Any]) -> _Column:
    """Return the column of values of JSON, as pandas would hold them."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds <= {str}:
        return _Column("text", list(cells)) if kinds else _Column("number", list(cells))
    if kinds <= {int, float}:
        has_floats = float in kinds or None in cells
        if not has_floats and all(-(1 << (_BITS - 1)) <= cell < 1 << (_BITS - 1) for cell in cells):
            return _Column("whole", list(cells))
        return _Column("number", [None if cell is None else _as_float(cell) for cell in cells])
    return _Column("truth" if kinds == {bool} else "objects", list(cells))


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return math.inf if value > 0 else -math.inf


def _number(text: str) -> float | None:
    if _NUMBER.fullmatch(text) or _INFINITY.fullmatch(text.strip()):
        return float(text)
    return None


def _numeric(cells: Sequence[str | None], numbers: list[float | None]) -> _Column:
    """Return whole numbers if all cells are, and floats if one is not, or is missing."""
    if all(cell is not None and _WHOLE.fullmatch(cell) for cell in cells):
        whole = [int(str(cell)) for cell in cells]
        if all(-(1 << (_BITS - 1)) <= each < 1 << (_BITS - 1) for each in whole):
            return _Column("whole", whole)
    return _Column("number", numbers)


# ---------------------------------------------------------------------- numbers and dates


def _numbers(name: str, column: _Column, part: str, is_truth: bool) -> Any:
    """Return the numbers of a column, or a part of its dates, with NaN for missing and infinite values."""
    if column.kind == "seconds":
        return np.array(column.cells, dtype=np.float64)
    if part == "seconds":
        known = [cell for cell in column.cells if cell is not None]
        if known:
            raise DataError(f"Expected durations in column {name!r}, but got {known[0]!r}. A text file has none.")
        return np.full(len(column.cells), np.nan)
    if part:
        return _date_parts(name, column, part)
    whole = _array(column)
    if whole is not None:
        return whole
    found = [_value(cell, is_truth) for cell in column.cells]
    wrong = [cell for cell, value in zip(column.cells, found, strict=True) if cell is not None and math.isnan(value)]
    if wrong:
        raise DataError(
            f"Expected numbers in column {name!r} of the predict table, but got {wrong[0]!r} in {len(wrong)} of "
            f"{len(found)} rows. Clean it."
        )
    values = np.array(found, dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _array(column: _Column) -> Any:
    """Return the numbers of a column that holds nothing else, with NaN for missing and infinite ones; else ``None``."""
    if column.kind not in ("whole", "number"):
        return None
    try:
        values = np.array(column.cells, dtype=np.float64)
    except OverflowError:  # an integer of hundreds of digits
        return None
    if np.isnan(values).sum() > column.cells.count(None):  # which is an error
        return None
    return np.where(np.isfinite(values), values, np.nan)


def _value(cell: Any, is_truth: bool) -> float:
    if cell is None:
        return math.nan
    if isinstance(cell, bool | int | float):
        return _as_float(cell)
    if not isinstance(cell, str):
        return math.nan
    if is_truth and cell in BOOLEANS:
        return float(BOOLEANS[cell])
    number = _number(cell)
    return math.nan if number is None else number


def _date_parts(name: str, column: _Column, part: str) -> Any:
    values = np.full(len(column.cells), np.nan)
    for row, cell in enumerate(column.cells):
        if cell is None:
            continue
        moment = _moment(cell) if isinstance(cell, str) else None
        if moment is None:
            raise DataError(
                f"Expected dates such as 2024-12-31 in column {name!r} of the predict table, but got {cell!r}."
            )
        elapsed = moment - _EPOCH
        days = elapsed.days + (elapsed.seconds + elapsed.microseconds / 1e6) / 86400
        values[row] = {"days": days, "month": moment.month, "weekday": moment.weekday(), "hour": moment.hour}[part]
    return values


def _moment(text: str) -> dt.datetime | None:
    """Return the moment that a text in ISO 8601 names, in UTC; ``None`` for other texts."""
    found = _STAMP.fullmatch(text) or _COMPACT.fullmatch(text)
    if found is None:
        return None
    fields = {name: int(found[name] or 1) for name in ("year", "month", "day")}
    clock = {name: int(found[name] or 0) for name in ("hour", "minute", "second")}
    fraction = int((found["fraction"] or "0")[:6].ljust(6, "0"))
    try:
        moment = dt.datetime(**fields, **clock, microsecond=fraction, tzinfo=dt.timezone.utc)
    except ValueError:
        return None
    zone = found["zone"]
    if zone in (None, "Z"):
        return moment
    sign, digits = zone.strip()[0], zone.strip()[1:].replace(":", "")
    hours, minutes = (digits[:2], digits[2:]) if len(digits) > 2 else (digits, "0")
    ahead = dt.timedelta(hours=int(hours), minutes=int(minutes))
    return moment - ahead if sign == "+" else moment + ahead


def _is_date(column: _Column) -> bool:
    known = [cell for cell in column.cells if cell is not None]
    return column.kind == "text" and bool(known) and all(ISO_DATE.fullmatch(cell) for cell in known)


# ---------------------------------------------------------------------- categories


def _codes(column: _Column, category: Mapping[str, Any]) -> list[int]:
    places = {text: place for place, text in enumerate(category["categories"], 1)}
    # A truth value is one in any spelling.
    aliases = category["aliases"]
    kinds = {type(cell) for cell in column.cells}
    # Beside whole numbers they are unknown categories.
    if kinds & {list, dict} and int not in kinds:
        first = next(cell for cell in column.cells if cell is not None)
        raise DataError(
            f"Expected categories in column {category['name']!r} of the predict table, but got {first!r}. Convert it "
            "to text, as in the train table."
        )

    def code_of(cell: Any) -> int:
        if cell is None:
            return 0
        text = _text(cell)
        known = text in places or _lowered(text) in aliases
        text = text if known or category["is_text"] else text_of_value(text)
        return int(places.get(text) or aliases.get(_lowered(text), 0))

    if column.kind != "text":  # True and 1 are equal, but not the same
        return [code_of(cell) for cell in column.cells]
    codes = {cell: code_of(cell) for cell in set(column.cells)}
    return [codes[cell] for cell in column.cells]


def _lowered(text: str) -> str:
    return text.lower() if text.lower() in ("true", "false") else text


def _text(value: Any) -> str:
    if isinstance(value, float) and value == value // 1:
        return str(int(value))
    return str(value)


def text_of_value(text: str) -> str:
    """Return the text of the value that a text writes, such as ``1.0`` or a date, as categories are compared.

    Example:
        >>> text_of_value("1.0"), text_of_value("2024-01-31T00:00:00"), text_of_value("red")
        ('1', '2024-01-31', 'red')
    """
    if re.fullmatch(r"[+-]?\d+(\.\d*)?", text):
        return _text(float(text)) if len(text) <= _EXACT_DIGITS else text
    return re.sub(r"^(\d{4}-\d{2}-\d{2})[ T]00:00(:00(\.0+)?)?$", r"\1", text)

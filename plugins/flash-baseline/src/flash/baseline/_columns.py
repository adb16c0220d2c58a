"""The columns of a table as codes and numbers, for checks."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np

from flash.data.splits import times_of
from flash.data.tables import Table, is_missing
from flash.errors import DataError

from ._resampling import Array

__all__ = ["Column", "columns_of_parts", "is_gap"]

# Types whose values are missing only as None or NaN, and may be keys; others are asked one by one, which takes time.
_PLAIN = frozenset({str, int, float, bool, type(None)})
_NUMBERS = frozenset({int, float, bool})
_GAPS = frozenset({"", "?", "-", "--", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "missing", "<na>"})
_LAST = frozenset("0123456789.")
_TRUTHS = {"true": 1.0, "false": 0.0}
_OTHER_DATE = re.compile(r"\s*(\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{4}/\d{1,2}/\d{1,2})([ T]\d{1,2}:\d{2}.*)?\s*")
_SAMPLED = 50
# The share of the known cells that make a column one of numbers, where others are text.
_MOSTLY = 0.8
# Texts that are longer, or of more words, are sentences.
_LONG_TEXT = 60
_MANY_WORDS = 8


@dataclass(frozen=True)
class Column:
    """A column of several parts of a table, one after the other.

    Args:
        name: Its name.
        values: Its distinct values, in order of their first row.
        codes: The place in ``values`` of the value of each row; -1 where it is missing.
    """

    name: str
    values: Sequence[Any]
    codes: Array

    def part(self, rows: slice | Array) -> Column:
        """Return some rows, with only the values that these have."""
        codes = self.codes[rows]
        kept, first, places = np.unique(codes[codes >= 0], return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        new = np.full(len(codes), -1, dtype=np.int64)
        new[codes >= 0] = rank[places]
        return Column(self.name, [self.values[kept[place]] for place in order], new)

    @cached_property
    def known(self) -> Array:
        """True for each row that has a value."""
        return np.asarray(self.codes >= 0)

    @cached_property
    def counts(self) -> Array:
        """The number of rows per distinct value."""
        return np.bincount(self.codes[self.known], minlength=len(self.values))

    @cached_property
    def value_numbers(self) -> Array:
        """The distinct values as numbers; NaN for those that are none."""
        if set(map(type, self.values)) <= _NUMBERS:
            try:
                numbers = np.array(self.values, dtype=np.float64)
            except OverflowError:  # of huge whole numbers
                pass
            else:
                return np.where(np.isfinite(numbers), numbers, np.nan)
        numbers_of_texts = _plain_numbers(self.values)
        if numbers_of_texts is not None:
            return numbers_of_texts
        return np.array([_as_number(value) for value in self.values], dtype=np.float64)

    @cached_property
    def numbers(self) -> Array:
        """The values of the rows as numbers, NaN where there is none."""
        return np.append(self.value_numbers, np.nan)[self.codes]

    @cached_property
    def number_share(self) -> float:
        """The share of the known rows that hold numbers."""
        return float(self.counts[~np.isnan(self.value_numbers)].sum() / max(self.counts.sum(), 1))

    @property
    def is_numeric(self) -> bool:
        """True if nearly all values are numbers."""
        return self.number_share >= _MOSTLY

    @cached_property
    def is_whole(self) -> bool:
        """True if all values are whole numbers."""
        numbers = self.value_numbers
        return bool(len(numbers)) and bool(np.isfinite(numbers).all()) and bool((numbers == np.round(numbers)).all())

    @cached_property
    def texts(self) -> list[str]:
        """The values that are text, at most a sample of them."""
        step = max(1, len(self.values) // 1000)
        return [value for value in self.values[::step] if isinstance(value, str)]

    @cached_property
    def is_prose(self) -> bool:
        """True if its values are mostly sentences."""
        if not self.texts or self.is_numeric:
            return False
        length = float(np.median([len(text) for text in self.texts]))
        words = float(np.median([len(text.split()) for text in self.texts]))
        return length > _LONG_TEXT or words > _MANY_WORDS

    @cached_property
    def dates(self) -> str:
        """``"iso"`` if its values are dates that a split can read, ``"other"`` if it cannot, or else nothing."""
        step = max(1, len(self.values) // _SAMPLED)
        sample = self.values[::step]
        if not sample or isinstance(sample[0], int | float) or self.is_numeric:
            return ""
        if all(isinstance(value, str) and _OTHER_DATE.fullmatch(value) for value in sample):
            return "other"
        try:
            times_of(list(sample), list(sample))
        except (DataError, OverflowError):
            return ""
        return "iso"

    def __len__(self) -> int:
        return len(self.codes)


def columns_of_parts(parts: Mapping[str, Table], targets: Sequence[str] = ()) -> tuple[list[Column], dict[str, slice]]:
    """Return the columns that all parts have, in the order of the first, and the rows of each part in them.

    Args:
        parts: The table of each part.
        targets: Columns that a part after the first need not have; its rows then have no value.
    """
    tables = list(parts.values())
    names = [name for name in tables[0] if name in targets or all(name in table for table in tables[1:])]
    columns = [
        _column(
            name,
            # Without a copy, if there is one table.
            tables[0][name]
            if len(tables) == 1
            else [value for table in tables for value in (table[name] if name in table else [None] * table.num_rows)],
        )
        for name in names
    ]
    ends = np.cumsum([table.num_rows for table in tables]).tolist()
    starts = [0, *ends[:-1]]
    return columns, {part: slice(start, end) for part, start, end in zip(parts, starts, ends, strict=True)}


def is_gap(value: Any) -> bool:
    """Return whether a value is a text that people write for a missing one."""
    return isinstance(value, str) and value.strip().lower() in _GAPS


def _column(name: str, values: Sequence[Any]) -> Column:
    types = set(map(type, values))
    if types <= _PLAIN:
        values = [None if value != value else value for value in values] if float in types else values
    else:
        values = [None if is_missing(value) else value if _is_hashable(value) else repr(value) for value in values]
    # One pass: each new value gets the next place.
    places: defaultdict[Any, int] = defaultdict(count().__next__, {None: -1})
    codes = np.fromiter(map(places.__getitem__, values), np.int64, len(values))
    del places[None]
    return Column(name, list(places), codes)


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _plain_numbers(values: Sequence[Any]) -> Array | None:
    """Return texts as numbers if all of them are, NaN for those that are not finite; otherwise ``None``.

    A step of Python per value would take most of the time of the checks of a large table.
    """
    try:
        joined = "".join(values)
        # float also reads "1_000" and digits of other scripts.
        numbers = np.array(list(map(float, values))) if joined.isascii() and "_" not in joined else None
    except (TypeError, ValueError):
        return None
    return None if numbers is None else np.where(np.isfinite(numbers), numbers, np.nan)


def _as_number(value: Any) -> float:
    try:
        if isinstance(value, str):
            text = value.strip().lower()
            if text in _TRUTHS:
                return _TRUTHS[text]
            # float also reads "1_000", "nan" and "infinity".
            if "_" in text or text[-1:] not in _LAST:
                return math.nan
            value = text
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan

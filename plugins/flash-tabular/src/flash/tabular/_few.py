"""Values of a few rows one by one, without a step of pandas per column, which costs more than a network does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from flash.data.tables import check_encodable
from flash.errors import DataError

from .read import text_of_value, value_as_text

__all__ = ["MAX_FEW", "PlainColumns", "codes_of", "columns_of_frame", "columns_of_rows", "floats_of"]

#: The number of rows up to which values one by one take less time than columns.
MAX_FEW = 32

#: The values of each column: text, numbers, and ``None`` where one is missing.
PlainColumns: TypeAlias = dict[str, list[Any]]

_PLAIN = frozenset({str, int, float, type(None)})
# Larger integers are rounded, or refused, by the rules for their column.
_MAX_INT = 2**53


def columns_of_frame(frame: pd.DataFrame) -> PlainColumns | None:
    """Return the columns of a data frame; ``None`` if it has many rows, or values that are not plain.

    Example:
        >>> columns_of_frame(pd.DataFrame({"age": [20.0, None], "city": ["Bern", "Rome"]}))
        {'age': [20.0, None], 'city': ['Bern', 'Rome']}
    """
    if len(frame) > MAX_FEW or not all(map(_is_plain, set(frame.dtypes))):
        return None
    # One call for all columns.
    columns = frame.to_numpy(dtype=object).T.tolist()
    without_na = ([None if value is pd.NA else value for value in column] for column in columns)
    return _checked(dict(zip(frame.columns, without_na, strict=True)))


def columns_of_rows(data: Any) -> PlainColumns | None:
    """Return the columns of rows that are dicts; ``None`` if they are not, too many, or have values that are not plain.

    Example:
        >>> columns_of_rows([{"age": 20, "city": "Bern"}, {"age": 30, "city": None}])
        {'age': [20, 30], 'city': ['Bern', None]}
    """
    if not isinstance(data, list) or not 0 < len(data) <= MAX_FEW or set(map(type, data)) != {dict}:
        return None
    names = data[0].keys()
    if any(row.keys() != names for row in data) or not {str}.issuperset(map(type, names)):
        return None
    return _checked({name: [row[name] for row in data] for name in names})


def floats_of(values: Sequence[Any]) -> list[float] | None:
    """Return numbers, with NaN for missing and infinite ones; ``None`` if there is text.

    Example:
        >>> floats_of([1, 2.5, None])
        [1.0, 2.5, nan]
    """
    if any(type(value) is str for value in values):
        return None
    return [float(value) if value is not None and math.isfinite(value) else math.nan for value in values]


def codes_of(values: Sequence[Any], places: Mapping[str, int], is_text: bool) -> list[int]:
    """Return the codes of categories: one more than the place of each, 0 if there is none.

    Args:
        values: Those of the rows.
        places: The place of each category.
        is_text: Whether all categories were text.

    Example:
        >>> codes_of(["red", None, "blue"], {"green": 0, "red": 1}, True)
        [2, 0, 0]
    """
    codes = []
    for value in values:
        if value is None:
            codes.append(0)
            continue
        text = value_as_text(value)
        codes.append(places.get(text if text in places or is_text else text_of_value(text), -1) + 1)
    return codes


def _is_plain(kind: Any) -> bool:
    """Return whether the values of a column of some type may be plain."""
    if isinstance(kind, np.dtype):
        return kind == np.float64 or kind == np.int64 or kind.kind == "O"
    return isinstance(kind, pd.StringDtype)


def _checked(columns: Mapping[Any, list[Any]]) -> PlainColumns | None:
    """Return columns whose values are all plain, missing ones as ``None``; otherwise ``None``."""
    values = list(chain.from_iterable(columns.values()))
    if not _PLAIN.issuperset(map(type, values)) or _has_large_integer(values):
        return None
    try:
        check_encodable(chain(columns, values), "")
    except DataError:
        return None
    if any(value != value for value in values):
        return {name: [None if value != value else value for value in column] for name, column in columns.items()}
    return dict(columns)


def _has_large_integer(values: Iterable[Any]) -> bool:
    return any(type(value) is int and abs(value) > _MAX_INT for value in values)

"""Plain values of some rows, without the steps of pandas per column, which cost more than a network does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from flash.data.tables import check_encodable
from flash.errors import DataError

from .encoder import text_of_value
from .read import value_as_text

__all__ = [
    "MAX_FEW",
    "PlainColumns",
    "codes_of",
    "columns_of_frame",
    "columns_of_rows",
    "floats_of",
    "rows_of_columns",
]

#: The number of rows up to which this takes less time than pandas.
MAX_FEW = 1024

#: The values of each column: text, numbers, and ``None`` or NaN where one is missing.
PlainColumns: TypeAlias = dict[str, list[Any]]

_PLAIN = frozenset({str, int, float, type(None)})
# Larger integers are rounded, or refused, by the rules for their column.
_MAX_INT = 2**53


def columns_of_frame(frame: pd.DataFrame) -> PlainColumns | None:
    """Return the columns of a data frame; ``None`` if it has many rows, or values that are not plain.

    Example:
        >>> columns_of_frame(pd.DataFrame({"age": [20.0, None], "city": ["Bern", "Rome"]}))
        {'age': [20.0, nan], 'city': ['Bern', 'Rome']}
    """
    if len(frame) > MAX_FEW or not all(map(_is_plain, set(frame.dtypes))):
        return None
    # One call for all columns.
    columns = frame.to_numpy(dtype=object).T.tolist()
    without_na = ([None if value is pd.NA else value for value in column] for column in columns)
    return _checked(dict(zip(frame.columns, without_na, strict=True)))


def columns_of_rows(data: Any) -> PlainColumns | None:
    """Return the columns of rows that are dicts, or of a dict of lists, if they are not too many and all is plain.

    Returns:
        The columns; ``None`` if it is something else.

    Example:
        >>> columns_of_rows([{"age": 20, "city": "Bern"}, {"age": 30, "city": None}])
        {'age': [20, 30], 'city': ['Bern', None]}
    """
    if type(data) is dict:
        are_lists = {list}.issuperset(map(type, data.values())) and {str}.issuperset(map(type, data))
        lengths = set(map(len, data.values())) if are_lists else set[int]()
        return _checked(data) if len(lengths) == 1 and 0 < min(lengths) <= MAX_FEW else None
    if not isinstance(data, list) or not 0 < len(data) <= MAX_FEW or set(map(type, data)) != {dict}:
        return None
    names = data[0].keys()
    if any(row.keys() != names for row in data) or not {str}.issuperset(map(type, names)):
        return None
    return _checked({name: [row[name] for row in data] for name in names})


def rows_of_columns(columns: PlainColumns) -> int:
    """Return the number of rows."""
    return len(next(iter(columns.values())))


def floats_of(columns: Sequence[list[Any]], rows: int) -> npt.NDArray[np.float64] | None:
    """Return the numbers of some columns, with NaN for missing and infinite ones; ``None`` if there is text.

    Args:
        columns: Their values.
        rows: The number of rows.

    Returns:
        Shape ``(columns, rows)``.

    Example:
        >>> floats_of([[1, 2.5, None]], 3)
        array([[1. , 2.5, nan]])
    """
    if any(str in set(map(type, values)) for values in columns):  # which numpy would read as numbers
        return None
    found = np.array(columns, dtype=np.float64).reshape(-1, rows)
    return np.where(np.isfinite(found), found, np.nan)


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
    found = {value: _code(value, places, is_text) for value in set(values)}
    return [found[value] for value in values]


def _code(value: Any, places: Mapping[str, int], is_text: bool) -> int:
    if pd.isna(value):
        return 0
    text = value_as_text(value)
    return places.get(text if text in places or is_text else text_of_value(text), -1) + 1


def _is_plain(kind: Any) -> bool:
    """Return whether the values of a column of some type may be plain."""
    if isinstance(kind, np.dtype):
        return kind == np.float64 or kind == np.int64 or kind.kind == "O"
    return isinstance(kind, pd.StringDtype)


def _checked(columns: Mapping[Any, list[Any]]) -> PlainColumns | None:
    """Return columns whose values are all plain; otherwise ``None``."""
    try:
        check_encodable(columns, "")
        for values in columns.values():
            kinds = set(map(type, values))
            if not kinds <= _PLAIN or (int in kinds and _has_large_integer(values)):
                return None
            if str in kinds:
                check_encodable(values, "")
    except DataError:
        return None
    return dict(columns)


def _has_large_integer(values: Sequence[Any]) -> bool:
    whole = [value for value in values if type(value) is int]
    return max(whole) > _MAX_INT or min(whole) < -_MAX_INT

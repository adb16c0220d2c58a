"""Encode a few rows of plain values without a step of pandas per column, which costs more than a network does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from flash.data.tables import check_encodable
from flash.errors import DataError

from .read import text_of_value, value_as_text

if TYPE_CHECKING:
    from .schema import CategoricalColumn, Schema

__all__ = ["MAX_FEW", "PlainColumns", "columns_of_frame", "columns_of_rows", "encode_few"]

#: The number of rows up to which values one by one take less time than columns.
MAX_FEW = 64

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


def encode_few(
    columns: PlainColumns, schema: Schema, warns: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]] | None:
    """Return what :meth:`flash.tabular.schema.Schema.encode` encodes, if it is values alone; else ``None``.

    Whatever else there is, such as dates, and all that is an error or a warning, is for the encoder of whole columns.

    Args:
        columns: At least the columns of the schema.
        schema: What was learned from train rows.
        warns: Whether a column without any known category is a warning.

    Returns:
        Numbers before they are standardized, NaN where they are missing, shape ``(rows, numerical)``; and codes, shape
        ``(rows, categorical)``.
    """
    if not columns.keys() >= set(schema.fields) or any(column.part for column in schema.numerical):
        return None
    numbers = [_floats(columns[column.name]) for column in schema.numerical]
    codes = [_codes(columns[category.name], category) for category in schema.categorical]
    if None in numbers or None in codes:
        return None
    categories = zip(codes, schema.categorical, strict=True)
    if warns and any(not category.is_missing_flag and not any(found or ()) for found, category in categories):
        return None
    rows = len(next(iter(columns.values())))
    return (
        np.array(numbers, dtype=np.float64).reshape(-1, rows).T,
        np.array(codes, dtype=np.int32).reshape(-1, rows).T,
    )


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


def _floats(values: Sequence[Any]) -> list[float] | None:
    """Return numbers, with NaN for missing and infinite ones; ``None`` if there is text."""
    if any(type(value) is str for value in values):
        return None
    return [float(value) if value is not None and math.isfinite(value) else math.nan for value in values]


def _codes(values: Sequence[Any], column: CategoricalColumn) -> list[int] | None:
    """Return the codes of categories, or of a flag; ``None`` if the values are not for this encoder."""
    if column.is_missing_flag and column.is_text:
        return [value is None for value in values]
    if column.is_missing_flag:
        floats = _floats(values)
        return None if floats is None else list(map(math.isnan, floats))
    places = column.places
    codes = []
    for value in values:
        if value is None:
            codes.append(0)
            continue
        text = value_as_text(value)
        codes.append(places.get(text if text in places or column.is_text else text_of_value(text), -1) + 1)
    return codes

"""Read the values of data-frame columns as floats, dates or text, and tell which of them a column holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from flash.errors import DataError, MissingColumnError

__all__ = [
    "as_text",
    "check_columns",
    "factorize_as_text",
    "get_column",
    "is_date",
    "is_hashable",
    "is_number",
    "parts_of",
    "read_numbers",
]

Floats = npt.NDArray[np.float64]

_DATE = r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}.*)?"
DATE_PARTS = ("days", "month", "weekday", "hour")
_DURATION_PARTS = ("seconds",)
_NUMBER_PARTS = ("",)


def check_columns(frame: pd.DataFrame, wanted: Iterable[str], stage: str) -> None:
    """Raise a :class:`MissingColumnError` that names the columns missing in the table."""
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        known = ", ".join(repr(name) for name in list(frame.columns)[:20])
        raise MissingColumnError(
            f"Expected the {stage} table to have the column{'s' * (len(missing) > 1)} "
            f"{', '.join(map(repr, missing))}, but it has only {known}. Add what is missing, or name other fields."
        )


def get_column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """Return a column of a table; dates and durations of Arrow types are converted to NumPy's."""
    series: pd.Series[Any] = frame[name]
    if isinstance(series.dtype, pd.ArrowDtype) and series.dtype.kind in "mMO":
        # Some pandas versions do not recognize dates and durations of Arrow types, or cannot compute with them.
        series = series.astype(object).where(series.notna(), None).infer_objects()
    return series


def is_number(series: pd.Series[Any]) -> bool:
    """Return whether a column holds numbers, also as Python objects."""
    # Object columns of Python numbers, as from databases, Parquet files and transposed tables.
    own = ("integer", "floating", "mixed-integer-float", "decimal")
    return pd.api.types.is_numeric_dtype(series) or pd.api.types.infer_dtype(series, skipna=True) in own


def is_date(series: pd.Series[Any]) -> bool:
    """Return whether a column holds dates, also as objects or ISO 8601 text."""
    if pd.api.types.is_datetime64_any_dtype(series):
        return True
    if pd.api.types.is_numeric_dtype(series) or isinstance(series.dtype, pd.CategoricalDtype):
        return False
    kind = pd.api.types.infer_dtype(series, skipna=True)
    return kind in ("date", "datetime") or (kind == "string" and bool(series.dropna().str.fullmatch(_DATE).all()))


def is_hashable(series: pd.Series[Any]) -> bool:
    """Return whether all values of a column are hashable, as categories must be."""
    if pd.api.types.infer_dtype(series, skipna=True) != "mixed":
        return True
    try:
        pd.factorize(series)
    except TypeError:
        return False
    return True


def parts_of(series: pd.Series[Any]) -> tuple[str, ...]:
    """Return the parts of a column that become numbers: of dates and durations several, else the value itself."""
    if series.dtype.kind == "m":
        return _DURATION_PARTS
    return DATE_PARTS if is_date(series) else _NUMBER_PARTS


def read_numbers(
    series: pd.Series[Any], part: str, stage: str, hint: str = "Clean it, or name it in categorical_fields."
) -> Floats:
    """Convert a column to floats, with NaN for missing and infinite values; of dates and durations, one part.

    Raises:
        DataError: If a value is neither a number nor missing; the message shows the value, and ends with ``hint``.
    """
    if part in _DURATION_PARTS:
        return _seconds(series, stage)
    if part:
        return _date_part(series, part, stage)
    if pd.api.types.is_bool_dtype(series) or pd.api.types.is_numeric_dtype(series):
        return _finite(series.astype("float64").to_numpy(dtype=np.float64, na_value=np.nan))
    values = series.astype(object)
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = (numbers.isna() | (series.dtype.kind == "m")) & series.notna()
    if wrong.any():
        raise DataError(
            f"Expected numbers in column {series.name!r} of the {stage} table, but got {values[wrong].iloc[0]!r}"
            f" in {int(wrong.sum())} of {len(series)} rows. {hint}"
        )
    return _finite(numbers.to_numpy(dtype=np.float64))


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)


def _seconds(series: pd.Series[Any], stage: str) -> Floats:
    known = series.dropna().astype(object)
    if len(known) and series.dtype.kind != "m":
        raise DataError(
            f"Expected durations in column {series.name!r} of the {stage} table, but got {known.iloc[0]!r}. "
            "Convert it with pandas.to_timedelta."
        )
    if not len(known):
        return np.full(len(series), np.nan)
    return _finite(series.dt.total_seconds().to_numpy(dtype=np.float64, na_value=np.nan))


def _date_part(series: pd.Series[Any], part: str, stage: str) -> Floats:
    known = series.dropna().astype(object)
    if not len(known):
        return np.full(len(series), np.nan)
    if pd.api.types.is_numeric_dtype(series):
        # pd.to_datetime would interpret numbers as nanoseconds.
        wrong = known
    else:
        layout = None if series.dtype.kind == "M" else "ISO8601"
        dates = pd.to_datetime(series, errors="coerce", utc=True, format=layout)
        wrong = known[dates.isna()[series.notna()].to_numpy()]
    if len(wrong):
        raise DataError(
            f"Expected dates such as 2024-12-31 in column {series.name!r} of the {stage} table, but got "
            f"{wrong.iloc[0]!r}. Convert it with pandas.to_datetime."
        )
    if part == "days":
        elapsed = dates - pd.Timestamp("1970-01-01", tz="UTC")
        number = elapsed.dt.total_seconds() / 86400
    else:
        number = {"month": dates.dt.month, "weekday": dates.dt.day_of_week, "hour": dates.dt.hour}[part]
    floats: Floats = number.to_numpy(dtype=np.float64, na_value=np.nan)
    return floats


def as_text(series: pd.Series[Any]) -> pd.Series[Any]:
    """Convert values to text; an integer is the same category whether it is stored as 1, 1.0 or "1"."""
    if pd.api.types.is_bool_dtype(series):
        return series.astype(object).map(str, na_action="ignore")
    return series.astype(object).map(_text, na_action="ignore")


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def factorize_as_text(series: pd.Series[Any]) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return the index of each row's text, -1 if missing, and the distinct texts: one Python call per distinct text."""
    if pd.api.types.infer_dtype(series, skipna=True).startswith("mixed"):
        # True and 1 are equal, but different categories.
        series = as_text(series)
    rows, distinct = pd.factorize(series)
    return rows.astype(np.int64), as_text(pd.Series(distinct)).tolist()

"""Read tables from files, data frames, dicts and lists into a data frame, and its columns as floats or text."""

from __future__ import annotations

import datetime as dt
import math
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from flash.data import tables
from flash.data.messages import show_some
from flash.data.tables import check_encodable
from flash.errors import DataError, MissingColumnError

from ._disguises import disguise_of
from .encoder import BOOLEANS, DATE_LIKE, DECIMAL_COMMA, ISO_DATE, MISSING

__all__ = [
    "as_text",
    "check_columns",
    "factorize_as_text",
    "get_column",
    "is_date",
    "is_hashable",
    "is_numeric",
    "parts_of",
    "read_numbers",
    "read_table",
    "value_as_text",
]

Floats = npt.NDArray[np.float64]

# The first cells of a column that say whether its values repeat.
_HEAD = 1000
DATE_PARTS = ("days", "month", "weekday", "hour")
DURATION_PARTS = ("seconds",)
_NUMBER_PARTS = ("",)


def read_table(
    data: Any,
    text_fields: Collection[str] = (),
    number_fields: Collection[str] = (),
    class_fields: Collection[str] = (),
    decimal: str | None = None,
) -> pd.DataFrame:
    """Read a table into a data frame with unique string column names; a data frame is not copied.

    Args:
        data: Any input of :func:`flash.data.tables.read_table`; a pandas data frame, a dict of columns, or a list of
            rows that are dicts, tuples or lists.
        text_fields: Columns of untyped files to read as text, even if all values look like numbers.
        number_fields: Columns of untyped files to read as numbers where possible.
        class_fields: Columns of untyped files that are class labels, which stay as written (``1.10``), unless all are
            integers.
        decimal: The decimal mark of numbers in untyped files; ``None`` is a point, and decimal commas are an error.

    Raises:
        DataError: If the input is none of these, empty, or has duplicate column names.

    Example:
        >>> read_table([{"a": 1, "b": "x"}, {"a": 2}]).columns.tolist()
        ['a', 'b']
    """
    frame: pd.DataFrame
    if isinstance(data, pd.DataFrame):
        frame = data
    elif isinstance(data, Mapping) and not isinstance(data, tables.Table):
        frame = _from_columns(data)
    elif isinstance(data, Sequence) and not isinstance(data, str) and not _is_file_list(data):
        frame = _from_rows(data)
    else:
        table = tables.read_table(data)
        if table.is_text:
            frame = _infer_types(table, text_fields, number_fields, class_fields, decimal)
        elif isinstance(table.frame, pd.DataFrame):
            frame = table.frame
        elif table.frame is not None:
            frame = table.frame.to_pandas()
        else:
            frame = _made(pd.DataFrame, dict(table))
    return _check_frame(frame, "the table")


def _is_file_list(data: Sequence[Any]) -> bool:
    return bool(data) and all(tables.is_table_file(part) or hasattr(part, "read") for part in data)


# ---------------------------------------------------------------------- types of text files


def _infer_types(
    table: tables.Table,
    text_fields: Collection[str],
    number_fields: Collection[str],
    class_fields: Collection[str],
    decimal: str | None,
) -> pd.DataFrame:
    """Infer the column types of a text file. This is the only place that decides which text is a number."""
    columns: dict[str, pd.Series[Any]] = {}
    check_encodable(table, f"the names of the columns of {table.name}")
    for name, cells in table.columns.items():
        check_encodable(cells, f"column {name!r} of {table.name}")
        if name in class_fields:
            columns[name] = pd.Series(tables.whole_numbers(cells), dtype=object)
        elif name in text_fields:
            columns[name] = pd.Series(cells, dtype=object)
        else:
            columns[name] = _infer_column_type(name, cells, table.name, name in number_fields, decimal)
    frame: pd.DataFrame = pd.DataFrame(columns)
    return frame


def _infer_column_type(name: str, cells: list[str | None], source: str, is_number: bool, decimal: str | None) -> Any:
    text = pd.Series(cells, dtype=object)
    if decimal not in (None, "."):
        text = text.str.replace(decimal, ".", regex=False).where(text.notna(), None)
    numbers = _as_numbers(text)
    unread = numbers.isna()
    if not unread.any():
        return numbers
    known = text.notna()
    rest = text[unread & known]
    words = set(rest.unique())
    if words <= MISSING:
        others = len(text) - len(rest)
        return numbers if is_number or len(rest) < others or not words else pd.Series(cells, dtype=object)
    if words <= BOOLEANS.keys() and unread.all():
        truth = text.map(BOOLEANS)
        return truth.astype(bool) if known.all() else truth.astype(object).where(known, None)
    wanted = words - MISSING
    if decimal is None and all(map(DECIMAL_COMMA.fullmatch, wanted)):
        first = rest[~rest.isin(MISSING)].iloc[0]
        raise DataError(
            f"Expected numbers with a decimal point in column {name!r} of {source}, but got {first!r}. If the "
            "comma is the decimal mark, pass decimal=','; if this is no number, pass decimal='.'."
        )
    if is_number or all(map(DATE_LIKE.fullmatch, wanted)):
        return pd.Series(cells, dtype=object).where(~text.isin(MISSING), None)
    return pd.Series(cells, dtype=object)


def _as_numbers(text: pd.Series[Any]) -> pd.Series[Any]:
    """Return texts as numbers, NaN where they are none or missing."""
    head = text.head(_HEAD)
    if len(text) <= _HEAD or head.nunique() > _HEAD / 2:
        numbers: Any = pd.to_numeric(text, errors="coerce")
        return numbers  # type: ignore[no-any-return]  # a series of a series
    # Few values, many times each: each is read once.
    rows, distinct = pd.factorize(text)
    read = pd.to_numeric(pd.Series(distinct, dtype=object), errors="coerce")
    if (rows < 0).any():
        read = pd.concat([read, pd.Series([math.nan])], ignore_index=True)
    each: pd.Series[Any] = pd.Series(read.to_numpy()[rows])
    return each


# ---------------------------------------------------------------------- rows and columns


def _from_rows(data: Sequence[Any]) -> pd.DataFrame:
    kinds = {type(row) for row in data}
    for kind in kinds:
        if issubclass(kind, str | bytes) or not issubclass(kind, Mapping | Sequence | pd.Series | np.ndarray):
            raise DataError(
                f"Expected a list of rows, each a dict, tuple or list, but got one of type {kind.__name__}. "
                "For a single row, pass [row]."
            )
    if len({issubclass(kind, Mapping | pd.Series) for kind in kinds}) > 1:
        raise DataError("Expected rows of one kind, but some name their values and some do not. Pass dicts only.")
    return _made(pd.DataFrame.from_records, list(data)) if len(data) else pd.DataFrame()


def _from_columns(data: Mapping[Any, Any]) -> pd.DataFrame:
    try:
        frame = _made(pd.DataFrame, data)
    except DataError:
        raise
    except ValueError as error:
        scalars = all(not isinstance(value, Sequence) or isinstance(value, str) for value in data.values())
        hint = "For a single row, pass [row]." if scalars else "Give every column the same number of values."
        raise DataError(f"Expected a dict of columns, but pandas raised: {error}. {hint}") from error
    return frame


def _made(make: Callable[[Any], pd.DataFrame], data: Any) -> pd.DataFrame:
    """Make a data frame; newer versions of pandas cannot hold every text that Python can."""
    try:
        return make(data)
    except UnicodeEncodeError:
        columns = data if isinstance(data, Mapping) else _columns_of_rows(data)
        check_encodable(columns, "the names of the columns of the table")
        for name, values in columns.items():
            check_encodable(values, f"column {name!r} of the table")
        raise


def _columns_of_rows(rows: Sequence[Any]) -> dict[Any, list[Any]]:
    if isinstance(rows[0], Mapping | pd.Series):
        names = dict.fromkeys(name for row in rows for name in row.keys())  # noqa: SIM118  # a series iterates its values
        return {name: [row.get(name) for row in rows] for name in names}
    return dict(enumerate(map(list, zip_longest(*rows))))


def _check_frame(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    if len(frame) == 0 or len(frame.columns) == 0:
        raise DataError(f"Expected {name} to have rows and columns, but it has shape {frame.shape}.")
    columns = [str(column) for column in frame.columns]
    check_encodable(columns, f"the names of the columns of {name}")
    tables.check_unique(columns, name)
    if columns != list(frame.columns):
        frame = frame.set_axis(columns, axis=1)
    return frame


# ---------------------------------------------------------------------- values of a column


def check_columns(columns: Iterable[str], wanted: Iterable[str], stage: str) -> None:
    """Raise a :class:`MissingColumnError` that names the columns missing among those of the table."""
    present = list(columns)
    missing = [name for name in wanted if name not in present]
    if missing:
        known = show_some(present, most=20)
        unknown = "Add what is missing, with None where it is unknown."
        advice = unknown if stage == "predict" else "Add what is missing, or name other fields."
        raise MissingColumnError(
            f"Expected the {stage} table to have the column{'s' * (len(missing) > 1)} "
            f"{', '.join(map(repr, missing))}, but it has only {known}. {advice}"
        )


def get_column(frame: pd.DataFrame, name: str, stage: str) -> pd.Series[Any]:
    """Return a column of a table; dates and durations of Arrow types are converted to NumPy's, tensors to numbers.

    Raises:
        DataError: If a text in it has half of a character.
    """
    series: pd.Series[Any] = frame[name]
    if series.dtype == object or isinstance(series.dtype, pd.StringDtype | pd.CategoricalDtype):
        check_encodable(series.tolist(), f"column {name!r} of the {stage} table")
    kind = pd.api.types.infer_dtype(series, skipna=True) if series.dtype == object else ""
    if kind == "string":
        return series
    if series.dtype == object:
        series = _without_scalar_tensors(series)
    if isinstance(series.dtype, pd.ArrowDtype) and series.dtype.kind in "mMO":
        # Some pandas versions do not recognize dates and durations of Arrow types, or cannot compute with them.
        series = series.astype(object).where(series.notna(), None).infer_objects()
    if series.dtype == object and pd.api.types.infer_dtype(series, skipna=True) == "timedelta":
        series = pd.to_timedelta(series)
    return series


def _without_scalar_tensors(series: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column with numbers in place of tensors and arrays of no dimension."""
    kinds = {type(value) for value in series if getattr(value, "shape", None) == () and hasattr(value, "item")}
    if not any(not issubclass(kind, np.generic) for kind in kinds):
        return series
    values = [value.item() if getattr(value, "shape", None) == () else value for value in series]
    numbers: pd.Series[Any] = pd.Series(values, index=series.index, name=series.name)
    return numbers


def is_numeric(series: pd.Series[Any]) -> bool:
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
    if kind == "string":
        # Of most columns of text the first one tells.
        fits = ISO_DATE.fullmatch
        first = next((value for value in series if isinstance(value, str)), "")
        return bool(fits(first)) and all(map(fits, series.dropna().unique()))
    return kind in ("date", "datetime")


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
        return DURATION_PARTS
    return DATE_PARTS if is_date(series) else _NUMBER_PARTS


def read_numbers(
    series: pd.Series[Any],
    part: str,
    stage: str,
    hint: str = "Clean it, or name it in categorical_fields.",
    is_truth: bool = False,
) -> Floats:
    """Convert a column to floats, with NaN for missing and infinite values; of dates and durations, one part.

    Args:
        series: The column.
        part: The part of dates or durations; empty for numbers.
        stage: The stage, for messages.
        hint: What to do, the end of the message.
        is_truth: Whether the train rows hold only zeros and ones, which may also be written ``true`` and ``false``.

    Raises:
        DataError: If a value is neither a number nor missing; the message shows the value, and ends with ``hint``.
    """
    if part in DURATION_PARTS:
        return _seconds(series, stage)
    if part:
        return _date_part(series, part, stage)
    if pd.api.types.is_bool_dtype(series) or pd.api.types.is_numeric_dtype(series):
        return _finite(series.astype("float64").to_numpy(dtype=np.float64, na_value=np.nan))
    values = series.astype(object)
    known = values.map(_truth_as_number) if is_truth else values
    try:
        numbers = pd.to_numeric(known, errors="coerce")
    except OverflowError:  # an integer of hundreds of digits
        numbers = pd.to_numeric(known.map(_within_float), errors="coerce")
    wrong = (numbers.isna() | (series.dtype.kind == "m")) & series.notna()
    if wrong.any():
        looks = disguise_of(values[wrong])
        if looks:
            hint = f"They look like {looks}."
        raise DataError(
            f"Expected numbers in column {series.name!r} of the {stage} table, but got {values[wrong].iloc[0]!r}"
            f" in {int(wrong.sum())} of {len(series)} rows. {hint}"
        )
    return _finite(numbers.to_numpy(dtype=np.float64))


def _truth_as_number(value: Any) -> Any:
    return int(BOOLEANS[value]) if isinstance(value, str) and value in BOOLEANS else value


def _within_float(value: Any) -> Any:
    """Return infinity in place of an integer that no float can hold."""
    if not isinstance(value, int) or abs(value) <= sys.float_info.max:
        return value
    return math.inf if value > 0 else -math.inf


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
    """Convert values to text, the same for the same value: 1 and 1.0, floats of any precision, a date and its day."""
    if pd.api.types.is_bool_dtype(series):
        return series.astype(object).map(str, na_action="ignore")
    if isinstance(series.dtype, np.dtype) and series.dtype.kind == "f" and series.dtype.itemsize < 8:
        # As Python floats, 0.1 of 32 bits would be 0.10000000149011612.
        series = pd.Series(list(series.to_numpy()), index=series.index, name=series.name, dtype=object)
    return series.astype(object).map(value_as_text, na_action="ignore")


def value_as_text(value: Any) -> str:
    """Return the text of one value that is not missing; see :func:`as_text`.

    Example:
        >>> value_as_text(1.0), value_as_text("1.0")
        ('1', '1.0')
    """
    if isinstance(value, float | np.floating | Decimal) and value == value // 1:
        return str(int(value))
    if isinstance(value, dt.datetime) and value.tzinfo is None and value.time() == dt.time():
        return value.date().isoformat()
    return str(value)


def factorize_as_text(series: pd.Series[Any]) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return the index of each row's text, -1 if missing, and the distinct texts: one Python call per distinct text."""
    if series.dtype == np.float16 or pd.api.types.infer_dtype(series, skipna=True).startswith("mixed"):
        # True and 1 are equal, but different categories; numbers of 16 bits would become ones of 32.
        series = as_text(series)
    rows, distinct = pd.factorize(series)
    return rows.astype(np.int64), as_text(pd.Series(distinct)).tolist()

"""What train rows say about a table's columns: which are numbers, which are categories, and their statistics."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from flash.errors import ConfigurationError, DataError, MissingColumnError

__all__ = ["CategoricalColumn", "NumericalColumn", "Schema", "learn_schema"]

Floats = npt.NDArray[np.float64]

MAX_BINS = 128
MAX_CATEGORIES = 1000
# Text with more different values than this share of the rows names the rows instead of grouping them.
_MOST_DISTINCT = 0.5
_FEW_ROWS = 50
_DATE = r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}.*)?"
_DATE_PARTS = ("days", "month", "weekday", "hour")
_DURATION_PARTS = ("seconds",)
_NUMBER_PARTS = ("",)
# Further from the mean, in standard deviations, than any of 10**12 train rows can be. Networks answer NaN to much
# larger numbers.
_FURTHEST = 1e6
# From this many rows on, it is no coincidence that none of them has a known category.
_MANY_ROWS = 10


@dataclass(frozen=True)
class NumericalColumn:
    """A number: a column's own, or a part of its date.

    Attributes:
        name: The column.
        part: For dates and durations, which number is made of it; else empty.
        mean: The mean of the train rows; what is missing counts as the mean.
        std: The standard deviation of the train rows.
        bins: Edges between which train rows lie, in standardised units; a distinct value is an edge where there
            are few, which keeps spikes such as "0 in nine of ten rows" apart.
    """

    name: str
    part: str
    mean: float
    std: float
    bins: list[float]


@dataclass(frozen=True)
class CategoricalColumn:
    """A category, or whether a number is missing.

    Attributes:
        name: The column.
        is_missing_flag: Whether the category is just "present" or "missing", of a number or of text that is left out.
        categories: The most frequent values of the train rows, as text; value ``i`` has code ``i + 1``, and code 0 is
            for what is missing or was not seen in the train rows.
        is_text: Whether all values of the train rows were text: a file without types is read accordingly.
    """

    name: str
    is_missing_flag: bool
    categories: list[str]
    is_text: bool = False


@dataclass
class Schema:
    """The columns that a network sees, and how they become numbers. All of it was learned from train rows.

    Attributes:
        numerical: The numbers, in order.
        categorical: The categories, in order.
        left_out: Columns that are not used, with the reason.
    """

    numerical: list[NumericalColumn]
    categorical: list[CategoricalColumn]
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def fields(self) -> list[str]:
        """The columns of the table that are needed."""
        names = [column.name for column in self.numerical] + [column.name for column in self.categorical]
        return list(dict.fromkeys(names))

    @property
    def text_fields(self) -> list[str]:
        """The columns that are text, even where all of it looks like numbers."""
        return [column.name for column in self.categorical if column.is_text]

    @property
    def cardinalities(self) -> list[int]:
        """How many codes each category has, code 0 included."""
        return [len(column.categories) + 1 for column in self.categorical]

    @property
    def bins(self) -> list[list[float]]:
        """The bin edges of each number."""
        return [column.bins for column in self.numerical]

    def encode(self, frame: pd.DataFrame, stage: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
        """Return numbers, shape ``(rows, len(numerical))``, and codes, shape ``(rows, len(categorical))``.

        Raises:
            MissingColumnError: If a column is not in the table.
            DataError: If a column of numbers holds something else.
        """
        check_columns(frame, self.fields, stage)
        numbers = np.empty((len(frame), len(self.numerical)), dtype=np.float32)
        codes = np.empty((len(frame), len(self.categorical)), dtype=np.int32)
        parts: dict[str, str] = {}
        for place, column in enumerate(self.numerical):
            raw = read_numbers(_column(frame, column.name), column.part, stage)
            numbers[:, place] = _standardised(raw, column.mean, column.std)
            parts[column.name] = column.part
        for place, category in enumerate(self.categorical):
            series = _column(frame, category.name)
            if category.is_missing_flag and category.is_text:
                codes[:, place] = series.isna()
            elif category.is_missing_flag:
                part = parts.get(category.name, _parts(series)[0])
                codes[:, place] = np.isnan(read_numbers(series, part, stage))
            else:
                codes[:, place] = _codes(series, category, stage)
        return numbers, codes

    def to_plain(self) -> dict[str, Any]:
        """Plain data, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Schema:
        """Undo :meth:`to_plain`."""
        return cls(
            [NumericalColumn(**column) for column in plain["numerical"]],
            [CategoricalColumn(**column) for column in plain["categorical"]],
            dict(plain["left_out"]),
        )

    def summary(self) -> str:
        """What was found, for people."""
        dates = {column.name for column in self.numerical if column.part in _DATE_PARTS}
        flags = {column.name: "" for column in self.categorical if column.is_missing_flag}
        numerical = [c.name for c in self.numerical if c.part not in _DATE_PARTS]
        only_flags = [f"{name} (only whether it is missing)" for name in flags if name not in (*numerical, *dates)]
        categorical = [f"{c.name} ({len(c.categories)})" for c in self.categorical if not c.is_missing_flag]
        lines = [
            ("numerical_fields", [name + (" (with missing)" if name in flags else "") for name in numerical]),
            ("dates", [name + (" (with missing)" if name in flags else "") for name in sorted(dates)]),
            ("categorical_fields", [*categorical, *only_flags]),
            ("left out", [f"{name} ({reason})" for name, reason in self.left_out.items()]),
        ]
        return "\n".join(f"{title}: {', '.join(names)}" for title, names in lines if names)


def check_columns(frame: pd.DataFrame, wanted: Iterable[str], stage: str) -> None:
    """Raise a :class:`MissingColumnError` that names what the table lacks."""
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        known = ", ".join(repr(name) for name in list(frame.columns)[:20])
        raise MissingColumnError(
            f"Expected the {stage} table to have the column{'s' * (len(missing) > 1)} "
            f"{', '.join(map(repr, missing))}, but it has only {known}. Add what is missing, or name other fields."
        )


def _column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    series: pd.Series[Any] = frame[name]
    if isinstance(series.dtype, pd.ArrowDtype) and series.dtype.kind in "mMO":
        # Not every pandas can compute with dates and durations of Arrow's own types, or recognises them.
        series = series.astype(object).where(series.notna(), None).infer_objects()
    return series


def learn_schema(
    frame: pd.DataFrame,
    categorical: Sequence[str] | None,
    numerical: Sequence[str] | None,
    targets: Sequence[str],
) -> Schema:
    """Learn the columns' kinds and statistics from train rows.

    Fields that are named are taken as such. Where neither kind is named, all other columns are looked at: bool and
    text are categories, numbers and dates are numbers. Left out are constant columns, and text that nearly every
    row has another value of.

    Raises:
        MissingColumnError: If a named column is not in the table.
        ConfigurationError: If a column is named twice.
        DataError: If a column has no values at all, or nothing is left to learn from.
    """
    named = [*(categorical or []), *(numerical or []), *targets]
    check_columns(frame, named, "train")
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise ConfigurationError(
            f"Expected each column in one role, but {', '.join(map(repr, twice))} is named in several of "
            "categorical_fields, numerical_fields and target_fields."
        )
    schema = Schema([], [])
    infer = categorical is None and numerical is None
    columns = [name for name in frame.columns if name not in targets] if infer else named[: -len(targets) or None]
    for name in columns:
        series = _column(frame, name)
        if series.isna().all():
            raise DataError(
                f"Expected values in column {name!r} of the train table, but all {len(frame)} are missing. "
                f"Drop it: frame.drop(columns={name!r}), or leave it out of the fields."
            )
        if infer:
            _learn_any(schema, series)
        elif name in (categorical or []):
            _learn_categories(schema, series)
        else:
            _learn_numbers(schema, series)
    if not schema.numerical and not schema.categorical:
        reasons = ", ".join(f"{name!r} is {reason}" for name, reason in schema.left_out.items()) or "none is named"
        raise DataError(
            f"Expected at least one column to learn from, but none is left: {reasons}. "
            "Name categorical_fields or numerical_fields yourself."
        )
    return schema


def _learn_any(schema: Schema, series: pd.Series[Any]) -> None:
    if pd.api.types.is_bool_dtype(series) or isinstance(series.dtype, pd.CategoricalDtype):
        _learn_categories(schema, series)
    elif _is_number(series) or _is_date(series) or series.dtype.kind == "m":
        _learn_numbers(schema, series)
    elif not _is_hashable(series):
        schema.left_out[str(series.name)] = f"made of values of type {type(series.dropna().iloc[0]).__name__}"
    else:
        distinct = series.nunique()
        if len(series) >= _FEW_ROWS and distinct > _MOST_DISTINCT * series.notna().sum():
            reason = f"text with {distinct} different values in {len(series)} rows"
            schema.left_out[str(series.name)] = reason + _hint_of_numbers(series)
            if series.isna().any():
                schema.categorical.append(CategoricalColumn(str(series.name), True, ["missing"], True))
        else:
            _learn_categories(schema, series)


def _hint_of_numbers(series: pd.Series[Any]) -> str:
    known = series.dropna()
    wrong = known[pd.to_numeric(known.astype(object), errors="coerce").isna()]
    if len(wrong) > len(known) / 10:
        return ""
    unlike = f", but for {len(wrong)} such as {wrong.iloc[0]!r}" if len(wrong) else ""
    return f" that are numbers{unlike}: convert it with pandas.to_numeric"


def _learn_categories(schema: Schema, series: pd.Series[Any]) -> None:
    name = str(series.name)
    if not _is_hashable(series):
        raise DataError(
            f"Expected categories in column {name!r} of the train table, but got values of type "
            f"{type(series.dropna().iloc[0]).__name__}. Convert them to text, or leave the column out."
        )
    # Networks that see categories as zeros and a one grow with their number; rare ones teach little.
    categories = sorted(_as_text(series).value_counts().index[:MAX_CATEGORIES].tolist())
    if len(categories) == 1 and series.notna().all():
        schema.left_out[name] = "constant"
        return
    is_text = pd.api.types.infer_dtype(series.dropna().astype(object)) == "string"
    schema.categorical.append(CategoricalColumn(name, False, categories, is_text))


def _learn_numbers(schema: Schema, series: pd.Series[Any]) -> None:
    name = str(series.name)
    parts = _parts(series)
    constant = True
    for part in parts:
        values = read_numbers(series, part, "train")
        known = values[~np.isnan(values)]
        if len(known) and known.min() < known.max():
            mean, std = mean_and_std(known)
            schema.numerical.append(NumericalColumn(name, part, mean, std, _bins(_standardised(known, mean, std))))
            constant = False
    has_missing = bool(np.isnan(read_numbers(series, parts[0], "train")).any())
    if has_missing:
        schema.categorical.append(CategoricalColumn(name, True, ["missing"]))
    elif constant:
        schema.left_out[name] = "constant"


def mean_and_std(values: Floats) -> tuple[float, float]:
    """Return mean and standard deviation, without an overflow on the way to either."""
    scale = float(np.abs(values).max()) or 1.0
    scaled = values / scale
    mean = scaled.mean()
    spread = float(np.abs(scaled - mean).max()) or 1.0
    return float(mean * scale), float(((scaled - mean) / spread).std() * spread * scale)


def _standardised(values: Floats, mean: float, std: float) -> Floats:
    with np.errstate(over="ignore"):
        return np.nan_to_num(np.clip((values - mean) / std, -_FURTHEST, _FURTHEST), nan=0.0)


def _bins(values: Floats) -> list[float]:
    distinct = np.unique(values.astype(np.float32))
    if len(distinct) > MAX_BINS + 1:
        # Quantiles of the distinct values: those of all rows would fall together where one value is frequent.
        distinct = np.unique(np.quantile(distinct, np.linspace(0, 1, MAX_BINS + 1)).astype(np.float32))
    edges: list[float] = distinct.tolist()
    return edges


def _is_number(series: pd.Series[Any]) -> bool:
    # Python's own numbers, as they come from databases, Parquet files and transposed tables.
    own = ("integer", "floating", "mixed-integer-float", "decimal")
    return pd.api.types.is_numeric_dtype(series) or pd.api.types.infer_dtype(series, skipna=True) in own


def _is_date(series: pd.Series[Any]) -> bool:
    if pd.api.types.is_datetime64_any_dtype(series):
        return True
    if pd.api.types.is_numeric_dtype(series) or isinstance(series.dtype, pd.CategoricalDtype):
        return False
    kind = pd.api.types.infer_dtype(series, skipna=True)
    return kind in ("date", "datetime") or (kind == "string" and bool(series.dropna().str.fullmatch(_DATE).all()))


def _is_hashable(series: pd.Series[Any]) -> bool:
    if pd.api.types.infer_dtype(series, skipna=True) != "mixed":
        return True
    try:
        pd.factorize(series)
    except TypeError:
        return False
    return True


def _parts(series: pd.Series[Any]) -> tuple[str, ...]:
    """The numbers that are made of a column."""
    if series.dtype.kind == "m":
        return _DURATION_PARTS
    return _DATE_PARTS if _is_date(series) else _NUMBER_PARTS


def read_numbers(
    series: pd.Series[Any], part: str, stage: str, hint: str = "Clean it, or name it in categorical_fields."
) -> Floats:
    """Return a column as floats, with NaN for what is missing or infinite; for dates one part of them.

    Raises:
        DataError: If a value is neither a number nor missing; the message shows it, and what to do as in ``hint``.
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
        # They would be taken for years, or for nanoseconds.
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


def _as_text(series: pd.Series[Any]) -> pd.Series[Any]:
    """Values as text; a whole number is the same category whether it is stored as 1, 1.0 or "1"."""
    if pd.api.types.is_bool_dtype(series):
        return series.astype(object).map(str, na_action="ignore")
    return series.astype(object).map(_text, na_action="ignore")


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _codes(series: pd.Series[Any], column: CategoricalColumn, stage: str) -> npt.NDArray[np.int32]:
    if not _is_hashable(series):
        raise DataError(
            f"Expected categories in column {column.name!r} of the {stage} table, but got "
            f"{series.dropna().iloc[0]!r}. Convert it to text, as in the train table."
        )
    code_of = {category: code for code, category in enumerate(column.categories, start=1)}
    rows, texts = _distinct_as_text(series)
    codes = np.array([*(code_of.get(text, 0) for text in texts), 0], dtype=np.int32)[rows]
    if len(series) >= _MANY_ROWS and not codes.any() and series.notna().any():
        known = series.dropna().astype(object)
        warnings.warn(
            f"None of the {len(known)} values in column {column.name!r} of the {stage} table, such as "
            f"{known.iloc[0]!r}, is among the {len(column.categories)} categories of the train rows, such as "
            f"{column.categories[0]!r}. All count as unknown; is it the same column, of the same type?",
            stacklevel=2,
        )
    return codes


def _distinct_as_text(series: pd.Series[Any]) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Each row's place in a list of texts, -1 for missing values: one Python call a text instead of a row."""
    if pd.api.types.infer_dtype(series, skipna=True).startswith("mixed"):
        # True and 1 are equal, but different categories.
        series = _as_text(series)
    rows, distinct = pd.factorize(series)
    return rows.astype(np.int64), _as_text(pd.Series(distinct)).tolist()

"""What train rows say about a table's columns: which are numbers, which are categories, and their statistics."""

from __future__ import annotations

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
# Text with more different values than this share of the rows names the rows instead of grouping them.
_MOST_DISTINCT = 0.5
_FEW_ROWS = 50
_DATE = r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}.*)?"
_DATE_PARTS = ("days", "month", "weekday", "hour")


@dataclass(frozen=True)
class NumericalColumn:
    """A number: a column's own, or a part of its date.

    Attributes:
        name: The column.
        part: For dates, which number is made of it; else empty.
        mean: The mean of the train rows; what is missing counts as the mean.
        std: The standard deviation of the train rows.
        bins: Edges between which train rows lie, in standardised units; a distinct value is an edge where there are
            few, which keeps spikes such as "0 in nine of ten rows" apart.
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
        is_missing_flag: Whether the category is just "present" or "missing" of a number.
        categories: The values of the train rows, as text; value ``i`` has code ``i + 1``, and code 0 is for what is
            missing or was not seen in the train rows.
    """

    name: str
    is_missing_flag: bool
    categories: list[str]


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
        return list(dict.fromkeys(column.name for column in (*self.numerical, *self.categorical)))

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
        for name in self.fields:
            series = frame[name]
            for place, column in enumerate(self.numerical):
                if column.name == name:
                    raw = read_numbers(series, column.part, stage)
                    numbers[:, place] = np.nan_to_num((raw - column.mean) / column.std, nan=0.0)
            for place, category in enumerate(self.categorical):
                if category.name == name:
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
        dates = {column.name for column in self.numerical if column.part}
        flags = {column.name for column in self.categorical if column.is_missing_flag}
        numerical = [c.name for c in self.numerical if not c.part]
        categorical = [f"{c.name} ({len(c.categories)})" for c in self.categorical if not c.is_missing_flag]
        lines = [
            ("numerical_fields", [name + (" (with missing)" if name in flags else "") for name in numerical]),
            ("dates", sorted(dates)),
            ("categorical_fields", categorical),
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
        series = frame[name]
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
        raise DataError(
            "Expected at least one column to learn from, but none is left: "
            + ", ".join(f"{name!r} is {reason}" for name, reason in schema.left_out.items())
            + ". Name categorical_fields or numerical_fields yourself."
        )
    return schema


def _learn_any(schema: Schema, series: pd.Series[Any]) -> None:
    if pd.api.types.is_bool_dtype(series) or isinstance(series.dtype, pd.CategoricalDtype):
        _learn_categories(schema, series)
    elif pd.api.types.is_numeric_dtype(series) or _is_date(series) or series.dtype.kind == "m":
        _learn_numbers(schema, series)
    else:
        distinct = series.nunique()
        if len(series) >= _FEW_ROWS and distinct > _MOST_DISTINCT * series.notna().sum():
            schema.left_out[str(series.name)] = f"text with {distinct} different values in {len(series)} rows"
        else:
            _learn_categories(schema, series)


def _learn_categories(schema: Schema, series: pd.Series[Any]) -> None:
    categories = sorted(_as_text(series).dropna().unique().tolist())
    if len(categories) == 1 and series.notna().all():
        schema.left_out[str(series.name)] = "constant"
        return
    schema.categorical.append(CategoricalColumn(str(series.name), False, categories))


def _learn_numbers(schema: Schema, series: pd.Series[Any]) -> None:
    name = str(series.name)
    constant = True
    for part in _DATE_PARTS if _is_date(series) else ("",):
        values = read_numbers(series, part, "train")
        known = values[~np.isnan(values)]
        if len(known) and known.min() < known.max():
            mean, std = float(known.mean()), float(known.std())
            schema.numerical.append(NumericalColumn(name, part, mean, std, _bins((known - mean) / std)))
            constant = False
    has_missing = bool(np.isnan(read_numbers(series, _DATE_PARTS[0] if _is_date(series) else "", "train")).any())
    if has_missing:
        schema.categorical.append(CategoricalColumn(name, True, ["missing"]))
    elif constant:
        schema.left_out[name] = "constant"


def _bins(values: Floats) -> list[float]:
    distinct = np.unique(values.astype(np.float32))
    if len(distinct) > MAX_BINS + 1:
        # Quantiles of the distinct values: those of all rows would fall together where one value is frequent.
        distinct = np.unique(np.quantile(distinct, np.linspace(0, 1, MAX_BINS + 1)).astype(np.float32))
    edges: list[float] = distinct.tolist()
    return edges


def _is_date(series: pd.Series[Any]) -> bool:
    if pd.api.types.is_datetime64_any_dtype(series):
        return True
    if pd.api.types.is_numeric_dtype(series) or isinstance(series.dtype, pd.CategoricalDtype):
        return False
    known = series.dropna()
    return bool(len(known)) and bool(known.map(lambda v: isinstance(v, str)).all()) and bool(
        known.str.fullmatch(_DATE).all()
    )


def read_numbers(series: pd.Series[Any], part: str, stage: str) -> Floats:
    """Return a column as floats, with NaN for what is missing or infinite; for dates one part of them.

    Raises:
        DataError: If a value is neither a number nor missing; the message shows it.
    """
    if part:
        return _date_part(series, part, stage)
    if series.dtype.kind == "m":
        return _finite(series.dt.total_seconds().to_numpy(dtype=np.float64))
    if pd.api.types.is_bool_dtype(series) or pd.api.types.is_numeric_dtype(series):
        return _finite(series.to_numpy(dtype=np.float64, na_value=np.nan))
    numbers = pd.to_numeric(series.astype(object), errors="coerce")
    wrong = numbers.isna() & series.notna()
    if wrong.any():
        raise DataError(
            f"Expected numbers in column {series.name!r} of the {stage} table, but got {series[wrong].iloc[0]!r}"
            f" in {int(wrong.sum())} of {len(series)} rows. Clean it, or name it in categorical_fields."
        )
    return _finite(numbers.to_numpy(dtype=np.float64))


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)


def _date_part(series: pd.Series[Any], part: str, stage: str) -> Floats:
    dates = pd.to_datetime(series, errors="coerce", utc=True, format=None if series.dtype.kind == "M" else "ISO8601")
    wrong = dates.isna() & series.notna()
    if wrong.any():
        raise DataError(
            f"Expected dates such as 2024-12-31 in column {series.name!r} of the {stage} table, but got "
            f"{series[wrong].iloc[0]!r}. Convert it with pandas.to_datetime."
        )
    if part == "days":
        elapsed = dates - pd.Timestamp("1970-01-01", tz="UTC")
        return (elapsed.dt.total_seconds() / 86400).to_numpy(dtype=np.float64)
    number = {"month": dates.dt.month, "weekday": dates.dt.dayofweek, "hour": dates.dt.hour}[part]
    return number.to_numpy(dtype=np.float64, na_value=np.nan)


def _as_text(series: pd.Series[Any]) -> pd.Series[Any]:
    """Values as text; a whole number is the same category whether it is stored as 1, 1.0 or "1"."""
    if pd.api.types.is_bool_dtype(series):
        return series.astype(object).map(str, na_action="ignore")
    return series.astype(object).map(_text, na_action="ignore")


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _codes(series: pd.Series[Any], column: CategoricalColumn, stage: str) -> npt.NDArray[np.int32]:
    if column.is_missing_flag:
        part = _DATE_PARTS[0] if _is_date(series) and not pd.api.types.is_numeric_dtype(series) else ""
        return np.isnan(read_numbers(series, part, stage)).astype(np.int32)
    values = pd.Categorical(_distinct_as_text(series), categories=column.categories)
    return values.codes.astype(np.int32) + 1


def _distinct_as_text(series: pd.Series[Any]) -> pd.Series[Any]:
    """Like :func:`_as_text`, one Python call for each different value instead of each row."""
    codes, distinct = pd.factorize(series)
    texts = np.append(_as_text(pd.Series(distinct)).to_numpy(dtype=object), [None])
    return pd.Series(texts[codes])

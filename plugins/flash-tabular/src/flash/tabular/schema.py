"""Schema: the numerical and categorical columns of a table with their statistics, learned from training rows."""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from flash.data.labels import class_indices
from flash.data.requests import RequestField
from flash.errors import DataError
from flash.serialization import made_from

from ._few import PlainColumns, codes_of, columns_of_frame, floats_of
from .encoder import text_of_value
from .read import (
    DATE_PARTS,
    DURATION_PARTS,
    Floats,
    check_columns,
    factorize_as_text,
    get_column,
    is_hashable,
    parts_of,
    read_numbers,
)

__all__ = ["MAX_ABS_ZSCORE", "CategoricalColumn", "NumericalColumn", "Schema", "bins_of", "standardize"]

# A column has as many bins as the square root of its number of training rows, within these bounds: with more, each bin
# learns from too few rows (benchmarks/quality.py).
MIN_BINS, MAX_BINS = 8, 128
#: Standardized values are clipped to this: no value of up to 10**12 training rows can exceed it, and much larger
#: inputs make networks return NaN.
MAX_ABS_ZSCORE = 1e6
# The minimum number of rows for the warning that none of them has a known category: in fewer it may be a coincidence.
MIN_ROWS_FOR_UNKNOWN_WARNING = 10


@dataclass(frozen=True)
class NumericalColumn:
    """A numerical feature: a column of numbers, or a part of a date or duration.

    Attributes:
        name: The column.
        part: The part of a date or duration, such as ``"month"``; empty for numbers.
        mean: The mean over the training rows; it also replaces missing values.
        std: The standard deviation over the training rows.
        bins: The bin edges of the training rows, in standardized units. If there are few distinct values, each is an
            edge, so that spikes such as "0 in nine of ten rows" have their own bin.
    """

    name: str
    part: str
    mean: float
    std: float
    bins: list[float]

    @cached_property
    def is_truth(self) -> bool:
        """True if the training rows hold only zeros and ones."""
        edges = [edge * self.std + self.mean for edge in self.bins]
        return not self.part and len(edges) == 2 and bool(np.allclose(edges, (0, 1), atol=1e-4))


@dataclass(frozen=True)
class CategoricalColumn:
    """A categorical feature: a column of categories, or a flag of missing values.

    Attributes:
        name: The column.
        is_missing_flag: Whether it is a binary flag of the missing values of a number, or of text that is left out.
        categories: The most frequent values of the training rows, as text; value ``i`` has code ``i + 1``, and code 0
            is for missing values and values not in the training rows.
        is_text: Whether all values of the training rows are text; then untyped files are read accordingly.
    """

    name: str
    is_missing_flag: bool
    categories: list[str]
    is_text: bool = False

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The index of each category."""
        return class_indices(self.categories)


@dataclass
class Schema:
    """The input columns of a network and their encoding, learned from training rows.

    Attributes:
        numerical: The numerical features, in order.
        categorical: The categorical features, in order.
        left_out: The reason of each column that is not used.
    """

    numerical: list[NumericalColumn]
    categorical: list[CategoricalColumn]
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def fields(self) -> list[str]:
        """The required columns of a table."""
        names = [column.name for column in self.numerical] + [column.name for column in self.categorical]
        return list(dict.fromkeys(names))

    @property
    def text_fields(self) -> list[str]:
        """The text columns, even if all values look like numbers."""
        return [column.name for column in self.categorical if column.is_text]

    @property
    def cardinalities(self) -> list[int]:
        """The number of codes per categorical feature, including code 0."""
        return [len(column.categories) + 1 for column in self.categorical]

    @cached_property
    def durations(self) -> list[str]:
        """The columns of durations."""
        return [column.name for column in self.numerical if column.part in DURATION_PARTS]

    @cached_property
    def _means_and_stds(self) -> tuple[Floats, Floats]:
        return np.array([each.mean for each in self.numerical]), np.array([each.std for each in self.numerical])

    @property
    def bins(self) -> list[list[float]]:
        """The bin edges per numerical feature."""
        return [column.bins for column in self.numerical]

    @property
    def request_fields(self) -> list[RequestField]:
        """The required columns in a request, each with its categories, or with a median of the training rows."""
        may_be_missing = {column.name for column in self.categorical if column.is_missing_flag}
        parts: dict[str, dict[str, NumericalColumn]] = {}
        for column in self.numerical:
            parts.setdefault(column.name, {})[column.part] = column
        fields = {name: _request_field(name, of_name, name in may_be_missing) for name, of_name in parts.items()}
        for category in self.categorical:
            name = category.name
            if not category.is_missing_flag:
                fields[name] = RequestField(name, "category", tuple(category.categories), typical=None)
            elif name not in fields:  # a column that is used for whether it has a value
                fields[name] = RequestField(name, "text", may_be_missing=True)
        return [fields[name] for name in self.fields]

    def encode(
        self, frame: pd.DataFrame, stage: str, *, is_whole: bool = True
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
        """Return numbers, shape ``(rows, len(numerical))``, and codes, shape ``(rows, len(categorical))``.

        Args:
            frame: The table.
            stage: The stage, for messages.
            is_whole: Whether these are all rows: then it is worth a warning if none has a category of the train rows.

        Raises:
            MissingColumnError: If a column is not in the table.
            DataError: If a numerical column has a value that is not a number.
        """
        check_columns(frame.columns, self.fields, stage)
        columns = columns_of_frame(frame)
        few = None if columns is None else self.encode_few(columns, len(frame))
        if few is not None:
            return few
        numbers = np.empty((len(frame), len(self.numerical)), dtype=np.float32)
        codes = np.empty((len(frame), len(self.categorical)), dtype=np.int32)
        parts: dict[str, str] = {}
        truths = {column.name for column in self.numerical if column.is_truth}
        for place, column in enumerate(self.numerical):
            raw = read_numbers(get_column(frame, column.name, stage), column.part, stage, is_truth=column.is_truth)
            numbers[:, place] = standardize(raw, column.mean, column.std)
            parts[column.name] = column.part
        for place, category in enumerate(self.categorical):
            series = get_column(frame, category.name, stage)
            if category.is_missing_flag and category.is_text:
                codes[:, place] = series.isna()
            elif category.is_missing_flag:
                part = parts.get(category.name, parts_of(series)[0])
                raw = read_numbers(series, part, stage, is_truth=category.name in truths)
                codes[:, place] = np.isnan(raw)
            else:
                codes[:, place] = _codes(series, category, stage, is_whole)
        return numbers, codes

    def encode_few(
        self, columns: PlainColumns, rows: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]] | None:
        """Return the result of :meth:`encode` for a few rows, if it is values alone; else ``None``.

        Whatever else there is, such as dates, and all that is an error or a warning, is for :meth:`encode`.

        Args:
            columns: The values of each column.
            rows: The number of rows.
        """
        if not columns.keys() >= set(self.fields) or any(column.part for column in self.numerical):
            return None
        raw = floats_of([columns[column.name] for column in self.numerical], rows)
        codes = [_few_codes(columns[category.name], category) for category in self.categorical]
        if raw is None or None in codes:
            return None
        if rows >= MIN_ROWS_FOR_UNKNOWN_WARNING and any(
            not category.is_missing_flag and not any(found or ())
            for found, category in zip(codes, self.categorical, strict=True)
        ):
            return None
        means, stds = self._means_and_stds
        return (
            standardize(raw.T, means, stds).astype(np.float32),
            np.array(codes, dtype=np.int32).reshape(-1, rows).T.copy(),
        )

    def decode(self, numbers: npt.NDArray[Any], codes: npt.NDArray[Any]) -> dict[str, list[Any]]:
        """Return the values of each column as a person writes them, which undoes :meth:`encode`.

        A missing value is ``None``, and so is a category that the training rows lack. A number that is missing in a
        column without missing values in the training rows is the mean of the column, as it is for the network. Numbers
        are rounded to what 32 bits can tell apart; dates are text in UTC, to the
        minute.

        Args:
            numbers: Standardized numbers, shape ``(rows, len(numerical))``.
            codes: Codes of categories, shape ``(rows, len(categorical))``.

        Returns:
            One list per column of :attr:`fields`.
        """
        columns: dict[str, list[Any]] = {}
        features: dict[str, dict[str, tuple[NumericalColumn, Floats]]] = {}
        for place, column in enumerate(self.numerical):
            raw = numbers[:, place].astype(np.float64) * column.std + column.mean
            features.setdefault(column.name, {})[column.part] = (column, raw)
        for name, parts in features.items():
            columns[name] = _written(parts)
        for place, category in enumerate(self.categorical):
            chosen = codes[:, place].tolist()
            if not category.is_missing_flag:
                texts = [None, *category.categories]
                columns[category.name] = [texts[code] if code < len(texts) else None for code in chosen]
            elif category.name in columns:
                values = columns[category.name]
                columns[category.name] = [None if code else value for code, value in zip(chosen, values, strict=True)]
            else:  # a column that is used for whether it has a value
                columns[category.name] = [None if code else "(not missing)" for code in chosen]
        return {name: columns[name] for name in self.fields}

    def to_serializable(self) -> dict[str, Any]:
        """Convert to serializable values, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_serializable(cls, state: Mapping[str, Any]) -> Schema:
        """Create a schema from the result of :meth:`to_serializable`.

        Raises:
            TypeError: If the columns are no lists, as in a damaged file.
        """
        for name in ("numerical", "categorical"):
            if not isinstance(state[name], list):
                raise TypeError(f"Expected a list of {name} columns, but got a {type(state[name]).__name__}.")
        return cls(
            [made_from(NumericalColumn, column) for column in state["numerical"]],
            [made_from(CategoricalColumn, column) for column in state["categorical"]],
            dict(state["left_out"]),
        )

    def summary(self) -> str:
        """Return a human-readable summary."""
        dates = {column.name for column in self.numerical if column.part in DATE_PARTS}
        flags = {column.name: "" for column in self.categorical if column.is_missing_flag}
        numerical = [c.name for c in self.numerical if c.part not in DATE_PARTS]
        only_flags = [f"{name} (only whether it is missing)" for name in flags if name not in (*numerical, *dates)]
        categorical = [f"{c.name} ({len(c.categories)})" for c in self.categorical if not c.is_missing_flag]
        lines = [
            ("numerical_fields", [name + (" (with missing)" if name in flags else "") for name in numerical]),
            ("dates", [name + (" (with missing)" if name in flags else "") for name in sorted(dates)]),
            ("categorical_fields", [*categorical, *only_flags]),
            ("left out", [f"{name} ({reason})" for name, reason in self.left_out.items()]),
        ]
        return "\n".join(f"{title}: {', '.join(names)}" for title, names in lines if names)


def standardize(values: Floats, mean: float | Floats, std: float | Floats) -> Floats:
    """Return numbers in standard deviations from the mean, within :data:`MAX_ABS_ZSCORE`; zero where one is missing."""
    with np.errstate(over="ignore"):
        scores: Floats = np.clip((values - mean) / std, -MAX_ABS_ZSCORE, MAX_ABS_ZSCORE)
    scores[np.isnan(scores)] = 0.0
    return scores


def _written(parts: Mapping[str, tuple[NumericalColumn, Floats]]) -> list[Any]:
    """Return the values of a column of numbers, dates or durations, given the values of its parts."""
    if "days" in parts:
        stamps = pd.to_datetime(parts["days"][1], unit="D", utc=True, errors="coerce").round("min")
        are_days = bool(((stamps == stamps.normalize()) | stamps.isna()).all())
        texts = stamps.strftime("%Y-%m-%d" if are_days else "%Y-%m-%d %H:%M")
        return [text if isinstance(text, str) else None for text in texts]
    if parts.keys() & set(DATE_PARTS):  # dates within one day
        known = {part: raw.round().astype(int).tolist() for part, (_, raw) in parts.items()}
        rows = zip(*known.values(), strict=True)
        return [", ".join(f"{part} {value}" for part, value in zip(known, row, strict=True)) for row in rows]
    ((part, (column, raw)),) = parts.items()
    values = _rounded(column, raw)
    if part:
        return [str(each) for each in pd.to_timedelta(values, unit="s")]
    edges = _rounded(column, np.array(column.bins) * column.std + column.mean)
    if (edges != edges.round()).any():
        return values.tolist()  # type: ignore[no-any-return]  # one dimension
    # Whole numbers, as in the training rows, are written without a point.
    return [int(value) if value.is_integer() else value for value in values.tolist()]


def _request_field(name: str, parts: Mapping[str, NumericalColumn], may_be_missing: bool) -> RequestField:
    """Return the field of a column of numbers, dates or durations, given its parts."""
    column = parts.get("days") or next(iter(parts.values()))
    if column.part in DURATION_PARTS:
        seconds = float(_rounded(column, np.array([column.bins[len(column.bins) // 2] * column.std + column.mean]))[0])
        return RequestField(name, "duration", may_be_missing=may_be_missing, typical=seconds)
    of_dates = "" not in parts
    middle = _typical_date(column, parts) if of_dates else column.bins[len(column.bins) // 2] * column.std + column.mean
    has_typical = not of_dates or "days" in parts
    typical = _written({column.part: (column, np.array([middle]))})[0] if has_typical else None
    return RequestField(name, "date" if of_dates else "number", may_be_missing=may_be_missing, typical=typical)


def _typical_date(column: NumericalColumn, parts: Collection[str]) -> float:
    """Return the mean of a column of dates; a day, if no date has a time."""
    return column.mean if "hour" in parts else math.floor(column.mean)


def _rounded(column: NumericalColumn, values: Floats) -> Floats:
    """Round numbers to the digits that survive standardization to 32 bits: about a millionth of the deviation."""
    digits = 5 - math.floor(math.log10(column.std))
    rounded: Floats = np.round(values, digits)
    return rounded


def bins_of(values: Floats, rows: int) -> list[float]:
    """Return the bin edges of standardized numbers.

    Args:
        values: The different numbers, or some of them.
        rows: The number of rows that have a number.
    """
    distinct = np.unique(values.astype(np.float32))
    count = min(max(math.isqrt(rows), MIN_BINS), MAX_BINS)
    if len(distinct) > count + 1:
        # Quantiles of the distinct values: quantiles of all rows coincide where one value is frequent.
        distinct = np.unique(np.quantile(distinct, np.linspace(0, 1, count + 1)).astype(np.float32))
    edges: list[float] = distinct.tolist()
    return edges


def _few_codes(values: list[Any], column: CategoricalColumn) -> list[int] | None:
    """Return the codes of categories, or of a flag; ``None`` if the values are not numbers, but flagged as such."""
    if not column.is_missing_flag:
        return codes_of(values, column.places, column.is_text)
    if column.is_text:
        return [pd.isna(value) for value in values]
    floats = floats_of([values], len(values))
    return None if floats is None else np.isnan(floats[0]).tolist()


def _codes(series: pd.Series[Any], column: CategoricalColumn, stage: str, is_whole: bool) -> npt.NDArray[np.int32]:
    if not is_hashable(series):
        raise DataError(
            f"Expected categories in column {column.name!r} of the {stage} table, but got "
            f"{series.dropna().iloc[0]!r}. Convert it to text, as in the train table."
        )
    places = column.places
    rows, texts = factorize_as_text(series)
    if not column.is_text:
        texts = [text if text in places else text_of_value(text) for text in texts]
    codes = np.array([*(places.get(text, -1) + 1 for text in texts), 0], dtype=np.int32)[rows]
    if is_whole and len(series) >= MIN_ROWS_FOR_UNKNOWN_WARNING and not codes.any() and series.notna().any():
        known = series.dropna().astype(object)
        warnings.warn(
            f"None of the {len(known)} values in column {column.name!r} of the {stage} table, such as "
            f"{known.iloc[0]!r}, is among the {len(column.categories)} categories of the train rows, such as "
            f"{column.categories[0]!r}. All are encoded as unknown; is it the same column, of the same type?",
            stacklevel=2,
        )
    return codes

"""Learn the schema of a table from its training rows, which may come part by part."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from flash.errors import ConfigurationError, DataError

from ._disguises import disguise_of
from .read import check_columns, get_column, is_date, is_hashable, is_numeric, parts_of, read_numbers
from .schema import CategoricalColumn, NumericalColumn, Schema, bins_of, standardize
from .summaries import DistinctNumbers, Moments, TextCounts

__all__ = ["SchemaLearner", "learn_schema"]

MAX_CATEGORIES = 1000
# Text with a larger share of distinct values is an identifier and not a category.
MAX_UNIQUE_RATIO = 0.5
MIN_ROWS_FOR_UNIQUE_RATIO = 50
# From this number of different texts on, those that look like numbers or dates are a warning.
MIN_CATEGORIES_FOR_HINT = 20

# The rows of which messages show some, once there is a second part.
MOST_FOR_HINT = 10_000

Role: TypeAlias = Literal["inferred", "category", "number"]


def learn_schema(
    frame: pd.DataFrame,
    categorical: Sequence[str] | None,
    numerical: Sequence[str] | None,
    excluded: Sequence[str],
) -> Schema:
    """Learn the kinds and statistics of the columns from the training rows; see :class:`SchemaLearner`."""
    learner = SchemaLearner(list(frame.columns), categorical, numerical, excluded)
    learner.add(frame)
    return learner.schema()


class SchemaLearner:
    """Learn the kinds and statistics of columns.

    If neither ``categorical`` nor ``numerical`` is passed, the kinds of all columns but ``excluded`` (targets and
    groups) are inferred: bool and text are categorical, numbers and dates are numerical. Constant columns, and text
    columns in which most values are distinct, are left out.

    Args:
        columns: The columns of the table.
        categorical: The categorical columns.
        numerical: The numerical columns.
        excluded: Columns that are no features.

    Raises:
        MissingColumnError: If a named column is not in the table.
        ConfigurationError: If a column is named twice.

    Example:
        >>> learner = SchemaLearner(["age"], None, None, [])
        >>> for part in ([20, 30], [40, 50]):
        ...     learner.add(pd.DataFrame({"age": part}))
        >>> learner.schema().numerical[0].mean
        35.0
    """

    def __init__(
        self,
        columns: Sequence[str],
        categorical: Sequence[str] | None,
        numerical: Sequence[str] | None,
        excluded: Sequence[str],
    ) -> None:
        named = [*(categorical or []), *(numerical or []), *excluded]
        check_columns(columns, named, "train")
        twice = sorted({name for name in named if named.count(name) > 1})
        if twice:
            raise ConfigurationError(
                f"Expected each column in one role, but {', '.join(map(repr, twice))} is named in several of "
                "categorical_fields, numerical_fields, target_fields and groups."
            )
        roles: dict[str, Role] = {}
        if categorical is None and numerical is None:
            roles = {str(name): "inferred" for name in columns if name not in excluded}
        for name in [*(categorical or []), *(numerical or [])]:
            roles[name] = "category" if name in (categorical or []) else "number"
        self._columns = {name: _ColumnLearner(name, role) for name, role in roles.items()}

    @property
    def names(self) -> list[str]:
        """The columns to learn from."""
        return list(self._columns)

    def add(self, frame: pd.DataFrame) -> None:
        """Learn from some rows.

        Raises:
            DataError: If a value is not of the kind that the user named.
        """
        for name, column in self._columns.items():
            column.add(get_column(frame, name, "train"))

    def schema(self) -> Schema:
        """Return what was learned.

        Raises:
            DataError: If all values of a column are missing, or no column is left.
        """
        schema = Schema([], [])
        for column in self._columns.values():
            column.finish(schema)
        if not schema.numerical and not schema.categorical:
            reasons = ", ".join(f"{name!r} is {reason}" for name, reason in schema.left_out.items()) or "none is named"
            raise DataError(
                f"Expected at least one column to learn from, but none is left: {reasons}. "
                "Name categorical_fields or numerical_fields yourself."
            )
        return schema


class _ColumnLearner:
    """Learns about one column."""

    def __init__(self, name: str, role: Role) -> None:
        self._name, self._role = name, role
        self._rows = self._known = 0
        self._kinds: set[str] = set()
        # The first rows with a value, of which messages show some.
        self._first: pd.Series[Any] | None = None
        self._texts: TextCounts | None = None
        self._numbers: _Numbers | None = None

    def add(self, series: pd.Series[Any]) -> None:
        known = int(series.notna().sum())
        self._rows += len(series)
        self._known += known
        if not known:  # The type of missing values is none.
            return
        before, self._first = self._first, series if self._first is None else self._first
        self._kinds.add(_kind_of(series) if self._role == "inferred" else self._role)
        if "unhashable" in self._kinds:
            self._texts = self._numbers = None
        elif self._kinds != {"number"}:
            self._numbers = None
            self._add_texts(before, series)
        else:
            self._numbers = self._numbers or _Numbers(self._name, parts_of(series))
            self._numbers.add(series)
            if before is not None and self._role == "inferred" and _is_text(series):
                # A later part may show that these texts are not all dates.
                self._add_texts(before, series)
        if before is not None and len(before) > MOST_FOR_HINT:
            self._first = before.dropna().head(MOST_FOR_HINT).copy()

    def _add_texts(self, before: pd.Series[Any] | None, series: pd.Series[Any]) -> None:
        for each in [series] if before is None or self._texts is not None else [before, series]:
            self._check(each)
            self._texts = self._texts or TextCounts()
            self._texts.add(each)

    def _check(self, series: pd.Series[Any]) -> None:
        if not is_hashable(series):
            raise DataError(
                f"Expected categories in column {self._name!r} of the train table, but got values of type "
                f"{type(series.dropna().iloc[0]).__name__}. Convert them to text, or leave the column out."
            )

    def finish(self, schema: Schema) -> None:
        if self._first is None:
            if self._role == "inferred":  # As a constant.
                schema.left_out[self._name] = "without a value"
                return
            raise DataError(
                f"Expected values in column {self._name!r} of the train table, but all {self._rows} are missing. Leave "
                "it out of the fields."
            )
        if "unhashable" in self._kinds:
            schema.left_out[self._name] = f"made of values of type {type(self._first.dropna().iloc[0]).__name__}"
        elif self._numbers is not None:
            self._numbers.finish(schema, self._known < self._rows)
        elif self._texts is not None:
            self._finish_texts(schema, self._texts, self._first)

    def _finish_texts(self, schema: Schema, texts: TextCounts, first: pd.Series[Any]) -> None:
        if "category" not in self._kinds:
            count = texts.distinct
            if self._rows >= MIN_ROWS_FOR_UNIQUE_RATIO and count > MAX_UNIQUE_RATIO * self._known:
                about = "" if texts.is_exact else "about "
                reason = f"{_noun_of(first)} with {about}{count} different values in {self._rows} rows"
                schema.left_out[self._name] = reason + _hint(first)
                if self._known < self._rows:
                    schema.categorical.append(CategoricalColumn(self._name, True, ["missing"], True))
                return
            looks = disguise_of(first) if count > MIN_CATEGORIES_FOR_HINT else ""
            if looks:
                warnings.warn(
                    f"Expected numbers, dates or categories, but got {count} different texts in column "
                    f"{self._name!r} of the train table, which look like {looks}. They are taken for categories; name "
                    "the column in categorical_fields if they are.",
                    stacklevel=2,
                )
        # One-hot inputs grow with the number of categories, and rare categories carry little information.
        categories = texts.most_common(MAX_CATEGORIES)
        if len(categories) == 1 and self._known == self._rows:
            schema.left_out[self._name] = "constant"
            return
        schema.categorical.append(CategoricalColumn(self._name, False, categories, texts.is_text))


class _Numbers:
    """Learns about a column of numbers, dates or durations."""

    def __init__(self, name: str, parts: tuple[str, ...]) -> None:
        self._name, self._parts = name, parts
        self._moments = {part: Moments() for part in parts}
        self._distinct = {part: DistinctNumbers() for part in parts}
        self._has_missing = False

    def add(self, series: pd.Series[Any]) -> None:
        for part in self._parts:
            values = read_numbers(series, part, "train")
            known = values[~np.isnan(values)]
            if part == self._parts[0]:
                self._has_missing |= len(known) < len(values)
            self._moments[part].add(known)
            self._distinct[part].add(known)

    def finish(self, schema: Schema, has_missing: bool) -> None:
        constant = True
        for part, moments in self._moments.items():
            if moments.least < moments.greatest:
                mean, std = moments.mean_and_std()
                edges = bins_of(standardize(self._distinct[part].values, mean, std), moments.count)
                schema.numerical.append(NumericalColumn(self._name, part, mean, std, edges))
                constant = False
        if has_missing or self._has_missing:
            schema.categorical.append(CategoricalColumn(self._name, True, ["missing"]))
        elif constant:
            schema.left_out[self._name] = "constant"


def _kind_of(series: pd.Series[Any]) -> str:
    """Return what a column with values is taken for."""
    if pd.api.types.is_bool_dtype(series) or isinstance(series.dtype, pd.CategoricalDtype):
        return "category"
    if is_numeric(series) or is_date(series) or series.dtype.kind == "m":
        return "number"
    return "text" if is_hashable(series) else "unhashable"


def _is_text(series: pd.Series[Any]) -> bool:
    is_typed = pd.api.types.is_numeric_dtype(series) or series.dtype.kind in "mM"
    return not is_typed and pd.api.types.infer_dtype(series, skipna=True) == "string"


def _noun_of(series: pd.Series[Any]) -> str:
    kind = pd.api.types.infer_dtype(series.dropna().astype(object))
    return "times" if kind == "time" else "text"


def _hint(series: pd.Series[Any]) -> str:
    """Return what text looks like and how to convert it."""
    known = series.dropna()
    numbers = pd.to_numeric(known.astype(object), errors="coerce")
    wrong = known[numbers.isna()]
    if len(wrong) > len(known) / 10:
        looks = disguise_of(series)
        return f" that look like {looks}" if looks else ""
    unlike = f", but for {len(wrong)} such as {wrong.iloc[0]!r}" if len(wrong) else ""
    return f" that are numbers{unlike}: convert it with pandas.to_numeric"

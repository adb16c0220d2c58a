"""Targets: encode labels as class indices and numbers as floats; learned from training rows only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from flash.data import targets
from flash.data.labels import as_label, check_labels, class_indices
from flash.data.messages import show, show_some
from flash.data.tables import check_encodable
from flash.errors import DataError
from flash.serialization import made_from

from .read import check_columns, is_hashable, read_numbers
from .summaries import Moments

__all__ = ["Targets", "TargetsLearner", "learn_targets", "targets_from_serializable"]

# More distinct non-integer values than this are a regression target and not classes.
MAX_NUMERIC_CLASSES = 20
# More classes of a table that is not in memory are no classes.
MAX_CLASSES = 100_000


@dataclass
class Targets(ABC):
    """The target columns and their encoding as tensors."""

    fields: list[str]

    def encode(self, frame: pd.DataFrame, stage: str) -> Tensor:
        """Return the targets of a table.

        Raises:
            MissingColumnError: If a column is not in the table.
            DataError: If a target is missing, or does not occur in the training rows.
        """
        check_targets(frame, self.fields, stage)
        return self._encode(frame, stage)

    @abstractmethod
    def _encode(self, frame: pd.DataFrame, stage: str) -> Tensor: ...

    @abstractmethod
    def facts(self, y: Tensor) -> dict[str, Any]:
        """Return the arguments of the task, given the encoded training targets."""

    def facts_of_more(self, facts: Mapping[str, Any], y: Tensor) -> dict[str, Any]:
        """Return the arguments of the task, given those of the rows before and the targets of more rows.

        Args:
            facts: The result for the rows before; empty if there are none.
            y: The encoded targets of the next rows.
        """
        more = self.facts(y)
        if "class_counts" in more and facts:
            counts = zip(facts["class_counts"], more["class_counts"], strict=True)
            more["class_counts"] = [before + count for before, count in counts]
        return more

    def strata(self, y: Tensor) -> list[Any] | None:  # for classes
        """Return the classes of each row, by which a split is stratified, given the encoded targets."""
        return None

    @abstractmethod
    def summary(self) -> str:
        """Return a human-readable summary."""

    def to_serializable(self) -> dict[str, Any]:
        """Convert to serializable values, for a checkpoint."""
        return {"type": type(self).__name__, **asdict(self)}


@dataclass
class ClassTargets(Targets):
    """One class per row; ``labels`` are the sorted classes, as written in the table."""

    labels: list[Any]

    def _encode(self, frame: pd.DataFrame, stage: str) -> Tensor:
        (name,) = self.fields
        values = frame[name]
        places = class_indices(self.labels)
        found, inverse = _factorize(values)
        codes = np.array([places.get(label, -1) for label in found], dtype=np.int64)[inverse]
        unknown = values[codes < 0].astype(object)
        if len(unknown):
            raise DataError(
                f"Expected targets in column {name!r} of the {stage} table that are among those of the train rows "
                f"({show_some(self.labels)}), but got {show(unknown.iloc[0])} in {len(unknown)} rows. "
                "Drop these rows, or add such rows to the train data."
            )
        return torch.from_numpy(codes)

    def facts(self, y: Tensor) -> dict[str, Any]:
        counts = torch.bincount(y, minlength=len(self.labels)).tolist()
        return {
            "num_classes": len(self.labels),
            "labels": self.labels,
            "multi_label": False,
            "class_counts": counts,
        }

    def strata(self, y: Tensor) -> list[int]:
        return y.tolist()

    def summary(self) -> str:
        return f"{len(self.labels)} classes: {show_some(self.labels)}"


@dataclass
class MultiLabelTargets(Targets):
    """Several classes per row: one binary column per class."""

    def _encode(self, frame: pd.DataFrame, stage: str) -> Tensor:
        hint = "For one class per row, name one column in target_fields, not a list."
        columns = [read_numbers(frame[name], "", stage, hint, is_truth=True) for name in self.fields]
        for name, column in zip(self.fields, columns, strict=True):
            wrong = ~np.isin(column, (0, 1))
            if wrong.any():
                raise DataError(
                    f"Expected zeros and ones in the multi-label target column {name!r} of the {stage} table, "
                    f"but got {column[wrong][0]:g}. For one class per row, pass target_fields={name!r}, not a list."
                )
        return torch.from_numpy(np.stack(columns, axis=1).astype(np.float32))

    def facts(self, y: Tensor) -> dict[str, Any]:
        counts = y.sum(0).int().tolist()
        return {
            "num_classes": len(self.fields),
            "labels": self.fields,
            "multi_label": True,
            "class_counts": counts,
        }

    def strata(self, y: Tensor) -> list[list[int]]:
        return [row.nonzero().flatten().tolist() for row in y]

    def summary(self) -> str:
        return f"{len(self.fields)} labels, any number per row"


@dataclass
class NumberTargets(Targets):
    """Numbers; ``mean`` and ``std`` of the training rows, by which the task standardizes them."""

    mean: list[float]
    std: list[float]

    def _encode(self, frame: pd.DataFrame, stage: str) -> Tensor:
        return self._numbers().encode(_target_columns(frame, self.fields, stage), stage)

    def facts(self, y: Tensor) -> dict[str, Any]:
        return self._numbers().facts(y)

    def summary(self) -> str:
        ranges = zip(self.mean, self.std, strict=True)
        return ", ".join(f"mean {mean:.4g}, standard deviation {std:.4g}" for mean, std in ranges)

    def _numbers(self) -> targets.NumberTargets:
        return targets.NumberTargets(self.mean, self.std)


def check_targets(frame: pd.DataFrame, fields: Sequence[str], stage: str) -> None:
    """Check that all target columns exist and have no missing values.

    Raises:
        MissingColumnError: If a target column is not in the table.
        DataError: If a row has a missing target.
    """
    check_columns(frame.columns, fields, stage)
    for name in fields:
        check_encodable(frame[name].tolist(), f"the target column {name!r} of the {stage} table")
        missing = int((frame[name].isna() | _is_blank(frame[name])).sum())
        if missing:
            raise DataError(
                f"Expected a target in every row of the {stage} table, but column {name!r} is missing in "
                f"{missing} of {len(frame)}. Drop these rows from the table; of a data frame, "
                f"frame.dropna(subset=[{name!r}]) does."
            )
        if not is_hashable(frame[name]):
            raise DataError(
                f"Expected one class or number per row in the target column {name!r} of the {stage} table, but got "
                f"{show(frame[name].iloc[0])}. Give each place of such rows its own column, and name them all in "
                "target_fields."
            )


def _is_blank(series: pd.Series[Any]) -> Any:
    if series.dtype.kind != "O" or not is_hashable(series):
        return False
    return series.isin([value for value in series.unique() if isinstance(value, str) and not value.strip()])


class TargetsLearner:
    """Learn targets from the training rows, which may come part by part.

    Args:
        fields: The target columns.
        kind: ``"classification"`` or ``"regression"``.
        several: Whether each column of a classification is a class.

    Example:
        >>> learner = TargetsLearner(["bought"], "classification", several=False)
        >>> for part in (["no", "no"], ["yes"]):
        ...     learner.add(pd.DataFrame({"bought": part}))
        >>> learner.targets().labels
        ['no', 'yes']
    """

    def __init__(self, fields: Sequence[str], kind: str, several: bool) -> None:
        self._fields, self._kind, self._several = list(fields), kind, several
        self._moments = [Moments() for _ in fields] if kind == "regression" else []
        # One row for each class.
        self._classes: pd.DataFrame | None = None

    def add(self, frame: pd.DataFrame) -> None:
        """Learn from some rows.

        Raises:
            MissingColumnError: If a target column is not in the table.
            DataError: If a target is missing, is no number in a regression, or there are too many classes.
        """
        check_targets(frame, self._fields, "train")
        if self._moments:
            for moments, values in zip(self._moments, _target_columns(frame, self._fields, "train").T, strict=True):
                moments.add(values)
            return
        if self._several:
            self._classes = frame.head(1)
            return
        parts = [frame[self._fields]] if self._classes is None else [self._classes, frame[self._fields]]
        self._classes = pd.concat([part.drop_duplicates() for part in parts], ignore_index=True).drop_duplicates()
        if len(self._classes) > MAX_CLASSES:
            self.targets()  # numbers with fractions have an error of their own
            raise DataError(
                f"Expected classes in the target column {self._fields[0]!r} of the train table, but it has more than "
                f"{MAX_CLASSES:,} different values, such as {show(self._classes.iloc[0, 0])}. Check target_fields; for "
                "numbers use TabularRegressionData and TabularRegressor."
            )

    def targets(self) -> Targets:
        """Return what was learned.

        Raises:
            DataError: As :func:`learn_targets`.
        """
        if self._classes is not None:
            return learn_targets(self._classes, self._fields, self._kind, self._several)
        # Whether they differ can be seen from two rows.
        ends = np.array([[each.least for each in self._moments], [each.greatest for each in self._moments]])
        targets.NumberTargets.learn(ends, self._fields)
        mean, std = zip(*(each.mean_and_std() for each in self._moments), strict=True)
        return NumberTargets(self._fields, list(mean), list(std))


def learn_targets(frame: pd.DataFrame, fields: Sequence[str], kind: str, several: bool) -> Targets:
    """Learn labels, or mean and standard deviation, from the training rows.

    Raises:
        MissingColumnError: If a target column is not in the table.
        DataError: If a target is missing, there is only one class, the targets of a classification are continuous, or
            the targets of a regression are text.
    """
    names = list(fields)
    check_targets(frame, names, "train")
    if kind == "regression":
        learned = targets.NumberTargets.learn(_target_columns(frame, names, "train"), names)
        return NumberTargets(names, learned.mean, learned.std)
    if several:
        return MultiLabelTargets(names)
    values = frame[names[0]]
    if _is_continuous(values):
        raise DataError(
            f"Expected classes in the target column {names[0]!r}, but it has {values.nunique()} different numbers "
            "with fractions. For numbers use TabularRegressionData and TabularRegressor."
        )
    labels = sorted(_factorize(values)[0], key=lambda label: (isinstance(label, str), label))
    check_labels(labels)
    if len(labels) < 2:
        raise DataError(
            f"Expected at least two classes in the target column {names[0]!r} of the train table, but got "
            f"{show_some(labels)}. Check target_fields and the rows."
        )
    return ClassTargets(names, labels)


def _is_continuous(values: pd.Series[Any]) -> bool:
    if values.dtype.kind not in "fO" or values.nunique() <= MAX_NUMERIC_CLASSES:
        return False
    numbers = pd.to_numeric(values, errors="coerce")
    return bool(numbers.notna().all() and (numbers % 1 != 0).any())


def targets_from_serializable(state: Mapping[str, Any]) -> Targets:
    """Create targets from the result of :meth:`Targets.to_serializable`."""
    kinds = {cls.__name__: cls for cls in (ClassTargets, MultiLabelTargets, NumberTargets)}
    arguments = {name: value for name, value in state.items() if name != "type"}
    restored: Targets = made_from(kinds[state["type"]], arguments)
    return restored


def _target_columns(frame: pd.DataFrame, names: Sequence[str], stage: str) -> Any:
    return np.stack([_target_numbers(frame[name], stage) for name in names], axis=1)


def _target_numbers(series: pd.Series[Any], stage: str) -> Any:
    hint = "For classes use TabularClassificationData and TabularClassifier."
    numbers = read_numbers(series, "", stage, hint)
    outside = (np.isnan(numbers) & series.notna().to_numpy()) | (np.abs(numbers) > np.finfo(np.float32).max)
    wrong = series[outside].astype(object)
    if len(wrong):
        raise DataError(
            f"Expected finite numbers up to 3e38 in the target column {series.name!r} of the {stage} table, but "
            f"got {wrong.iloc[0]!r} in {len(wrong)} rows. Drop these rows, or use other units."
        )
    return numbers


def _factorize(values: pd.Series[Any]) -> tuple[list[Any], Any]:
    """Return the distinct classes, and the index of each row's class among them: one call per distinct value."""
    rows, distinct = pd.factorize(values)
    places: dict[Any, int] = {}
    numbers = [places.setdefault(label, len(places)) for label in _labels_of(pd.Series(distinct))]
    return list(places), np.array(numbers, dtype=np.int64)[rows]


def _labels_of(series: pd.Series[Any]) -> list[Any]:
    # As objects, floats of 32 bits would become those of 64 bits that are written in another way.
    is_short = series.dtype.kind == "f" and not pd.api.types.is_extension_array_dtype(series.dtype)
    return [as_label(value) for value in (series.to_numpy() if is_short else series.astype(object).tolist())]

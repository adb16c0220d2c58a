"""Numeric targets, for regression; for classes see :mod:`flash.data.labels`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from flash.data._missing import is_missing
from flash.data.messages import show
from flash.errors import DataError
from flash.serialization import made_from

__all__ = ["NumberTargets"]

_Floats: TypeAlias = npt.NDArray[np.float64]
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class NumberTargets:
    """One or several numbers per sample, with the mean and standard deviation of the train targets.

    Args:
        mean: The mean of each number.
        std: The standard deviation of each, above 0.
        names: The names of several numbers: their columns, if they are from a table.

    Example:
        >>> targets = NumberTargets.learn(["1.5", 2.5])
        >>> targets.encode([3, "4"], "val"), targets.facts(torch.zeros(2))
        (tensor([3., 4.]), {'num_targets': 1, 'target_mean': [2.0], 'target_std': [0.5]})
    """

    #: What the targets are.
    kind: ClassVar[Literal["classes", "numbers"]] = "numbers"

    mean: list[float]
    std: list[float]
    names: list[str] | None = None

    @classmethod
    def learn(cls, targets: Any, names: Sequence[Any] | None = None, advice: str = "") -> NumberTargets:
        """Learn mean and standard deviation of train targets.

        Args:
            targets: One number, or one row of numbers, per sample.
            names: The columns of the numbers.
            advice: A sentence for the error about targets that are no numbers.

        Raises:
            DataError: If a target is missing, not a number, or not finite; or all samples have the same number.
        """
        numbers = _numbers(targets, "train", advice).reshape(len(targets), -1)
        width = numbers.shape[1]
        if names is not None and len(names) != width:
            raise DataError(
                f"Expected numbers as targets of the train data, but got indices of {len(names)} classes, such as "
                f"{show(names[0])}. {advice}".rstrip()
            )
        for column, values in enumerate(numbers.T):
            where = "" if names is None else f" in column {show(names[column])}"
            if len(values) and values.min() == values.max():
                raise DataError(
                    f"Expected different numbers as targets{where}, but all samples of the train data have "
                    f"{values[0]:g}. There is nothing to learn; choose another target."
                )
        columns = None if names is None or width == 1 else [str(name) for name in names]
        return cls(numbers.mean(0).tolist(), numbers.std(0).tolist(), columns)

    @classmethod
    def learn_parts(
        cls, parts: Iterable[Sequence[Any]], names: Sequence[Any] | None = None, advice: str = ""
    ) -> tuple[NumberTargets, dict[str, Any]]:
        """Learn train targets that come part by part, and return them with their facts.

        Args:
            parts: Targets of some samples each.
            names: As for :meth:`learn`.
            advice: As for :meth:`learn`.

        Raises:
            DataError: As for :meth:`learn`.

        Example:
            >>> NumberTargets.learn_parts([[1.0, 2.0], [6.0]])[0].mean
            [3.0]
        """
        count, mean, squares, ends = 0, np.zeros(1), np.zeros(1), None
        for part in parts:
            numbers = _numbers(part, "train", advice).reshape(len(part), -1)
            if ends is not None and numbers.shape[1] != ends.shape[1]:
                raise DataError(
                    f"Expected numbers as targets of the train data, as many in each sample, but got {ends.shape[1]} "
                    f"and {numbers.shape[1]}. {advice}".rstrip()
                )
            # Sums of squares of parts, about the mean of both.
            total, own = count + len(numbers), numbers.mean(0)
            squares = squares + ((numbers - own) ** 2).sum(0) + (own - mean) ** 2 * (count * len(numbers) / total)
            mean, count = mean + (own - mean) * (len(numbers) / total), total
            ends = np.stack([numbers.min(0), numbers.max(0), *([] if ends is None else ends)])
            ends = np.stack([ends.min(0), ends.max(0)])
        # What can be wrong with targets can be wrong with the least and the greatest ones.
        learned = cls.learn(np.zeros((0, 1)) if ends is None else ends, names, advice)
        learned = cls(mean.tolist(), np.sqrt(squares / max(count, 1)).tolist(), learned.names)
        return learned, learned.facts(torch.zeros(0))

    @classmethod
    def strata(cls, targets: Any, names: Sequence[Any] | None = None, advice: str = "") -> list[Any]:
        """Return an empty list, since numbers do not stratify a split; arguments and errors are those of ``learn``."""
        cls.learn(targets, names, advice)
        return []

    def encode(self, targets: Any, stage: str, advice: str = "") -> Tensor:
        """Return the numbers, shape ``(samples,)`` or ``(samples, numbers)``.

        Args:
            targets: One number, or one row of numbers, per sample.
            stage: The stage, for messages.
            advice: A sentence for the error about targets that are no numbers.

        Raises:
            DataError: If a target is missing, not a number, or the numbers per sample differ from the train data.
        """
        numbers = _numbers(targets, stage, advice)
        width = 1 if numbers.ndim == 1 else numbers.shape[1]
        if width != len(self.mean):
            raise DataError(
                f"Expected {len(self.mean)} numbers as the target of each sample of the {stage} data, as in the train "
                f"data, but got {width}. Pass as many in every stage."
            )
        return torch.from_numpy(numbers).to(torch.get_default_dtype())

    def facts(self, encoded: Tensor) -> dict[str, Any]:
        """Return the facts about the targets that a task needs."""
        return {"num_targets": len(self.mean), "target_mean": self.mean, "target_std": self.std}

    def to_serializable(self) -> dict[str, Any]:
        """Return the state as serializable values, for a checkpoint."""
        names = {} if self.names is None else {"names": self.names}
        return {"mean": self.mean, "std": self.std, **names}

    @classmethod
    def from_serializable(cls, plain: Mapping[str, Any]) -> NumberTargets:
        """Restore an object from the result of :meth:`to_serializable`."""
        return made_from(cls, plain)


def _numbers(targets: Any, stage: str, advice: str) -> _Floats:
    """Return targets as finite numbers, shape ``(samples,)`` or ``(samples, numbers)``."""
    values = [_plain(value) for value in _plain(targets)]
    rows = [value if isinstance(value, list) else [value] for value in values]
    missing = sum(any(map(is_missing, row)) for row in rows)
    if missing:
        raise DataError(
            f"Expected a target for every sample of the {stage} data, but {missing} of {len(rows)} have none. "
            "Drop these samples."
        )
    expected = f"Expected numbers as targets of the {stage} data, as many in each sample, but got"
    widths = [len(row) for row in rows]
    if len(set(widths)) > 1:
        odd = next(place for place, width in enumerate(widths) if width != widths[0])
        raise DataError(f"{expected} {show(values[0])} and {show(values[odd])}. {advice}".rstrip())
    numbers = np.array([_number(value, expected, advice) for row in rows for value in row], dtype=np.float64)
    outside = np.abs(numbers) > _LARGEST
    if outside.any():
        raise DataError(
            f"Expected finite numbers up to 3e38 as targets of the {stage} data, but got {numbers[outside][0]:g} in "
            f"{int(outside.sum())} samples. Drop these samples, or use other units."
        )
    several = any(isinstance(value, list) for value in values)
    return numbers.reshape(len(rows), widths[0]) if several else numbers


def _plain(values: Any) -> Any:
    """Return arrays, tensors, and other rows of numbers as lists."""
    plain = values.tolist() if hasattr(values, "tolist") else values
    is_row = hasattr(plain, "__iter__") and not isinstance(plain, str | bytes | Mapping)
    return list(plain) if is_row else plain


def _number(value: Any, expected: str, advice: str) -> float:
    wrong = DataError(f"{expected} {show(value)}. {advice}".rstrip())
    if isinstance(value, str) and "_" in value:  # Python reads "1_000" as a number.
        raise wrong
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError) as error:
        raise wrong from error

"""Numeric targets, for regression; for classes see :mod:`flash.data.labels`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from flash.data._missing import is_missing
from flash.errors import DataError

__all__ = ["NumberTargets"]


@dataclass(frozen=True)
class NumberTargets:
    """One or several numbers per sample, with the mean and standard deviation of the train targets.

    Args:
        mean: The mean of each number.
        std: The standard deviation of each; 1 if it is constant.

    Example:
        >>> targets = NumberTargets.learn(["1.5", 2.5])
        >>> targets.encode([3, "4"], "val"), targets.facts(torch.zeros(2))
        (tensor([3., 4.]), {'num_targets': 1, 'target_mean': [2.0], 'target_std': [0.5]})
    """

    mean: list[float]
    std: list[float]

    @classmethod
    def learn(cls, targets: Any, names: Sequence[Any] | None = None) -> NumberTargets:  # noqa: ARG003  # as of classes
        """Learn mean and standard deviation of train targets; numbers have no ``names``."""
        numbers = _numbers(targets, "train").to(torch.float64).reshape(len(targets), -1)
        std = numbers.std(0, unbiased=False)
        return cls(numbers.mean(0).tolist(), torch.where(std > 0, std, 1.0).tolist())

    @classmethod
    def strata(cls, targets: Any, names: Sequence[Any] | None = None) -> None:
        """Return ``None``, as a split is not stratified by numbers; the arguments and errors are those of ``learn``."""
        cls.learn(targets, names)

    def encode(self, targets: Any, stage: str) -> Tensor:
        """Return the numbers, shape ``(samples,)`` or ``(samples, numbers)``.

        Raises:
            DataError: If a target is missing, not a number, or the numbers per sample differ from the train data.
        """
        numbers = _numbers(targets, stage)
        width = 1 if numbers.ndim == 1 else numbers.shape[1]
        if width != len(self.mean):
            raise DataError(
                f"Expected {len(self.mean)} numbers as the target of each sample of the {stage} data, as in the train "
                f"data, but got {width}."
            )
        return numbers

    def facts(self, encoded: Tensor) -> dict[str, Any]:
        """Return the facts about the targets that a task needs."""
        return {"num_targets": len(self.mean), "target_mean": self.mean, "target_std": self.std}

    def to_serializable(self) -> dict[str, Any]:
        """Return the state as serializable values, for a checkpoint."""
        return {"mean": self.mean, "std": self.std}

    @classmethod
    def from_serializable(cls, plain: Mapping[str, Any]) -> NumberTargets:
        """Restore an object from the result of :meth:`to_serializable`."""
        return cls(**plain)


def _numbers(targets: Any, stage: str) -> Tensor:
    values = targets.tolist() if hasattr(targets, "tolist") else list(targets)
    rows = [list(value) if isinstance(value, list | tuple) else [value] for value in values]
    missing = sum(any(map(is_missing, row)) for row in rows)
    if missing:
        raise DataError(
            f"Expected a target for every sample of the {stage} data, but {missing} of {len(rows)} have none. "
            "Drop these samples."
        )
    try:
        numbers = torch.tensor([[float(value) for value in row] for row in rows])
    except (TypeError, ValueError) as error:
        raise DataError(
            f"Expected numbers as targets of the {stage} data, as many in each sample, but: {error}."
        ) from error
    return numbers if any(isinstance(value, list | tuple) for value in values) else numbers.squeeze(1)

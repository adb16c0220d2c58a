"""Compare nested results, weights and states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["flat", "same", "snapshot", "take"]


def same(one: Any, other: Any, tolerance: float = 0.0) -> bool:
    """Return whether two nested results are equal, numbers up to a relative tolerance."""
    if isinstance(one, np.ndarray | np.generic):
        one = torch.as_tensor(one)
    if isinstance(other, np.ndarray | np.generic):
        other = torch.as_tensor(other)
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        if one.is_floating_point():  # NaN equals NaN.
            return bool(torch.allclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True))
        return torch.equal(one, other)
    if isinstance(one, float) and isinstance(other, float):
        return one == other or abs(one - other) <= tolerance * max(1.0, abs(one)) or (one != one and other != other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key], tolerance) for key in one)
    if _is_row(one) and _is_row(other):
        return len(one) == len(other) and all(same(a, b, tolerance) for a, b in zip(one, other, strict=True))
    if type(one) is not type(other):
        return False
    if is_dataclass(one) and not isinstance(one, type):
        # The == of a dataclass fails if a field is an array.
        names = [each.name for each in fields(one)]
        return all(same(getattr(one, name), getattr(other, name), tolerance) for name in names)
    return bool(one == other)


def _is_row(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of all parameters and buffers of a module."""
    return {name: value.detach().clone() for name, value in [*module.named_parameters(), *module.named_buffers()]}


def flat(batches: Iterable[Any] | None) -> list[Any]:
    """Return the results of all batches, such as those of ``Trainer.predict``, as one list."""
    assert batches is not None
    return [result for batch in batches for result in batch]


def take(raw: Any, rows: Sequence[int]) -> Any:
    """Return the selected rows of raw inputs: a list, an array, a tensor, or a data frame."""
    if hasattr(raw, "iloc"):
        return raw.iloc[list(rows)]
    if isinstance(raw, np.ndarray | Tensor):
        return raw[list(rows)]
    return [raw[row] for row in rows]

"""Features: what a backbone gave for the inputs of a batch, in place of the inputs themselves."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._pytree import tree_map

__all__ = ["Features"]


class Features:
    """Marks tensors as features, so that a task gives them to its head alone.

    Args:
        values: What the task's ``forward_features`` gave: tensors with one row a sample, in any nesting.

    Example:
        >>> Features(torch.zeros(2, 8)).to("cpu").values.shape
        torch.Size([2, 8])
    """

    __slots__ = ("values",)

    def __init__(self, values: Any) -> None:
        self.values = values

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Features:
        """Return the features on a device; Lightning calls this as it does for tensors."""
        return Features(tree_map(lambda tensor: tensor.to(device, non_blocking=non_blocking), self.values))

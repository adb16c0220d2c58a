"""Features: the output of a backbone for a batch, in place of the inputs."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._pytree import tree_map

__all__ = ["Features"]


class Features:
    """Tensors marked as features, so that a task passes them to its head only.

    Args:
        values: The output of the task's ``forward_features``: tensors with one row per sample, in any nesting.

    Example:
        >>> Features(torch.zeros(2, 8)).to("cpu").values.shape
        torch.Size([2, 8])
    """

    __slots__ = ("values",)

    def __init__(self, values: Any) -> None:
        self.values = values

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Features:
        """Return the features on a device; called by Lightning as for tensors."""
        return Features(tree_map(lambda tensor: tensor.to(device, non_blocking=non_blocking), self.values))

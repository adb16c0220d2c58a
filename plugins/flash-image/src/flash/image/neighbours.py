"""How well vectors find their like: the share whose nearest neighbour has the same class."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

__all__ = ["NearestNeighbourAccuracy"]

# Similarities that are in memory at once: 64 MiB of them.
_AT_ONCE = 2**24


class NearestNeighbourAccuracy(Metric):
    """How often the vector that is most similar to a vector, itself apart, has the same class.

    Similarity is the cosine. Of many vectors only the last ``most`` count: the work grows with their square.

    Args:
        most: How many vectors are compared at most.

    Example:
        >>> metric = NearestNeighbourAccuracy()
        >>> metric.update(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]]), torch.tensor([0, 0, 1, 1]))
        >>> metric.compute()
        tensor(1.)
    """

    full_state_update = False
    higher_is_better = True
    vectors: list[Tensor]
    targets: list[Tensor]

    def __init__(self, most: int = 20_000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.most = most
        self.add_state("vectors", [], dist_reduce_fx="cat")
        self.add_state("targets", [], dist_reduce_fx="cat")

    def update(self, vectors: Tensor, targets: Tensor) -> None:
        """Take in vectors, shape ``(batch, n)``, and their class numbers, shape ``(batch,)``."""
        self.vectors.append(nn.functional.normalize(vectors.detach().float(), dim=-1))
        self.targets.append(targets.detach())

    def compute(self) -> Tensor:
        """Return the share; not a number for a single vector."""
        vectors, targets = dim_zero_cat(self.vectors)[-self.most :], dim_zero_cat(self.targets)[-self.most :]
        if len(vectors) < 2:
            return torch.tensor(torch.nan)
        rows = max(1, _AT_ONCE // len(vectors))
        right = torch.zeros((), device=vectors.device)
        for start in range(0, len(vectors), rows):
            part = vectors[start : start + rows]
            similarity = part @ vectors.T
            similarity[torch.arange(len(part)), start + torch.arange(len(part))] = -torch.inf
            right += (targets[similarity.argmax(1)] == targets[start : start + rows]).sum()
        return right / len(vectors)

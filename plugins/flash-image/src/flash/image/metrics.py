"""Nearest-neighbor accuracy (recall@1, cosine similarity) of embeddings."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

__all__ = ["NearestNeighborAccuracy"]

# Similarities that are in memory at a time: 64 MiB of them.
_MAX_SIMILARITIES = 2**24


class NearestNeighborAccuracy(Metric):
    """The share of vectors whose nearest neighbor by cosine similarity has the same class (recall@1).

    Only the last ``max_vectors`` vectors are compared, since the cost is quadratic.

    Args:
        max_vectors: The maximum number of vectors to compare.

    Example:
        >>> metric = NearestNeighborAccuracy()
        >>> metric.update(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]]), torch.tensor([0, 0, 1, 1]))
        >>> metric.compute()
        tensor(1.)
    """

    full_state_update = False
    higher_is_better = True
    vectors: list[Tensor]
    targets: list[Tensor]

    def __init__(self, max_vectors: int = 20_000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_vectors = max_vectors
        self.add_state("vectors", [], dist_reduce_fx="cat")
        self.add_state("targets", [], dist_reduce_fx="cat")

    def update(self, vectors: Tensor, targets: Tensor) -> None:
        """Add vectors, shape ``(batch, n)``, with their class indices, shape ``(batch,)``."""
        self.vectors.append(nn.functional.normalize(vectors.detach().float(), dim=-1))
        self.targets.append(targets.detach())

    def compute(self) -> Tensor:
        """Return the share; NaN for fewer than two vectors."""
        most = self.max_vectors
        vectors, targets = dim_zero_cat(self.vectors)[-most:], dim_zero_cat(self.targets)[-most:]
        if len(vectors) < 2:
            return torch.tensor(torch.nan)
        rows = max(1, _MAX_SIMILARITIES // len(vectors))
        correct = torch.zeros((), device=vectors.device)
        for start in range(0, len(vectors), rows):
            part = vectors[start : start + rows]
            similarity = part @ vectors.T
            similarity[torch.arange(len(part)), start + torch.arange(len(part))] = -torch.inf
            correct += (targets[similarity.argmax(1)] == targets[start : start + rows]).sum()
        return correct / len(vectors)

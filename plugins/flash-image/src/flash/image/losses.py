"""Contrastive losses, from pytorch-metric-learning."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn

from flash.core.registry import ComponentRegistry
from flash.errors import ConfigurationError

__all__ = ["MultiSimilarity", "SupCon", "Triplet", "contrastive_losses", "make_loss"]

#: Losses of the vectors of a batch by name: callables ``(vectors, class_indices) -> loss``.
contrastive_losses = ComponentRegistry("loss", "contrastive losses", "image/embedding")


def _library() -> Any:
    try:
        return importlib.import_module("pytorch_metric_learning.losses")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("pytorch_metric_learning"):
            raise
        raise ConfigurationError(
            "Expected pytorch-metric-learning to finetune an ImageEmbedder with a loss by name, but it is not "
            "installed. Install it: pip install 'flash-image[contrastive]'. Prediction does not need it."
        ) from error


class SupCon:
    """Supervised contrastive loss (2004.11362)."""

    def __new__(cls) -> Any:
        """Return the loss of pytorch-metric-learning."""
        return _library().SupConLoss(temperature=0.1)


class MultiSimilarity:
    """Multi-similarity loss (1904.06627)."""

    def __new__(cls) -> Any:
        """Return the loss of pytorch-metric-learning."""
        return _library().MultiSimilarityLoss()


class Triplet:
    """Triplet margin loss over all triplets of a batch (1503.03832)."""

    def __new__(cls) -> Any:
        """Return the loss of pytorch-metric-learning."""
        return _library().TripletMarginLoss()


def make_loss(name: str, prefer: str | None = None) -> nn.Module:
    """Make a loss by name.

    Args:
        name: A name in :data:`contrastive_losses`.
        prefer: The distribution that wins where several plugins register the name.

    Raises:
        UnknownNameError: If there is no such loss.
        ConfigurationError: If pytorch-metric-learning is not installed.
    """
    found: Any = contrastive_losses.get(name, prefer)
    made: nn.Module = found() if isinstance(found, type) else found
    return made

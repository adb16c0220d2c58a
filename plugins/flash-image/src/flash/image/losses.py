"""Contrastive losses, from pytorch-metric-learning."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn

from flash.core.registry import ComponentRegistry
from flash.errors import ConfigurationError

__all__ = ["MultiSimilarity", "SupCon", "Triplet", "contrastive_losses", "make_loss"]

#: Losses that compare the vectors of a batch with each other, by name: each takes vectors and class numbers.
contrastive_losses = ComponentRegistry("loss", "contrastive losses", "image/embedding")


def _library() -> Any:
    try:
        return importlib.import_module("pytorch_metric_learning.losses")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("pytorch_metric_learning"):
            raise
        raise ConfigurationError(
            "Expected pytorch-metric-learning to finetune an ImageEmbedder with a loss by name, but it is not "
            "installed. Install it: pip install 'flash-image[contrastive]'. Prediction does without it."
        ) from error


class SupCon:
    """Supervised contrastive loss (2004.11362)."""

    def __new__(cls) -> Any:
        """Make the loss of the library."""
        return _library().SupConLoss(temperature=0.1)


class MultiSimilarity:
    """Multi-similarity loss (1904.06627)."""

    def __new__(cls) -> Any:
        """Make the loss of the library."""
        return _library().MultiSimilarityLoss()


class Triplet:
    """Triplet margin loss of all triplets in a batch (1503.03832)."""

    def __new__(cls) -> Any:
        """Make the loss of the library."""
        return _library().TripletMarginLoss()


def make_loss(name: str, prefer: str | None = None) -> nn.Module:
    """Make a loss by its name.

    Args:
        name: A name in :data:`contrastive_losses`.
        prefer: The distribution that wins where several plugins give the name.

    Raises:
        UnknownNameError: If there is no such loss.
        ConfigurationError: If pytorch-metric-learning is not installed.
    """
    found: Any = contrastive_losses.get(name, prefer)
    made: nn.Module = found() if isinstance(found, type) else found
    return made

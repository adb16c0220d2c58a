"""Contrastive losses, from pytorch-metric-learning."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn

from flash import Registry
from flash.errors import ConfigurationError

__all__ = ["contrastive_losses", "make_loss"]

#: Losses that compare the vectors of a batch with each other, by name: each takes vectors and class numbers.
contrastive_losses = Registry("contrastive losses")


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


@contrastive_losses("supcon", summary="Supervised contrastive (2004.11362); the default.")
def _supcon() -> nn.Module:
    return _made(_library().SupConLoss(temperature=0.1))


@contrastive_losses("multi_similarity", summary="Multi-similarity (1904.06627).")
def _multi_similarity() -> nn.Module:
    return _made(_library().MultiSimilarityLoss())


@contrastive_losses("triplet", summary="Triplet margin, of all triplets in the batch (1503.03832).")
def _triplet() -> nn.Module:
    return _made(_library().TripletMarginLoss())


def _made(loss: Any) -> nn.Module:
    made: nn.Module = loss
    return made


def make_loss(name: str) -> nn.Module:
    """Make a loss by its name.

    Args:
        name: A name in :data:`contrastive_losses`.

    Raises:
        UnknownNameError: If there is no such loss.
        ConfigurationError: If pytorch-metric-learning is not installed.
    """
    made: nn.Module = contrastive_losses.get(name)()
    return made

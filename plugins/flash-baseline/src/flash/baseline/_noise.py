"""Labels that may be wrong."""

from __future__ import annotations

import numpy as np
import torch

from flash.core.labeling import label_margins
from flash.errors import DataError

from ._resampling import Array

__all__ = ["suspicious_labels"]


def suspicious_labels(probabilities: Array, targets: Array, *, most: int | None = None) -> Array:
    """Return the samples whose label may be wrong, the most suspicious first, by confident learning.

    What is suspicious, and how much, says :func:`flash.core.labeling.label_margins`.

    Args:
        probabilities: ``(samples, classes)``, predicted by a model that was not trained on these samples.
        targets: The labels as indices ``(samples,)``, or zeros and ones ``(samples, classes)`` of several labels.
        most: The largest number of samples to return.

    Returns:
        The places of the samples.

    Raises:
        DataError: If there is not one target per sample.

    Example:
        >>> probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.05, 0.95], [0.2, 0.8], [0.1, 0.9]])
        >>> suspicious_labels(probabilities, np.array([0, 0, 0, 1, 1]))
        array([2])
    """
    probabilities, targets = np.asarray(probabilities, dtype=np.float64), np.asarray(targets)
    if len(probabilities) != len(targets):
        raise DataError(
            f"Expected one target per sample, but got {len(targets)} targets and {len(probabilities)} rows of "
            "probabilities. Predict the samples that the targets are of."
        )
    if targets.ndim == 2:
        margins = np.max(
            [_margins(_both(column), labels) for column, labels in _columns(probabilities, targets)], axis=0
        )
    else:
        margins = _margins(probabilities, targets)
    found = np.flatnonzero(margins > 0)
    return np.asarray(found[np.argsort(-margins[found], kind="stable")][:most])


def _margins(probabilities: Array, targets: Array) -> Array:
    """Return how much more probable the likely class of each sample is than its label; 0 where it is its label."""
    margins, _ = label_margins(torch.from_numpy(probabilities), torch.from_numpy(targets).long())
    return margins.numpy()


def _both(positive: Array) -> Array:
    return np.stack([1 - positive, positive], axis=1)


def _columns(probabilities: Array, targets: Array) -> list[tuple[Array, Array]]:
    return [(probabilities[:, each], (targets[:, each] > 0).astype(np.int64)) for each in range(targets.shape[1])]

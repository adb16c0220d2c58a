"""Labels that may be wrong."""

from __future__ import annotations

import numpy as np

from flash.errors import DataError

from ._resampling import Array

__all__ = ["suspicious_labels"]


def suspicious_labels(probabilities: Array, targets: Array, *, most: int | None = None) -> Array:
    """Return the samples whose label may be wrong, the most suspicious first, by confident learning.

    A class is likely for a sample if its probability is at least the mean probability of the class over the samples
    that are labeled with it, which adapts to classes that a model is less sure of. A sample is suspicious if classes
    are likely for it, and the most probable of these is not its label. They are ordered by how much more probable that
    class is. The source is Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
    Journal of Artificial Intelligence Research 70 (2021), section 3.1.

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
    rows, classes = np.arange(len(targets)), probabilities.shape[1]
    counts = np.bincount(targets, minlength=classes)
    own = probabilities[rows, targets]
    # A class without samples has no threshold, and no sample is said to be of it.
    thresholds = np.where(counts > 0, np.bincount(targets, own, classes) / np.maximum(counts, 1), np.inf)
    likely = np.where(probabilities >= thresholds, probabilities, -np.inf)
    best = likely.argmax(1)
    suspicious = np.isfinite(likely[rows, best]) & (best != targets)
    return np.asarray(np.where(suspicious, np.maximum(probabilities[rows, best] - own, 0), 0))


def _both(positive: Array) -> Array:
    return np.stack([1 - positive, positive], axis=1)


def _columns(probabilities: Array, targets: Array) -> list[tuple[Array, Array]]:
    return [(probabilities[:, each], (targets[:, each] > 0).astype(np.int64)) for each in range(targets.shape[1])]

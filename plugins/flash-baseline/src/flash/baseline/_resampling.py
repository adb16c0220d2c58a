"""Metrics of many bootstrap resamples at once.

A resample is the number of times that each sample was drawn, ``counts`` of shape ``(resamples, samples)``. A metric is
prepared once for its targets and outputs (errors computed, scores sorted), and then evaluated on all resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from flash.core.structured_prediction import Array, Evaluation, of_means

__all__ = ["Array", "Evaluation", "areas_under_roc", "average_precisions", "draw", "macro", "of_classes", "of_means"]

# Numbers of a block of counts: half a megabyte, which stays in the cache of a processor.
_BLOCK = 1 << 16
# More different scores than these are merged, so that a resample takes time only for its samples.
_MOST_RANKS = 4096


def draw(samples: int, resamples: int, seed: int, groups: Array | None = None) -> Iterator[Array]:
    """Yield blocks of counts ``(a part of the resamples, samples)``.

    Args:
        samples: The number of samples.
        resamples: The number of resamples of all blocks.
        seed: The seed.
        groups: The number of the group of each sample: whole groups are drawn, since their samples are not independent.
    """
    random = np.random.default_rng(seed)
    drawn = samples if groups is None else int(groups.max()) + 1
    height = max(1, _BLOCK // max(samples, 1))
    for start in range(0, resamples, height):
        indices = random.integers(0, drawn, (min(height, resamples - start), drawn), dtype=np.int32)
        counts = np.stack([np.bincount(row, minlength=drawn) for row in indices]).astype(np.float64)
        yield counts if groups is None else counts[:, groups]


def of_classes(targets: Array, predictions: Array, classes: int, combine: Callable[..., Array]) -> Evaluation:
    """Return the evaluation of a metric that is a function of the numbers of samples per class.

    Args:
        targets: The class of each sample.
        predictions: The predicted class of each sample.
        classes: The number of classes.
        combine: From hits, targets and predictions, each ``(resamples, classes)``, to the metrics.
    """
    hits = np.flatnonzero(targets == predictions)

    def per_class(indices: Array, counts: Array) -> Array:
        return np.stack([np.bincount(indices, row, minlength=classes) for row in counts])

    return lambda counts: combine(
        per_class(targets[hits], counts[:, hits]), per_class(targets, counts), per_class(predictions, counts)
    )


def areas_under_roc(positive: Array, scores: Array) -> Evaluation:
    """Return the evaluation of the area under the ROC curve of one class.

    Args:
        positive: Whether each sample is of the class.
        scores: Its score for the class. Equal scores count one half.
    """

    def area(positives: Array, negatives: Array) -> Array:
        below = np.cumsum(negatives, axis=1) - negatives / 2
        return _ratio((positives * below).sum(1), positives.sum(1) * negatives.sum(1))

    return _of_ranks(positive, scores, area)


def average_precisions(positive: Array, scores: Array) -> Evaluation:
    """Return the evaluation of the average precision of one class, as scikit-learn defines it.

    Args:
        positive: Whether each sample is of the class.
        scores: Its score for the class.
    """

    def average(positives: Array, negatives: Array) -> Array:
        found = np.cumsum(positives, axis=1)
        returned = found + np.cumsum(negatives, axis=1)
        precisions = np.divide(found, returned, out=np.zeros_like(found), where=returned > 0)
        return _ratio((positives * precisions).sum(1), found[:, -1])

    return _of_ranks(positive, -scores, average)


def _of_ranks(positive: Array, scores: Array, compute: Callable[[Array, Array], Array]) -> Evaluation:
    """Return the evaluation of a metric of the order of the scores.

    Args:
        positive: Whether each sample is of the class.
        scores: Its score.
        compute: From the numbers of positive and of negative samples per score, both ``(resamples, scores)`` in
            ascending order, to the metrics.
    """
    ascending, ranks, repeats = np.unique(scores, return_inverse=True, return_counts=True)
    exact = compute(
        *(np.bincount(ranks[of], minlength=len(ascending))[None].astype(np.float64) for of in (positive, ~positive))
    )
    if len(ascending) > _MOST_RANKS:
        # Neighbors share a rank: what that changes is the same in all resamples, and is added below.
        below = np.cumsum(repeats) - repeats
        ranks = (below * _MOST_RANKS // len(scores))[ranks]
    parts = [(of, ranks[of]) for of in (np.flatnonzero(positive), np.flatnonzero(~positive))]
    width = int(ranks.max()) + 1

    def evaluate(counts: Array) -> Array:
        return compute(*(np.stack([np.bincount(rank, row[of], width) for row in counts]) for of, rank in parts))

    shift = exact - evaluate(np.ones((1, len(scores))))
    return lambda counts: evaluate(counts) + shift


def macro(evaluations: list[Evaluation]) -> Evaluation:
    """Return the evaluation of the mean over the classes that it is defined for."""

    def evaluate(counts: Array) -> Array:
        total, defined = np.zeros(len(counts)), np.zeros(len(counts))
        for each in evaluations:
            values = each(counts)
            total += np.nan_to_num(values)
            defined += ~np.isnan(values)
        return _ratio(total, defined)

    return evaluate


def _ratio(above: Array, below: Array) -> Array:
    return np.asarray(np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0))

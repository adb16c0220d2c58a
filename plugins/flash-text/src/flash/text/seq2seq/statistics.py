"""Statistics of generated texts, one row each, whose means give the metrics of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from flash.core.structured_prediction import Array

from .metrics import Bleu, Rouge, summarization_metrics

__all__ = ["bleu_counts", "bleu_of", "chrf_counts", "chrf_of", "rouge_values"]

_ORDERS = 6
_BETA = 2.0


def rouge_values(predicted: Sequence[str], targets: Sequence[str]) -> Array:
    """Return ROUGE-1, ROUGE-2 and ROUGE-L of each text, ``(texts, 3)``, whose means are the metrics.

    Example:
        >>> rouge_values(["the cat sat"], ["the cat slept"]).round(2).tolist()
        [[0.67, 0.5, 0.67]]
    """
    columns = []
    for key, metric in summarization_metrics().items():
        assert isinstance(metric, Rouge)
        metric.update(list(predicted), list(targets))
        columns.append(np.array([float(value) for value in getattr(metric, f"{key}_fmeasure")]))
    return np.stack(columns, axis=1)


def bleu_counts(predicted: Sequence[str], targets: Sequence[str]) -> Array:
    """Return what BLEU counts in each text, ``(texts, 10)``.

    That is, for n-grams of 1 to 4 words, how many are in the target too; how many there are; and the numbers of words
    of both.

    Example:
        >>> bleu_counts(["a red house"], ["a red car"]).tolist()
        [[2.0, 1.0, 0.0, 0.0, 3.0, 2.0, 1.0, 0.0, 3.0, 3.0]]
    """
    metric, rows = Bleu(), []
    for one, other in zip(predicted, targets, strict=True):
        metric.reset()
        metric.update([one], [other])
        lengths = [float(metric.preds_len), float(metric.target_len)]
        rows.append([*metric.numerator.tolist(), *metric.denominator.tolist(), *lengths])
    return np.array(rows).reshape(len(rows), 10)


def bleu_of(means: Array) -> Array:
    """Return BLEU from means of :func:`bleu_counts`, ``(weightings, 10)``; shape ``(weightings,)``.

    Example:
        >>> bleu_of(bleu_counts(["Das ist ein rotes Haus."], ["Das ist ein rotes Haus!"])).round(2).tolist()
        [0.76]
    """
    found, there, (length, wanted) = means[:, :4], means[:, 4:8], means[:, 8:].T
    is_defined = (found > 0).all(1)
    shares = np.divide(found, there, out=np.ones_like(found), where=found > 0)
    ratio = np.divide(wanted, length, out=np.ones_like(wanted), where=length > 0)
    brief = np.where(length > wanted, 1.0, np.exp(1 - ratio))
    return np.where(is_defined, brief * np.exp(np.log(shares).mean(1)), 0.0)


def chrf_counts(predicted: Sequence[str], targets: Sequence[str]) -> Array:
    """Return what chrF counts in each text, ``(texts, 18)``.

    That is, for n-grams of 1 to 6 characters without spaces, how many are in both texts, in the text, and in the
    target. As in torchmetrics, a target that has no character of the text is not counted.

    Example:
        >>> chrf_counts(["ab"], ["abb"])[0, [0, 1, 6, 7, 12, 13]].tolist()
        [2.0, 1.0, 2.0, 1.0, 3.0, 2.0]
    """
    rows = []
    for one, other in zip(predicted, targets, strict=True):
        first, second = (text.strip().replace(" ", "") for text in (one, other))
        pairs = [(_ngrams(first, size), _ngrams(second, size)) for size in range(1, _ORDERS + 1)]
        both = [(mine & its).total() for mine, its in pairs]
        wanted = [its.total() if both[0] else 0 for _, its in pairs]
        rows.append([*both, *(mine.total() for mine, _ in pairs), *wanted])
    return np.array(rows, dtype=np.float64).reshape(len(rows), 3 * _ORDERS)


def _ngrams(text: str, size: int) -> Counter[str]:
    return Counter(text[start : start + size] for start in range(len(text) - size + 1))


def chrf_of(means: Array) -> Array:
    """Return chrF from means of :func:`chrf_counts`, ``(weightings, 18)``; shape ``(weightings,)``.

    Example:
        >>> chrf_of(chrf_counts(["guten Tag"], ["guten Tag"])).tolist()
        [1.0]
    """
    both, there, wanted = np.split(means, 3, axis=1)
    precision, recall = (np.divide(both, of, out=np.zeros_like(both), where=of > 0) for of in (there, wanted))
    below = _BETA**2 * precision + recall
    scores = np.divide((1 + _BETA**2) * precision * recall, below, out=np.zeros_like(below), where=below > 0)
    return np.asarray(scores.mean(1))

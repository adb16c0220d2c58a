"""Details of the outputs of a model: confusion, scores per class, calibration, residuals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from ._resampling import Array
from .results import Results

__all__ = ["evaluation_of"]

_BINS = 10
_CONFUSIONS = 25
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def evaluation_of(results: Results) -> dict[str, Any]:
    """Return the numbers of the details of the best model, as JSON has them; empty without outputs."""
    if not len(results.targets) or len(results.targets) != len(results.outputs):
        return {}
    if results.kind == "regression":
        return {"residuals": _residuals(results)}
    if results.kind == "multi-label":
        return {"per_class": _per_label(results), "calibration": _calibration(*_flat(results))}
    predictions = results.outputs.argmax(1)
    rows = np.arange(len(predictions))
    right = predictions == results.targets
    return {
        "confusion": _confusion(results.targets, predictions, len(results.labels)),
        "per_class": _per_class(results.targets, predictions, results.labels),
        "calibration": _calibration(results.outputs[rows, predictions], right),
    }


def _confusion(targets: Array, predictions: Array, classes: int) -> dict[str, Any]:
    counts = np.bincount(targets * classes + predictions, minlength=classes * classes).reshape(classes, classes)
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_CONFUSIONS]
    pairs = [(int(place // classes), int(place % classes)) for place in order]
    return {
        "counts": counts.tolist(),
        "pairs": [
            {"truth": one, "prediction": other, "count": int(wrong[one, other]), "of": int(counts[one].sum())}
            for one, other in pairs
            if wrong[one, other]
        ],
    }


def _per_class(targets: Array, predictions: Array, labels: Sequence[str]) -> list[dict[str, Any]]:
    precision, recall, f1, support = precision_recall_fscore_support(
        targets, predictions, labels=range(len(labels)), zero_division=0
    )
    predicted = np.bincount(predictions, minlength=len(labels))
    return [
        {
            "label": str(label),
            "count": int(support[place]),
            # Of nothing, there is no share.
            "precision": float(precision[place]) if predicted[place] else None,
            "recall": float(recall[place]) if support[place] else None,
            "f1": float(f1[place]) if support[place] or predicted[place] else None,
        }
        for place, label in enumerate(labels)
    ]


def _per_label(results: Results) -> list[dict[str, Any]]:
    truth, predicted = results.targets > 0, results.outputs >= 0.5
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=range(len(results.labels)), average=None, zero_division=0
    )
    return [
        {
            "label": str(label),
            "count": int(support[place]),
            "precision": float(precision[place]) if predicted[:, place].any() else None,
            "recall": float(recall[place]) if support[place] else None,
            "f1": float(f1[place]) if support[place] or predicted[:, place].any() else None,
            "average_precision": (
                float(average_precision_score(truth[:, place], results.outputs[:, place])) if support[place] else None
            ),
        }
        for place, label in enumerate(results.labels)
    ]


def _flat(results: Results) -> tuple[Array, Array]:
    """Return the confidence in each decision about a label, and whether it is right."""
    positive = results.outputs >= 0.5
    confidence = np.where(positive, results.outputs, 1 - results.outputs)
    return confidence.ravel(), (positive == (results.targets > 0)).ravel()


def _calibration(confidence: Array, right: Array) -> dict[str, Any]:
    """Return the reliability diagram and the expected calibration error.

    The error is the mean over the samples of the distance between the confidence and the accuracy of their bin. The
    source is Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, with 10 bins of one width.
    """
    places = np.clip((confidence * _BINS).astype(np.int64), 0, _BINS - 1)
    counts = np.bincount(places, minlength=_BINS)
    accuracy = np.bincount(places, right, _BINS) / np.maximum(counts, 1)
    mean = np.bincount(places, confidence, _BINS) / np.maximum(counts, 1)
    return {
        "ece": float((counts * np.abs(accuracy - mean)).sum() / counts.sum()),
        "confidence": float(confidence.mean()),
        "accuracy": float(right.mean()),
        "bins": [
            {
                "low": place / _BINS,
                "high": (place + 1) / _BINS,
                "count": int(counts[place]),
                "confidence": float(mean[place]),
                "accuracy": float(accuracy[place]),
            }
            for place in range(_BINS)
            if counts[place]
        ],
    }


def _residuals(results: Results) -> list[dict[str, Any]]:
    targets = results.targets.reshape(len(results.targets), -1)
    outputs = results.outputs.reshape(len(results.outputs), -1)
    names = list(results.labels) if len(results.labels) == targets.shape[1] else [""] * targets.shape[1]
    found = []
    for place, name in enumerate(names):
        errors = outputs[:, place] - targets[:, place]
        found.append(
            {
                "target": str(name),
                "mean": float(errors.mean()),
                "std": float(errors.std()),
                "quantiles": {f"{share:g}": float(np.quantile(errors, share)) for share in _QUANTILES},
                "largest": float(np.abs(errors).max()),
            }
        )
    return found

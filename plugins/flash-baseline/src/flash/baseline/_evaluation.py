"""Details of the outputs of a model: confusion, scores per class, calibration, residuals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from flash.core.evaluation import ClassScores, Evaluated, TargetKind, evaluate_predictions

from ._resampling import Array
from .results import Results

__all__ = ["evaluated_of", "evaluation_of"]

_KINDS: dict[str, TargetKind] = {"classification": "classes", "multi-label": "labels", "regression": "numbers"}

_BINS = 10
_CONFUSIONS = 25
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def evaluated_of(kind: str, outputs: Array, targets: Array, labels: Sequence[str], part: str) -> Evaluated:
    """Return predictions, of whatever model, beside the truth, with the loss of each sample.

    Args:
        kind: The kind of task.
        outputs: Probabilities ``(samples, classes)``, or numbers.
        targets: The targets.
        labels: The names of the classes.
        part: The part of the data that the samples are.
    """
    names = None if kind == "regression" else labels
    found: Any = _KINDS[kind]
    return evaluate_predictions(found, outputs, targets, names=names, stage=part)


def evaluation_of(results: Results) -> dict[str, Any]:
    """Return the numbers of the details of the best model, as JSON has them; empty without outputs."""
    if not len(results.targets) or len(results.targets) != len(results.outputs):
        return {}
    if results.kind == "regression":
        return {"residuals": _residuals(results)}
    if results.kind == "structured":
        return {"per_class": list(results.class_scores)} if results.class_scores else {}
    evaluated = evaluated_of(results.kind, results.outputs, results.targets, results.labels, results.part)
    assert evaluated.predicted is not None
    predicted, targets = evaluated.predicted.numpy(), results.targets
    right = predicted == (targets > 0 if results.kind == "multi-label" else targets)
    per_class = [_class_row(each) for each in evaluated.class_scores()]
    if results.kind == "multi-label":
        for place, row in enumerate(per_class):
            row["average_precision"] = _average_precision(targets[:, place] > 0, results.outputs[:, place])
        confidence = np.where(predicted, results.outputs, 1 - results.outputs)
        return {
            "per_class": per_class,
            "calibration": _calibration(confidence.ravel(), right.ravel()),
        }
    return {
        "confusion": _confusion(evaluated.confusion().numpy()),
        "per_class": per_class,
        "calibration": _calibration(results.outputs[np.arange(len(predicted)), predicted], right),
    }


def _average_precision(positive: Array, scores: Array) -> float | None:
    return float(average_precision_score(positive, scores)) if positive.any() else None


def _confusion(counts: Array) -> dict[str, Any]:
    classes = len(counts)
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


def _class_row(scores: ClassScores) -> dict[str, Any]:
    values = {name: getattr(scores, name) for name in ("precision", "recall", "f1")}
    # Of nothing, there is no share.
    shares = {name: None if np.isnan(value) else value for name, value in values.items()}
    return {"label": scores.label, "count": scores.support, **shares}


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

"""All numbers of the page as JSON has them: what ``results.json`` holds, and what the page shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ._evaluation import evaluation_of
from ._verdict import checkpoint_of, verdict_of
from .results import Results, Sample

__all__ = ["numbers_of"]


def numbers_of(results: Results) -> dict[str, Any]:
    """Return what a baseline found as plain values: text, finite numbers, ``None``, lists and dicts."""
    evaluation = evaluation_of(results)
    return {
        "title": str(results.title),
        "verdict": verdict_of(results, evaluation),
        "task": str(results.task),
        "kind": results.kind,
        "why": str(results.why),
        "counts": _plain(results.counts),
        "facts": _plain(results.facts),
        "classes": _plain(results.classes),
        "labels": [str(label) for label in results.labels],
        "findings": [_plain(asdict(finding)) for finding in results.findings],
        "metric": results.metric,
        "higher_is_better": results.higher_is_better,
        "part": results.part,
        "best": results.best,
        "checkpoint": _plain(checkpoint_of(results)),
        "time_limit": _plain(results.time_limit),
        "entries": [_plain(asdict(entry)) for entry in results.entries],
        "folds": [_plain(asdict(each)) for each in results.folds],
        "comparisons": [
            {**_plain(asdict(each)), "exceeds_noise": bool(each.exceeds_noise)} for each in results.comparisons
        ],
        "evaluation": _plain(evaluation),
        "mistakes": [_sample(sample) for sample in results.mistakes],
        "suspicious": [_sample(sample) for sample in results.suspicious],
        "importance": [_plain(asdict(each)) for each in results.importance],
        "times": _plain(results.times),
        "versions": _plain(results.versions),
        "commands": [_plain(asdict(command)) for command in results.commands],
    }


def _sample(sample: Sample) -> dict[str, Any]:
    shown = sample.shown
    # An image is on the page alone.
    seen = None if isinstance(shown, np.ndarray) else _plain(shown)
    return {
        "id": _plain(sample.id),
        "shown": seen,
        "truth": _plain(sample.truth),
        "prediction": _plain(sample.prediction),
        "loss": _plain(sample.loss),
        "probability": _plain(sample.probability),
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; what is not finite becomes ``None``, and what JSON has not becomes text."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes):
        return [_plain(each) for each in value]
    return str(value)

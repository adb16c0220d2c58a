"""The output of detectors: predictions as boxes, labels and scores."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from flash.core.registry import ComponentRegistry

__all__ = ["best_rows", "boxes", "detection_outputs"]

#: The outputs of detectors, by name.
detection_outputs = ComponentRegistry("output", "outputs", "image/detection")


def boxes(predictions: Any, task: Any) -> list[dict[str, list[Any]]]:
    """Return ``{"boxes": [[left, top, right, bottom], ...], "labels": [...], "scores": [...]}`` per image.

    Edges are in pixels of the upright image. Boxes with a score below the task's threshold are left out; the others are
    sorted by descending score.
    """
    return [_detections(found, task) for found in predictions]


def best_rows(found: dict[str, Any], task: Any) -> Tensor:
    """Return the rows of the objects in an image with a score of the task's threshold or more, best first.

    Args:
        found: What the network found: ``scores``, shape ``(objects,)``.
        task: The detector.
    """
    scores: Tensor = found["scores"].float()
    order = scores.argsort(descending=True, stable=True)
    return order[scores[order] >= task.score_threshold]


def _detections(found: dict[str, Any], task: Any) -> dict[str, list[Any]]:
    order = best_rows(found, task)
    numbers = (found["labels"][order] - 1).tolist()
    return {
        "boxes": found["boxes"][order].float().tolist(),
        "labels": numbers if task.labels is None else [task.labels[number] for number in numbers],
        "scores": found["scores"].float()[order].tolist(),
    }

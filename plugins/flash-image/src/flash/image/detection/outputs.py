"""The output of detectors: predictions as boxes, labels and scores."""

from __future__ import annotations

from typing import Any

from flash.core.registry import ComponentRegistry

__all__ = ["boxes", "detection_outputs"]

#: The outputs of detectors, by name.
detection_outputs = ComponentRegistry("output", "outputs", "image/detection")


def boxes(predictions: Any, task: Any) -> list[dict[str, list[Any]]]:
    """Return ``{"boxes": [[left, top, right, bottom], ...], "labels": [...], "scores": [...]}`` per image.

    Edges are in pixels of the upright image. Boxes with a score below the task's threshold are left out; the others are
    sorted by descending score.
    """
    return [_detections(found, task) for found in predictions]


def _detections(found: dict[str, Any], task: Any) -> dict[str, list[Any]]:
    scores = found["scores"].float()
    order = scores.argsort(descending=True, stable=True)
    order = order[scores[order] >= task.score_threshold]
    numbers = (found["labels"][order] - 1).tolist()
    return {
        "boxes": found["boxes"][order].float().tolist(),
        "labels": numbers if task.labels is None else [task.labels[number] for number in numbers],
        "scores": scores[order].tolist(),
    }

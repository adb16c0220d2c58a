"""The output of keypoint detection: predictions as boxes, labels, scores and points."""

from __future__ import annotations

from typing import Any

from flash.core.registry import ComponentRegistry

from ..detection.outputs import best_rows, boxes

__all__ = ["keypoint_outputs", "keypoints"]

#: The outputs of keypoint detection, by name.
keypoint_outputs = ComponentRegistry("output", "outputs", "image/keypoints")


def keypoints(predictions: Any, task: Any) -> list[dict[str, list[Any]]]:
    """Return ``boxes``, ``labels`` and ``scores`` as of a detector, ``keypoints`` and ``keypoint_scores``, per image.

    ``keypoints`` are x and y of each point in pixels, a list per object in the order of the task's ``keypoints``.
    ``keypoint_scores`` are the values of the network's heat maps there, which have no limits: the higher, the surer.
    """
    found = boxes(predictions, task)
    for each, prediction in zip(found, predictions, strict=True):
        rows = best_rows(prediction, task)
        each["keypoints"] = prediction["keypoints"][rows, :, :2].float().tolist()
        each["keypoint_scores"] = prediction["keypoints_scores"][rows].float().tolist()
    return found

"""Candidates for the baseline of images with points of objects, besides the default network."""

from __future__ import annotations

from typing import Any

from flash import DataModule, Task

from ..detection.average_precision import point_matching
from ..detection.usual_objects import UsualObjects
from .detector import KeypointDetector
from .metrics import default_sigmas

__all__ = ["frozen", "scratch", "usual_points"]

# The longer side of images, in pixels, a quarter of the usual area.
_SIZE = 512


def usual_points(data: DataModule) -> UsualObjects:
    """Return the model that finds the mean pose of each class in every image."""
    facts: Any = data.train_dataset
    return UsualObjects(point_matching(default_sigmas(facts.keypoints)))


def frozen(data: DataModule) -> tuple[Task, str]:
    """Return the heads of Keypoint R-CNN on its frozen, pretrained backbone, on smaller images."""
    return KeypointDetector.from_data(data, image_size=_SIZE), "freeze"


def scratch(data: DataModule) -> Task:
    """Return a Keypoint R-CNN with random weights, on smaller images, which needs no model hub."""
    return KeypointDetector.from_data(data, pretrained=False, image_size=_SIZE)

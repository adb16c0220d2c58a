"""Torchvision's Keypoint R-CNN for any number of classes and points, with published weights, others, or random ones."""

from __future__ import annotations

from functools import partial

from torchvision.models import get_model_weights

from ..detection.models import torchvision_detector

__all__ = ["keypointrcnn_resnet50_fpn", "published_keypoints"]

keypointrcnn_resnet50_fpn = partial(torchvision_detector, "keypointrcnn_resnet50_fpn")


def published_keypoints() -> list[str]:
    """Return the names of the points of COCO's persons, which the published weights were trained on.

    Example:
        >>> published_keypoints()[:3]
        ['nose', 'left_eye', 'right_eye']
    """
    weights = get_model_weights("keypointrcnn_resnet50_fpn")
    names: list[str] = list(weights.DEFAULT.meta["keypoint_names"])
    return names

"""Candidates for the baseline of images with a mask per object, besides the default network."""

from __future__ import annotations

from flash import DataModule, Task

from ..detection.average_precision import MASKS
from ..detection.usual_objects import UsualObjects
from .segmenter import InstanceSegmentation

__all__ = ["frozen", "scratch", "usual_masks"]

_BACKBONE = "flash-image/maskrcnn_resnet50_fpn"
# The longer side of images, in pixels, a quarter of the usual area.
_SIZE = 512


def usual_masks(data: DataModule) -> UsualObjects:  # noqa: ARG001  # as the others
    """Return the model that finds the mean box of each class, as a mask, in every image."""
    return UsualObjects(MASKS)


def frozen(data: DataModule) -> tuple[Task, str]:
    """Return the heads of Mask R-CNN on its frozen, pretrained backbone, on smaller images."""
    return InstanceSegmentation.from_data(data, backbone=_BACKBONE, image_size=_SIZE), "freeze"


def scratch(data: DataModule) -> Task:
    """Return a Mask R-CNN with random weights, on smaller images, which needs no model hub."""
    return InstanceSegmentation.from_data(data, backbone=_BACKBONE, pretrained=False, image_size=_SIZE)

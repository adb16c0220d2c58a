"""Candidates for the baseline of images with boxes, besides the default network."""

from __future__ import annotations

from flash import DataModule, Task

from .average_precision import BOXES
from .detector import ObjectDetector
from .usual_objects import UsualObjects

__all__ = ["scratch", "ssdlite", "usual_boxes"]


def usual_boxes(data: DataModule) -> UsualObjects:  # noqa: ARG001  # as the others
    """Return the model that finds the mean box of each class in every image."""
    return UsualObjects(BOXES)


def ssdlite(data: DataModule) -> Task:
    """Return a detector on SSDlite, pretrained, which is smaller and faster than the default."""
    return ObjectDetector.from_data(data, backbone="flash-image/ssdlite320_mobilenet_v3_large")


def scratch(data: DataModule) -> Task:
    """Return a Faster R-CNN on MobileNetV3 with random weights, which needs no model hub."""
    backbone = "flash-image/fasterrcnn_mobilenet_v3_large_320_fpn"
    return ObjectDetector.from_data(data, backbone=backbone, pretrained=False)

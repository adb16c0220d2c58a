"""Keypoint detection: the points of each object in an image, such as joints, on Keypoint R-CNN of torchvision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash.plugins import lazy_exports

if TYPE_CHECKING:
    from .data import KeypointDetectionData as KeypointDetectionData
    from .detector import KeypointDetector as KeypointDetector
    from .preprocess import KeypointDetectionPreprocess as KeypointDetectionPreprocess

_EXPORTS = {
    "KeypointDetectionData": ".data",
    "KeypointDetectionPreprocess": ".preprocess",
    "KeypointDetector": ".detector",
}

__all__ = ["KeypointDetectionData", "KeypointDetectionPreprocess", "KeypointDetector"]


# Hidden from type checkers, which would otherwise accept any misspelled name.
if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)

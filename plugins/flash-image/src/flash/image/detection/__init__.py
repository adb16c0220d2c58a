"""Object detection: the boxes and classes of the objects in an image, on torchvision's detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash.plugins import lazy_exports

if TYPE_CHECKING:
    from .data import ObjectDetectionData as ObjectDetectionData
    from .detector import ObjectDetector as ObjectDetector
    from .preprocess import ObjectDetectionPreprocess as ObjectDetectionPreprocess

_EXPORTS = {
    "ObjectDetectionData": ".data",
    "ObjectDetectionPreprocess": ".preprocess",
    "ObjectDetector": ".detector",
}

__all__ = ["ObjectDetectionData", "ObjectDetectionPreprocess", "ObjectDetector"]


# Hidden from type checkers, which would otherwise accept any misspelled name.
if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)

"""Object detection: where the things of some classes are in an image, on torchvision's detectors."""

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


# A type checker that saw this would take any misspelt name for one of them.
if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)

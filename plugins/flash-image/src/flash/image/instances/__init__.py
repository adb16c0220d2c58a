"""Instance segmentation: the pixels and the class of each object in an image, on Mask R-CNN of torchvision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash.plugins import lazy_exports

if TYPE_CHECKING:
    from .data import InstanceSegmentationData as InstanceSegmentationData
    from .preprocess import InstanceSegmentationPreprocess as InstanceSegmentationPreprocess
    from .segmenter import InstanceSegmentation as InstanceSegmentation

_EXPORTS = {
    "InstanceSegmentation": ".segmenter",
    "InstanceSegmentationData": ".data",
    "InstanceSegmentationPreprocess": ".preprocess",
}

__all__ = ["InstanceSegmentation", "InstanceSegmentationData", "InstanceSegmentationPreprocess"]


# Hidden from type checkers, which would otherwise accept any misspelled name.
if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)

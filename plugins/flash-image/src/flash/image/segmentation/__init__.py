"""Semantic segmentation: the class of each pixel of an image, on the backbones of timm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash.former import former_module
from flash.plugins import lazy_exports

from .._former import MODULES, NAMES

if TYPE_CHECKING:
    from .data import SemanticSegmentationData as SemanticSegmentationData
    from .preprocess import SemanticSegmentationPostprocess as SemanticSegmentationPostprocess
    from .preprocess import SemanticSegmentationPreprocess as SemanticSegmentationPreprocess
    from .segmenter import SemanticSegmentation as SemanticSegmentation

_EXPORTS = {
    "SemanticSegmentation": ".segmenter",
    "SemanticSegmentationData": ".data",
    "SemanticSegmentationPostprocess": ".preprocess",
    "SemanticSegmentationPreprocess": ".preprocess",
}

__all__ = [
    "SemanticSegmentation",
    "SemanticSegmentationData",
    "SemanticSegmentationPostprocess",
    "SemanticSegmentationPreprocess",
]


# Hidden from type checkers, which would otherwise accept any misspelled name.
if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _EXPORTS, former_module(__name__, MODULES, NAMES))

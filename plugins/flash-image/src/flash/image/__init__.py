"""Images: classification, regression, embedding, detection of objects and keypoints, and segmentation, on timm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash.former import former_names
from flash.plugins import lazy_exports

from ._former import NAMES

if TYPE_CHECKING:
    from .backbones import ImageBackbone as ImageBackbone
    from .classifier import ImageClassifier as ImageClassifier
    from .data import ImageClassificationData as ImageClassificationData
    from .data import ImageRegressionData as ImageRegressionData
    from .detection.data import ObjectDetectionData as ObjectDetectionData
    from .detection.detector import ObjectDetector as ObjectDetector
    from .detection.preprocess import ObjectDetectionPreprocess as ObjectDetectionPreprocess
    from .embedder import ImageEmbedder as ImageEmbedder
    from .hub import BackboneUnavailableError as BackboneUnavailableError
    from .instances.data import InstanceSegmentationData as InstanceSegmentationData
    from .instances.preprocess import InstanceSegmentationPreprocess as InstanceSegmentationPreprocess
    from .instances.segmenter import InstanceSegmentation as InstanceSegmentation
    from .keypoints.data import KeypointDetectionData as KeypointDetectionData
    from .keypoints.detector import KeypointDetector as KeypointDetector
    from .keypoints.preprocess import KeypointDetectionPreprocess as KeypointDetectionPreprocess
    from .preprocess import ImagePreprocess as ImagePreprocess
    from .preprocess import ImageRegressionPreprocess as ImageRegressionPreprocess
    from .read import BadImageError as BadImageError
    from .read import open_image as open_image
    from .regressor import ImageRegressor as ImageRegressor
    from .segmentation.data import SemanticSegmentationData as SemanticSegmentationData
    from .segmentation.preprocess import SemanticSegmentationPostprocess as SemanticSegmentationPostprocess
    from .segmentation.preprocess import SemanticSegmentationPreprocess as SemanticSegmentationPreprocess
    from .segmentation.segmenter import SemanticSegmentation as SemanticSegmentation
    from .transforms import augmentations as augmentations

__version__ = "0.1.0"

_EXPORTS = {
    "BackboneUnavailableError": ".hub",
    "BadImageError": ".read",
    "ImageBackbone": ".backbones",
    "ImageClassificationData": ".data",
    "ImageClassifier": ".classifier",
    "ImageEmbedder": ".embedder",
    "ImagePreprocess": ".preprocess",
    "ImageRegressionData": ".data",
    "ImageRegressionPreprocess": ".preprocess",
    "ImageRegressor": ".regressor",
    "InstanceSegmentation": ".instances.segmenter",
    "InstanceSegmentationData": ".instances.data",
    "InstanceSegmentationPreprocess": ".instances.preprocess",
    "KeypointDetectionData": ".keypoints.data",
    "KeypointDetectionPreprocess": ".keypoints.preprocess",
    "KeypointDetector": ".keypoints.detector",
    "ObjectDetectionData": ".detection.data",
    "ObjectDetectionPreprocess": ".detection.preprocess",
    "ObjectDetector": ".detection.detector",
    "SemanticSegmentation": ".segmentation.segmenter",
    "SemanticSegmentationData": ".segmentation.data",
    "SemanticSegmentationPostprocess": ".segmentation.preprocess",
    "SemanticSegmentationPreprocess": ".segmentation.preprocess",
    "augmentations": ".transforms",
    "open_image": ".read",
}

__all__ = [
    "BackboneUnavailableError",
    "BadImageError",
    "ImageBackbone",
    "ImageClassificationData",
    "ImageClassifier",
    "ImageEmbedder",
    "ImagePreprocess",
    "ImageRegressionData",
    "ImageRegressionPreprocess",
    "ImageRegressor",
    "InstanceSegmentation",
    "InstanceSegmentationData",
    "InstanceSegmentationPreprocess",
    "KeypointDetectionData",
    "KeypointDetectionPreprocess",
    "KeypointDetector",
    "ObjectDetectionData",
    "ObjectDetectionPreprocess",
    "ObjectDetector",
    "SemanticSegmentation",
    "SemanticSegmentationData",
    "SemanticSegmentationPostprocess",
    "SemanticSegmentationPreprocess",
    "augmentations",
    "open_image",
]


# Hidden from type checkers, which would otherwise accept any misspelled name.
if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _EXPORTS, former_names(__name__, NAMES))

"""InstanceSegmentation: the pixels of each object in an image, on torchvision's Mask R-CNN."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from flash import Preprocess, Registry
from flash.core.metrics import MetricSpec
from flash.core.registry import backbone_registry

from ..detection.average_precision import MASKS, Matching
from ..detection.detector import ObjectDetector
from ..detection.inference import Inference
from .inference import InstanceInference
from .metrics import MaskMeanAveragePrecision
from .outputs import instance_outputs
from .preprocess import InstanceSegmentationPreprocess

__all__ = ["InstanceSegmentation"]

_BACKBONES = backbone_registry("instances")
_DEFAULT = "maskrcnn_resnet50_fpn_v2"


class InstanceSegmentation(ObjectDetector):
    """Instance segmenter: a mask, a box, a label and a score for each object in an image.

    As :class:`~flash.image.ObjectDetector`, with masks: ``val_map`` is the mean average precision of masks, and a
    prediction is ``{"boxes": ..., "labels": ..., "scores": ..., "masks": [...]}``, best first, of which
    :func:`flash.image.instances.images.decode_masks` makes an array of masks in the size of the image.

    Args:
        num_classes: The number of classes without the background; by default the number of ``labels``.
        labels: The names of the classes, in the order of their indices.
        backbone: A name from ``InstanceSegmentation.available_backbones()``; or a module with the interface of
            torchvision's Mask R-CNN, with one more class for the background.
        pretrained: As for :class:`~flash.image.ObjectDetector`.
        metrics: As in :class:`~flash.core.model.Task`; they take lists with one dict per image.
        kwargs: Further arguments of :class:`~flash.image.ObjectDetector`, such as ``image_size`` and
            ``score_threshold``.

    Raises:
        BackboneUnavailableError: If published weights are neither cached nor can be downloaded.
        ConfigurationError: If arguments contradict each other.

    Example:
        >>> import torch
        >>> options = {"pretrained": False, "image_size": 64, "score_threshold": 0.99}
        >>> task = InstanceSegmentation(labels=["cat"], backbone="maskrcnn_resnet50_fpn", **options)
        >>> task.predict([torch.zeros(3, 40, 60)])
        [{'boxes': [], 'labels': [], 'scores': [], 'masks': []}]
    """

    backbones: ClassVar[Registry] = _BACKBONES
    outputs: ClassVar[Registry] = instance_outputs
    preprocess_cls: ClassVar[type[Preprocess]] = InstanceSegmentationPreprocess
    default_output: str = "instances"
    target_parts: ClassVar[tuple[str, ...]] = ("boxes", "labels", "masks")
    inference: ClassVar[type[Inference]] = InstanceInference
    matching: ClassVar[Matching] = MASKS

    def __init__(
        self,
        num_classes: int | None = None,
        labels: Sequence[Any] | None = None,
        backbone: str | Path | nn.Module = _DEFAULT,
        pretrained: bool | str | Path = True,
        metrics: MetricSpec | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            num_classes,
            labels,
            backbone,
            pretrained,
            metrics={"map": MaskMeanAveragePrecision()} if metrics is None else metrics,
            **kwargs,
        )

    def detections(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what the network found in an image, with the masks as booleans, ``(objects, height, width)``."""
        return {**super().detections(found), "masks": found["masks"][:, 0] >= 0.5}

"""KeypointDetector: the points of each object in an image, on torchvision's Keypoint R-CNN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from flash import Preprocess, Registry
from flash.core.metrics import MetricSpec
from flash.core.registry import backbone_registry
from flash.errors import ConfigurationError

from ..detection.average_precision import Matching, point_matching
from ..detection.detector import ObjectDetector
from ..detection.inference import Inference
from .inference import KeypointInference
from .metrics import KeypointMeanAveragePrecision, default_sigmas
from .models import published_keypoints
from .names import Keypoints, read_keypoints
from .outputs import keypoint_outputs
from .preprocess import KeypointDetectionPreprocess, KeypointInputSpec

__all__ = ["KeypointDetector"]

_BACKBONES = backbone_registry("keypoints")
_DEFAULT = "keypointrcnn_resnet50_fpn"


class KeypointDetector(ObjectDetector):
    """Detector of keypoints: the points of each object in an image, such as joints, with its box, label and score.

    As :class:`~flash.image.ObjectDetector`, with points: ``val_map`` is COCO's mean average precision of keypoints (see
    :class:`~flash.image.keypoints.metrics.KeypointMeanAveragePrecision`), and a prediction is ``{"boxes": ...,
    "labels": ..., "scores": ..., "keypoints": [[[x, y], ...], ...], "keypoint_scores": [[...], ...]}``, best first, in
    pixels of the upright image.

    Args:
        num_classes: The number of classes without the background; by default the number of ``labels``. With neither,
            and published weights, persons with the 17 points of COCO, so that the task predicts without training.
        labels: The names of the classes, in the order of their indices.
        keypoints: The names of the points that each object has, in order, or their number.
        backbone: A name from ``KeypointDetector.available_backbones()``; or a module with the interface of
            torchvision's Keypoint R-CNN, with one more class for the background.
        pretrained: As for :class:`~flash.image.ObjectDetector`.
        metrics: As in :class:`~flash.core.model.Task`; they take lists with one dict per image.
        sigmas: How far annotators of each point differ, as a share of the size of the object, which the metric measures
            distances by; by default COCO's own for the 17 points of its persons, and 0.05 for other points.
        backbone_kwargs: As for :class:`~flash.image.ObjectDetector`.
        kwargs: Further arguments of :class:`~flash.image.ObjectDetector`, such as ``image_size`` and
            ``score_threshold``.

    Raises:
        BackboneUnavailableError: If published weights are neither cached nor can be downloaded.
        ConfigurationError: If arguments contradict each other.

    Example:
        >>> import torch
        >>> options = {"pretrained": False, "image_size": 64, "score_threshold": 0.99}
        >>> task = KeypointDetector(labels=["cat"], keypoints=["head", "tail"], **options)
        >>> task.predict([torch.zeros(3, 40, 60)])
        [{'boxes': [], 'labels': [], 'scores': [], 'keypoints': [], 'keypoint_scores': []}]
    """

    backbones: ClassVar[Registry] = _BACKBONES
    outputs: ClassVar[Registry] = keypoint_outputs
    preprocess_cls: ClassVar[type[Preprocess]] = KeypointDetectionPreprocess
    default_output: str = "keypoints"
    data_facts: ClassVar[tuple[str, ...]] = (*ObjectDetector.data_facts, "keypoints")
    target_parts: ClassVar[tuple[str, ...]] = ("boxes", "labels", "keypoints")
    inference: ClassVar[type[Inference]] = KeypointInference
    #: That of the persons of COCO: a task has its own points.
    matching: ClassVar[Matching] = point_matching(default_sigmas(published_keypoints()))
    #: The names of the points, or their number.
    keypoints: list[str] | int

    def __init__(
        self,
        num_classes: int | None = None,
        labels: Sequence[Any] | None = None,
        keypoints: Keypoints | None = None,
        backbone: str | Path | nn.Module = _DEFAULT,
        pretrained: bool | str | Path = True,
        metrics: MetricSpec | None = None,
        *,
        sigmas: Sequence[float] | None = None,
        backbone_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        is_published = num_classes is None and labels is None and pretrained not in (False, "backbone")
        if keypoints is None and not is_published:
            raise ConfigurationError(
                "Expected keypoints, the names of the points of an object or their number, but got none. Make the task "
                "with KeypointDetector.from_data(datamodule), which knows them, or write keypoints=['head', 'tail']."
            )
        points = published_keypoints() if keypoints is None else read_keypoints(keypoints)
        count = points if isinstance(points, int) else len(points)
        if sigmas is not None and len(sigmas) != count:
            raise ConfigurationError(f"Expected one of sigmas for each of {count} points, but got {len(sigmas)}.")
        known = default_sigmas(points) if sigmas is None else list(sigmas)
        if metrics is None:
            metrics = {"map": KeypointMeanAveragePrecision(known)}
        options = dict(backbone_kwargs or {})
        if not isinstance(backbone, nn.Module):
            options["num_keypoints"] = count
        super().__init__(num_classes, labels, backbone, pretrained, metrics=metrics, backbone_kwargs=options, **kwargs)
        self.keypoints = points
        self.sigmas = known
        # A checkpoint is loaded with pretrained=False: record what depends on it.
        self.record_arguments(keypoints=points)

    @property
    def input_spec(self) -> KeypointInputSpec:
        """The classes and the points of the network, in the order of their indices."""
        labels = None if self.labels is None else tuple(self.labels)
        points = self.keypoints if isinstance(self.keypoints, int) else tuple(self.keypoints)
        return KeypointInputSpec(self.num_classes, labels, points)

    def own_matching(self) -> Matching:
        """Return the matching of objects by OKS, with the sigmas of the task."""
        return point_matching(self.sigmas)

    def detections(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what the network found in an image, with x and y of the points, and their scores."""
        points = {name: found[name].float() for name in ("keypoints", "keypoints_scores")}
        return {**super().detections(found), **points}

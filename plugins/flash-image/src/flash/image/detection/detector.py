"""ObjectDetector: finds the things of some classes in images, on torchvision's detectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from typing_extensions import Self

from flash import Preprocess, Registry, Task
from flash.core.backbones import takes_argument
from flash.core.layers import child_layers
from flash.core.registry import backbone_registry
from flash.errors import ConfigurationError

from .metrics import BoxMeanAveragePrecision
from .models import DETECTORS, coco_labels
from .outputs import detection_outputs
from .preprocess import DetectionInputSpec, ObjectDetectionPreprocess

__all__ = ["ObjectDetector"]

_BACKBONES = backbone_registry("detection")
_DEFAULT = "fasterrcnn_resnet50_fpn_v2"
_PRETRAINED_RATE, _FRESH_RATE = 1e-4, 1e-3
NormAtRest = Literal["all", "body", "none"]


class ObjectDetector(Task):
    """Where in an image things are, and of which class each is: a box, a label and a score for each.

    The loss is the sum of the network's own, each of which is logged as well (``train_loss_classifier``, ...). On
    validation and test data mean average precision is logged (``val_map``, ``val_map_50``, ``val_map_75``).

    A prediction is ``{"boxes": [[left, top, right, bottom], ...], "labels": [...], "scores": [...]}``, best first, in
    pixels of the upright image. It does not depend on the other images of its batch.

    Args:
        num_classes: How many classes there are, background not counted; by default the number of ``labels``. With
            neither, and published weights, the classes of COCO, so that nothing needs to be trained.
        labels: The names of the classes, in the order of their numbers.
        backbone: A name from ``ObjectDetector.available_backbones()``; or a module that is called as torchvision's
            detectors are, with a class more for the background.
        pretrained: ``True`` for weights trained on COCO; ``"backbone"`` for weights of the backbone alone, trained on
            ImageNet; a path to weights of the whole detector; ``False`` for random ones.
        min_size: What the shorter side of images is resized to, in pixels; by default the backbone's own (mostly 800).
        max_size: What the longer side is at most; by default the backbone's own (mostly 1333).
        score_threshold: Boxes that the network is less sure of are not presented; metrics see all.
        norm_at_rest: Which batch-norm layers keep their statistics in training: ``"all"``, ``"body"`` (those of the
            pretrained backbone) or ``"none"``. By default those that came with pretrained weights, since a batch of few
            images has none to rely on.
        val_loss: Whether the loss is computed in validation and testing too. Detectors compute losses or boxes, so that
            it costs another pass.
        backbone_kwargs: Further arguments of the backbone, such as ``box_nms_thresh``.
        learning_rate: The optimizer's; by default 1e-4 with pretrained weights, which it must not forget at once, and
            1e-3 with random ones or a module.
        lr_scheduler: As in :class:`~flash.core.model.Task`.
        metrics: As in :class:`~flash.core.model.Task`; they get lists with a dict an image.
        kwargs: Further arguments of :class:`~flash.core.model.Task`.

    Raises:
        BackboneUnavailableError: If published weights are neither on this disk nor can be fetched.
        ConfigurationError: If arguments contradict each other.

    Example:
        >>> task = ObjectDetector(labels=["cat", "dog"], backbone="ssdlite320_mobilenet_v3_large", pretrained=False)
        >>> task.predict([torch.zeros(3, 40, 60)])
        [{'boxes': [], 'labels': [], 'scores': []}]
    """

    backbones: ClassVar[Registry] = _BACKBONES
    outputs: ClassVar[Registry] = detection_outputs
    preprocess_cls: ClassVar[type[Preprocess]] = ObjectDetectionPreprocess
    default_output: str = "boxes"
    model: nn.Module

    def __init__(
        self,
        num_classes: int | None = None,
        labels: Sequence[Any] | None = None,
        backbone: str | nn.Module = _DEFAULT,
        pretrained: bool | str | Path = True,
        min_size: int | None = None,
        max_size: int | None = None,
        score_threshold: float = 0.5,
        norm_at_rest: NormAtRest | None = None,
        val_loss: bool = True,
        backbone_kwargs: Mapping[str, Any] | None = None,
        learning_rate: float | None = None,
        lr_scheduler: Any = None,
        metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        if metrics is None:
            metrics = {"map": BoxMeanAveragePrecision()}
        super().__init__(learning_rate=learning_rate, lr_scheduler=lr_scheduler, metrics=metrics, **kwargs)
        _check_threshold(score_threshold)
        if num_classes is None and labels is None and pretrained not in (False, "backbone"):
            labels = _published_labels(backbone)
        self.num_classes = _count_classes(num_classes, labels)
        self.labels = None if labels is None else list(labels)
        self.score_threshold = score_threshold
        self.val_loss = val_loss
        sizes = {name: size for name, size in (("min_size", min_size), ("max_size", max_size)) if size is not None}
        self.model = self._build(backbone, pretrained, {**sizes, **(backbone_kwargs or {})})
        self.norm_at_rest = _norm_at_rest(norm_at_rest, backbone, pretrained)
        # Random layers on top of the pretrained body would be frozen with it.
        self._body_alone = pretrained == "backbone"
        # A checkpoint is loaded with pretrained=False: what follows from it is noted.
        self.record_arguments(labels=self.labels, norm_at_rest=self.norm_at_rest)
        fresh = pretrained is False or isinstance(backbone, nn.Module)
        self.use_default_rates(_FRESH_RATE if fresh else _PRETRAINED_RATE)
        self.train()

    def _build(self, backbone: str | nn.Module, pretrained: Any, options: dict[str, Any]) -> nn.Module:
        if isinstance(backbone, nn.Module):
            return self.build_backbone(backbone, kwargs=options)
        if pretrained is not False and not takes_argument(self.backbone_factory(backbone), "pretrained"):
            raise ConfigurationError(
                f"Expected pretrained=False for the backbone {backbone!r}, which has no weights to load, but got "
                f"{pretrained!r}."
            )
        classes = self.num_classes + 1
        return self.build_backbone(backbone, kwargs=options, num_classes=classes, pretrained=pretrained)

    # ------------------------------------------------------------------ data

    @property
    def input_spec(self) -> DetectionInputSpec:
        """The classes that the network tells apart, in the order of their numbers."""
        return DetectionInputSpec(self.num_classes, None if self.labels is None else tuple(self.labels))

    # ------------------------------------------------------------------ training

    def train(self, mode: bool = True) -> Self:
        """Switch to training; batch-norm layers that are at rest stay in evaluation."""
        super().train(mode)
        if mode and "norm_at_rest" in vars(self):
            self._rest_norms()
        return self

    def _rest_norms(self) -> None:
        if self.norm_at_rest == "none":
            return
        part = self.model if self.norm_at_rest == "all" else _body(self.model)
        for module in part.modules():
            if isinstance(module, _BatchNorm):
                module.training = False

    def modules_to_freeze(self) -> nn.Module | list[nn.Module] | None:
        """The network's backbone, feature pyramid included where it is pretrained too."""
        return _body(self.model) if self._body_alone else getattr(self.model, "backbone", None)

    def backbone_layers(self) -> list[nn.Module]:
        """Return the layers of the network's body, in the order of the forward pass, then the feature pyramid."""
        if self._body_alone:
            return super().backbone_layers()
        body: Any = _body(self.model)
        backbone: Any = self.model.backbone
        pyramid = [child for child in backbone.children() if child is not body]
        inside = {parameter for layer in child_layers([body]) for parameter in layer.parameters()}
        rest = [child for child in pyramid if {*child.parameters()} - inside]
        return [*child_layers([body]), *rest]

    def forward(self, x: Any) -> list[dict[str, Tensor]]:
        """Return ``boxes`` (in pixels), ``labels`` (from 1) and ``scores`` of each image.

        Images of one size go through the network together: beside larger ones they would be padded, which changes a
        little what is found in them.

        Args:
            x: ``{"images": [...]}``, each of shape ``(3, height, width)`` with values between 0 and 1.
        """
        images = x["images"] if isinstance(x, Mapping) else x
        found: list[dict[str, Tensor]] = [{} for _ in images]
        for rows in _alike(images, self.model):
            for row, each in zip(rows, self.model([images[row] for row in rows]), strict=True):
                found[row] = {"labels": each["labels"], **{name: each[name].float() for name in ("boxes", "scores")}}
        return found

    def step(self, batch: Any, batch_idx: int) -> Any:
        """Compute the network's losses; in validation and testing boxes too, and the losses if they are wanted."""
        inputs, targets = batch
        if self.training:
            # A strategy that thaws modules switches all of them to training.
            self._rest_norms()
            return self._losses(inputs, targets)
        found = {"loss": None, "y_hat": self(inputs), "y": targets}
        if self.val_loss:
            with _computing_losses(self.model), _fixed_random_numbers(self.device), torch.no_grad():
                found |= self._losses(inputs, targets)
        return found

    def _losses(self, inputs: Any, targets: Sequence[Mapping[str, Tensor]]) -> dict[str, Any]:
        single = [target["iscrowd"] == 0 for target in targets]
        learned = [
            {name: target[name][keep] for name in ("boxes", "labels")}
            for target, keep in zip(targets, single, strict=True)
        ]
        losses: dict[str, Tensor] = self.model(inputs["images"], learned)
        logs = {name if name.startswith("loss") else f"loss_{name}": loss.detach() for name, loss in losses.items()}
        return {"loss": torch.stack([loss.float() for loss in losses.values()]).sum(), "logs": logs}

    # ------------------------------------------------------------------ prediction

    def predict(self, raw: Any, output: Any = None, batch_size: int = 4) -> list[Any]:
        """Find things in images; see :meth:`flash.Task.predict`.

        Args:
            raw: A path, a folder, or a list of paths, PIL images, arrays or tensors.
            output: ``"boxes"``, ``"raw"``, a callable, or ``None`` for ``"boxes"``.
            batch_size: How many images the network sees at once.
        """
        return super().predict(raw, output, batch_size)


def _alike(images: Sequence[Tensor], model: nn.Module) -> list[list[int]]:
    """The rows of a batch that need no padding beside each other."""
    transform = getattr(model, "transform", None)
    if transform is not None and getattr(transform, "fixed_size", None) is not None:
        return [list(range(len(images)))]
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, image in enumerate(images):
        groups.setdefault(tuple(image.shape), []).append(row)
    return list(groups.values())


@contextmanager
def _computing_losses(model: nn.Module) -> Iterator[None]:
    """Let a detector that is in evaluation give its losses, while its layers stay in evaluation."""
    switched = [module for module in model.modules() if module is model or _is_part_of_detector(module)]
    for module in switched:
        module.training = True
    try:
        yield
    finally:
        for module in switched:
            module.training = False


def _is_part_of_detector(module: nn.Module) -> bool:
    # Torchvision's detection modules look at their mode to tell losses from boxes. Resizing stays that of evaluation.
    ours = any(cls.__module__.startswith("torchvision.models.detection.") for cls in type(module).__mro__)
    return ours and not isinstance(module, GeneralizedRCNNTransform)


@contextmanager
def _fixed_random_numbers(device: torch.device) -> Iterator[None]:
    """Draw the same boxes to compare each time, and nothing from the numbers that training uses."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(0)
        yield


def _body(model: nn.Module) -> nn.Module:
    backbone: Any = getattr(model, "backbone", model)
    body: nn.Module = getattr(backbone, "body", backbone)
    return body


def _norm_at_rest(asked: str | None, backbone: Any, pretrained: Any) -> str:
    if asked not in (None, "all", "body", "none"):
        raise ConfigurationError(f"Expected norm_at_rest to be 'all', 'body', 'none' or None, but got {asked!r}.")
    if asked is not None:
        return asked
    if isinstance(backbone, nn.Module) or pretrained is False:
        return "none"
    return "body" if pretrained == "backbone" else "all"


def _published_labels(backbone: Any) -> list[str] | None:
    return coco_labels(backbone) if isinstance(backbone, str) and backbone in DETECTORS else None


def _count_classes(num_classes: int | None, labels: Sequence[Any] | None) -> int:
    count = len(labels) if num_classes is None and labels is not None else num_classes
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigurationError(
            f"Expected num_classes of at least 1, or labels, but got num_classes={num_classes!r} and "
            f"labels={labels!r}. Make the task with ObjectDetector.from_data(datamodule), which knows them."
        )
    if labels is not None and len(labels) != count:
        raise ConfigurationError(f"Expected one label a class, but got {len(labels)} labels for {count} classes.")
    return count


def _check_threshold(threshold: Any) -> None:
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise ConfigurationError(f"Expected score_threshold to be between 0 and 1, but got {threshold!r}.")

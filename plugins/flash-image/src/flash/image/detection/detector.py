"""ObjectDetector: object detection on the detectors of torchvision and of transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from typing_extensions import Self, Unpack

from flash import Preprocess, Registry, Task
from flash.core.backbones import takes_argument
from flash.core.export import ExportedPart, to_json_labels
from flash.core.layers import child_layers
from flash.core.metrics import MetricSpec
from flash.core.optimizers import LRSchedulerSpec
from flash.core.prediction import evaluating
from flash.core.registry import backbone_registry
from flash.data.portable import InputSpecs, Portable, TensorSpec, make_inputs
from flash.data.tables import ReadOptions
from flash.errors import ConfigurationError, ExportError

from .._former import DETECTOR_ARGUMENTS
from .checkpoints import describe, labels_of_checkpoint, transformer_detector
from .comparison import ComparedDetector
from .inference import Inference, TaskInference, TaskReference, telling_threshold, threshold_of
from .metrics import BoxMeanAveragePrecision
from .models import coco_labels, torchvision_detector
from .outputs import detection_outputs
from .preprocess import DetectionInputSpec, ObjectDetectionPreprocess
from .sizes import ImageSize, fixed_size_of, set_image_size
from .transformer import TransformerDetector

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from flash import DataModule

__all__ = ["ObjectDetector"]

_BACKBONES = backbone_registry("detection")
_DEFAULT = "fasterrcnn_resnet50_fpn_v2"
_PRETRAINED_RATE, _FRESH_RATE = 1e-4, 1e-3
# The height and width of images that a file is traced with, and compared at.
_EXPORTED_SIZES = ((90, 131), (96, 160), (171, 75))
FreezeNorm = Literal["all", "body", "none"]


class ObjectDetector(ComparedDetector, Task):
    """Object detector: a box, a label and a score for each object in an image.

    The loss is the sum of the network's losses, each of which is logged as well (``train_loss_classifier``, ...). For
    validation and test data, mean average precision is logged (``val_map``, ``val_map_50``, ``val_map_75``).

    A prediction is ``{"boxes": [[left, top, right, bottom], ...], "labels": [...], "scores": [...]}``, best first, in
    pixels of the upright image. It does not depend on the other images of its batch.

    Args:
        num_classes: The number of classes without the background; by default the number of ``labels``. With
            neither, and published weights, the classes of COCO, so that the task predicts without training.
        labels: The names of the classes, in the order of their indices.
        backbone: A name from ``ObjectDetector.available_backbones()``; the name on the Hugging Face hub, or the folder,
            of a detector of transformers, such as ``"PekingU/rtdetr_r18vd"``, with ``flash-image[transformers]``; or a
            module with the interface of torchvision's detectors, with one more class for the background.
        pretrained: ``True`` for weights trained on COCO; ``"backbone"`` for weights of the backbone only, trained on
            ImageNet; a path to weights of the whole detector; ``False`` for random ones.
        min_size: The length of the shorter side of resized images, in pixels; by default the backbone's own (mostly
            800).
        max_size: The maximum length of the longer side, in pixels; by default the backbone's own (mostly 1333).
        score_threshold: The minimum score of the boxes in predictions; metrics use all boxes.
        freeze_norm: The batch-norm layers whose statistics are frozen in training: ``"all"``, ``"body"`` (those of the
            pretrained backbone) or ``"none"``. By default those with pretrained weights, since the statistics of a
            small batch are unreliable.
        val_loss: Whether to compute the loss in validation and testing too. Detectors compute losses or boxes, so that
            it costs a second forward pass.
        backbone_kwargs: Further arguments of the backbone, such as ``box_nms_thresh``; for a detector of transformers,
            entries of its configuration, such as ``num_queries``.
        learning_rate: The learning rate; by default 1e-4 with pretrained weights, and 1e-3 with random weights or a
            module.
        lr_scheduler: As in :class:`~flash.core.model.Task`.
        metrics: As in :class:`~flash.core.model.Task`; they take lists with one dict per image.
        image_size: The size of resized images, for every backbone, in place of ``min_size`` and ``max_size``: the
            length of the longer side in pixels, or ``(height, width)`` for all images. For a backbone that resizes all
            images to one shape, such as SSD, a number is the length of both sides.
        norm_at_rest: The name of ``freeze_norm`` in checkpoints of flash-image 0.1.0.
        kwargs: Further arguments of :class:`~flash.core.model.Task`.

    Raises:
        BackboneUnavailableError: If published weights are neither cached nor can be downloaded.
        ConfigurationError: If arguments contradict each other.

    Example:
        >>> task = ObjectDetector(labels=["cat", "dog"], backbone="ssdlite320_mobilenet_v3_large", pretrained=False)
        >>> task.predict([torch.zeros(3, 40, 60)])
        [{'boxes': [], 'labels': [], 'scores': []}]
    """

    backbones: ClassVar[Registry] = _BACKBONES
    former_arguments = DETECTOR_ARGUMENTS
    outputs: ClassVar[Registry] = detection_outputs
    preprocess_cls: ClassVar[type[Preprocess]] = ObjectDetectionPreprocess
    default_output: str = "boxes"
    #: The parts of a target that the network learns from.
    target_parts: ClassVar[tuple[str, ...]] = ("boxes", "labels")
    #: The network of exported files.
    inference: ClassVar[type[Inference]] = Inference
    model: nn.Module

    def __init__(
        self,
        num_classes: int | None = None,
        labels: Sequence[Any] | None = None,
        backbone: str | Path | nn.Module = _DEFAULT,
        pretrained: bool | str | Path = True,
        min_size: int | None = None,
        max_size: int | None = None,
        score_threshold: float = 0.5,
        freeze_norm: FreezeNorm | None = None,
        val_loss: bool = True,
        backbone_kwargs: Mapping[str, Any] | None = None,
        learning_rate: float | None = None,
        lr_scheduler: LRSchedulerSpec | None = None,
        metrics: MetricSpec | None = None,
        *,
        image_size: ImageSize | None = None,
        norm_at_rest: FreezeNorm | None = None,
        **kwargs: Any,
    ) -> None:
        if freeze_norm is None:
            freeze_norm = norm_at_rest
        if metrics is None:
            metrics = {"map": BoxMeanAveragePrecision()}
        super().__init__(learning_rate=learning_rate, lr_scheduler=lr_scheduler, metrics=metrics, **kwargs)
        _check_threshold(score_threshold)
        if num_classes is None and labels is None and pretrained not in (False, "backbone"):
            labels = self._published_labels(backbone)
        self.num_classes = _count_classes(num_classes, labels)
        self.labels = None if labels is None else list(labels)
        self.score_threshold = score_threshold
        self.val_loss = val_loss
        sizes = {name: size for name, size in (("min_size", min_size), ("max_size", max_size)) if size is not None}
        if image_size is not None and sizes:
            raise ConfigurationError(
                f"Expected image_size, or {' and '.join(sizes)}, but got both. Leave out {' and '.join(sizes)}."
            )
        self.model = self._build(backbone, pretrained, {**sizes, **(backbone_kwargs or {})})
        if image_size is not None:
            set_image_size(self.model, image_size)
        if isinstance(self.model, TransformerDetector) and isinstance(backbone, str | Path):
            # A checkpoint loads without the folder or the hub.
            self.record_arguments(backbone_kwargs={"config": describe(self.model)})
            self.hparams.pop("backbone_kwargs", None)
        self.freeze_norm = _freeze_norm(freeze_norm, backbone, pretrained)
        # Freezing the whole backbone would also freeze the random layers on top of the pretrained body.
        self._only_body_pretrained = pretrained == "backbone"
        # A checkpoint is loaded with pretrained=False: record the values that depend on it.
        self.record_arguments(labels=self.labels, freeze_norm=self.freeze_norm, norm_at_rest=None)
        self.hparams.pop("norm_at_rest", None)
        fresh = pretrained is False or isinstance(backbone, nn.Module)
        self.use_default_rates(_FRESH_RATE if fresh else _PRETRAINED_RATE)
        self.train()

    def _build(self, backbone: str | Path | nn.Module, pretrained: Any, options: dict[str, Any]) -> nn.Module:
        if isinstance(backbone, nn.Module):
            return self.build_backbone(backbone, kwargs=options)
        if pretrained is not False and not takes_argument(self.backbone_factory(str(backbone)), "pretrained"):
            raise ConfigurationError(
                f"Expected pretrained=False for the backbone {backbone!r}, which has no weights to load, but got "
                f"{pretrained!r}."
            )
        classes = self.num_classes + 1
        return self.build_backbone(backbone, kwargs=options, num_classes=classes, pretrained=pretrained)

    def _published_labels(self, backbone: Any) -> list[str] | None:
        if not isinstance(backbone, str | Path):
            return None
        factory: Any = self.backbone_factory(str(backbone))
        of_backbone: dict[Any, Callable[[str], list[str]]] = {
            torchvision_detector: coco_labels,
            transformer_detector: labels_of_checkpoint,
        }
        labels_of = of_backbone.get(getattr(factory, "func", None))
        return None if labels_of is None else labels_of(factory.args[0])

    # ------------------------------------------------------------------ data

    @property
    def input_spec(self) -> DetectionInputSpec:
        """The classes of the network, in the order of their indices."""
        return DetectionInputSpec(self.num_classes, None if self.labels is None else tuple(self.labels))

    # ------------------------------------------------------------------ training

    def train(self, mode: bool = True) -> Self:
        """Set training mode; frozen batch-norm layers stay in eval mode."""
        super().train(mode)
        if mode and "freeze_norm" in vars(self):
            self._freeze_norm_layers()
        return self

    def _freeze_norm_layers(self) -> None:
        if self.freeze_norm == "none":
            return
        part = self.model if self.freeze_norm == "all" else _body(self.model)
        for module in part.modules():
            if isinstance(module, _BatchNorm):
                module.training = False

    def modules_to_freeze(self) -> nn.Module | list[nn.Module] | None:
        """Return the network's backbone, including the feature pyramid if that is pretrained too."""
        return _body(self.model) if self._only_body_pretrained else getattr(self.model, "backbone", None)

    def backbone_layers(self) -> list[nn.Module]:
        """Return the layers of the network's body, in the order of the forward pass, then the feature pyramid."""
        if isinstance(self.model, TransformerDetector):
            return self.model.layers()
        if self._only_body_pretrained:
            return super().backbone_layers()
        body: Any = _body(self.model)
        backbone: Any = self.model.backbone
        pyramid = [child for child in backbone.children() if child is not body]
        inside = {parameter for layer in child_layers([body]) for parameter in layer.parameters()}
        rest = [child for child in pyramid if {*child.parameters()} - inside]
        return [*child_layers([body]), *rest]

    def forward(self, x: Any) -> list[dict[str, Tensor]]:
        """Return ``boxes`` (in pixels), ``labels`` (from 1) and ``scores`` per image.

        Images are batched by size: beside larger ones they would be padded, which slightly changes their predictions.

        Args:
            x: ``{"images": [...]}``, each of shape ``(3, height, width)`` with values between 0 and 1.
        """
        images = x["images"] if isinstance(x, Mapping) else x
        found: list[dict[str, Tensor]] = [{} for _ in images]
        for rows in _rows_by_size(images, self.model):
            for row, each in zip(rows, self.model([images[row] for row in rows]), strict=True):
                found[row] = self.detections(each)
        return found

    def detections(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what the network found in an image, as predictions and metrics take it."""
        return {"labels": found["labels"], **{name: found[name].float() for name in ("boxes", "scores")}}

    def step(self, batch: Any, batch_idx: int) -> Any:
        """Compute the network's losses; in validation and testing the boxes, and the losses with ``val_loss=True``."""
        inputs, targets = batch
        if self.training:
            # A strategy that unfreezes modules sets all of them to training mode.
            self._freeze_norm_layers()
            return self._losses(inputs["images"], targets)
        found = {"loss": None, "y_hat": self(inputs), "y": targets}
        return found | self._losses_of_each(inputs["images"], targets) if self.val_loss else found

    def _losses_of_each(self, images: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]]) -> dict[str, Any]:
        """Average the losses of each image by itself: detectors divide by the boxes of a batch, which they sample."""
        each = []
        with _losses_in_eval_mode(self.model), torch.no_grad():
            for image, target in zip(images, targets, strict=True):
                with _fixed_seed(self.device):
                    each.append(self._losses([image], [target]))
        logs = {name: torch.stack([found["logs"][name].float() for found in each]).mean() for name in each[0]["logs"]}
        return {"loss": torch.stack([found["loss"] for found in each]).mean(), "logs": logs}

    def _losses(self, images: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]]) -> dict[str, Any]:
        single = [target["iscrowd"] == 0 for target in targets]
        learned = [
            {name: target[name][keep] for name in self.target_parts}
            for target, keep in zip(targets, single, strict=True)
        ]
        losses: dict[str, Tensor] = self.model(images, learned)
        # Of a network whose losses are weighted, or not all to be added.
        total = losses.pop("loss", None)
        logs = {name if name.startswith("loss") else f"loss_{name}": loss.detach() for name, loss in losses.items()}
        if total is None:
            total = torch.stack([loss.float() for loss in losses.values()]).sum()
        return {"loss": total, "logs": logs}

    # ------------------------------------------------------------------ export

    def exported_encoder(self, portable: Portable) -> Portable:
        """Add the score that detections have to exceed to the inputs."""
        if portable.inputs is None or isinstance(portable.inputs, TensorSpec):
            return super().exported_encoder(portable)
        threshold = threshold_of(self.model) if self.inference.knows(self.model) else 0.0
        inputs = {**portable.inputs, "score_threshold": TensorSpec("float32", (1,))}
        settings = {**portable.settings, "score_threshold": threshold}
        return super().exported_encoder(replace(portable, inputs=inputs, settings=settings))

    def exported_result(self) -> dict[str, Any]:
        """Return what turns boxes, labels and scores, and what else is found, into results."""
        labels = None if self.labels is None else to_json_labels(self.labels)
        return {"kind": "boxes", "labels": labels, "threshold": self.score_threshold}

    def exported_parts(self, inputs: InputSpecs) -> dict[str, ExportedPart]:
        """Return the network that detects the objects in one image.

        Args:
            inputs: ``image`` and ``score_threshold``.

        Raises:
            ConfigurationError: If there are other inputs.
            ExportError: If the network is none whose inference is known, such as that of torchvision's detectors.
        """
        if not isinstance(inputs, Mapping) or list(inputs) != ["image", "score_threshold"]:
            raise ConfigurationError(
                "Expected the inputs of a detector, one image of any size and a score, but got others. Leave out "
                "inputs=..., and hooks that make other inputs."
            )
        if not self.inference.knows(self.model):
            raise ExportError(
                f"Expected {self.inference.networks}, whose inference is known in a "
                f"form that torch.export can trace, but got a {type(self.model).__name__}. Override "
                f"{type(self).__name__}.exported_parts, or choose a backbone of torchvision."
            )
        reference = TaskReference(self)
        sizes = tuple({"height": height, "width": width} for height, width in _EXPORTED_SIZES)
        with evaluating(self), torch.no_grad():
            images = [make_inputs(inputs, size, seed)[0] for seed, size in enumerate(sizes)]
            telling = telling_threshold(reference, images[1:])
        specs = {**inputs, "score_threshold": replace(inputs["score_threshold"], values=torch.tensor([telling]))}
        scales = self.inference.scales
        part = ExportedPart(TaskInference(self), specs, tuple(scales), scales, sizes, reference, self.inference.align)
        return {"model": part}

    # ------------------------------------------------------------------ prediction

    def predict(self, raw: Any, output: Any = None, batch_size: int = 4, **reading: Unpack[ReadOptions]) -> list[Any]:
        """Detect the objects in images; see :meth:`flash.Task.predict`.

        Args:
            raw: A path, a folder, or a list of paths, PIL images, arrays or tensors.
            output: A name from ``available_outputs()``, a callable, or ``None`` for the default output.
            batch_size: Images per batch.
            reading: As for :meth:`flash.Task.predict`.
        """
        return super().predict(raw, output, batch_size, **reading)

    def plot_predictions(  # one more argument
        self, data: DataModule, stage: str = "val", count: int = 9, max_images: int | None = 64
    ) -> Figure:
        """Draw predicted and true boxes, the images with most false negatives and false positives first.

        Args:
            data: Images with boxes.
            stage: ``"val"``, ``"train"`` or ``"test"``.
            count: The maximum number of images to draw.
            max_images: The maximum number of images to predict, from which they are chosen; ``None`` for all.

        Raises:
            DataError: If there are none with boxes in the stage.
        """
        from .plots import draw_predictions

        return draw_predictions(self, data, stage, count, max_images)


def _rows_by_size(images: Sequence[Tensor], model: nn.Module) -> list[list[int]]:
    """Group the rows of a batch that need no padding beside each other."""
    if fixed_size_of(model) is not None:
        return [list(range(len(images)))]
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, image in enumerate(images):
        groups.setdefault(tuple(image.shape), []).append(row)
    return list(groups.values())


@contextmanager
def _losses_in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Compute losses in eval mode: set only the ``training`` flags that torchvision's detectors branch on."""
    switched = [module for module in model.modules() if module is model or _is_part_of_detector(module)]
    for module in switched:
        module.training = True
    try:
        yield
    finally:
        for module in switched:
            module.training = False


def _is_part_of_detector(module: nn.Module) -> bool:
    # Torchvision's detection modules return losses or boxes depending on their mode. Resizing stays in eval mode.
    ours = any(cls.__module__.startswith("torchvision.models.detection.") for cls in type(module).__mro__)
    return ours and not isinstance(module, GeneralizedRCNNTransform)


@contextmanager
def _fixed_seed(device: torch.device) -> Iterator[None]:
    """Fork the RNG state with a fixed seed: the loss samples the same boxes each time, and training is unaffected."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(0)
        yield


def _body(model: nn.Module) -> nn.Module:
    backbone: Any = getattr(model, "backbone", model)
    body: nn.Module = getattr(backbone, "body", backbone)
    return body


def _freeze_norm(asked: str | None, backbone: Any, pretrained: Any) -> str:
    if asked not in (None, "all", "body", "none"):
        raise ConfigurationError(f"Expected freeze_norm to be 'all', 'body', 'none' or None, but got {asked!r}.")
    if asked is not None:
        return asked
    if isinstance(backbone, nn.Module) or pretrained is False:
        return "none"
    return "body" if pretrained == "backbone" else "all"


def _count_classes(num_classes: int | None, labels: Sequence[Any] | None) -> int:
    count = len(labels) if num_classes is None and labels is not None else num_classes
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigurationError(
            f"Expected num_classes of at least 1, or labels, but got num_classes={num_classes!r} and "
            f"labels={labels!r}. Make the task with ObjectDetector.from_data(datamodule), which knows them."
        )
    if labels is not None and len(labels) != count:
        raise ConfigurationError(f"Expected one label per class, but got {len(labels)} labels for {count} classes.")
    return count


def _check_threshold(threshold: Any) -> None:
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise ConfigurationError(f"Expected score_threshold to be between 0 and 1, but got {threshold!r}.")

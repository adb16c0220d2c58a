"""Torchvision's detectors for any number of classes, with published weights, weights of a file, or random ones.

A backbone of :class:`~flash.image.ObjectDetector` is a factory that is called as
``factory(num_classes=..., pretrained=..., **backbone_kwargs)``. It returns a module with the interface of torchvision's
detectors: ``model(images, targets)`` returns a dict of losses in training mode, ``model(images)`` a list of dicts with
``boxes``, ``labels`` and ``scores`` in eval mode. Class 0 is the background. The loss is the sum of the losses, unless
one of them is called ``loss``: then the others are parts of it that are logged.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn
from torchvision.models import get_model_builder, get_model_weights

from flash.errors import ConfigurationError

from ..weights import read_weights
from .weights import load_detector, published_weights, with_eps

__all__ = [
    "DETECTORS",
    "WITHOUT_EPS",
    "coco_labels",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2",
    "fcos_resnet50_fpn",
    "retinanet_resnet50_fpn",
    "retinanet_resnet50_fpn_v2",
    "ssd300_vgg16",
    "ssdlite320_mobilenet_v3_large",
    "torchvision_detector",
]

Pretrained = bool | str | Path

#: The names of torchvision's detectors.
DETECTORS = (
    "fasterrcnn_resnet50_fpn_v2",
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "retinanet_resnet50_fpn_v2",
    "retinanet_resnet50_fpn",
    "fcos_resnet50_fpn",
    "ssd300_vgg16",
    "ssdlite320_mobilenet_v3_large",
)

#: The files of weights that were trained with a batch normalization without epsilon
#: (https://github.com/pytorch/vision/pull/2940).
WITHOUT_EPS = (
    "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
    "keypointrcnn_resnet50_fpn_coco-fc266e95.pth",
    "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
    "retinanet_resnet50_fpn_coco-eeacb38b.pth",
)


def torchvision_detector(name: str, num_classes: int, pretrained: Pretrained = True, **options: Any) -> nn.Module:
    """Build a detector of torchvision.

    The architecture does not depend on ``pretrained``, so that checkpoints load into a network with random weights.
    All layers are trainable.

    Args:
        name: Its name in torchvision, such as ``"fasterrcnn_resnet50_fpn_v2"``.
        num_classes: The number of classes, including the background.
        pretrained: ``True`` for weights trained on COCO; ``"backbone"`` for weights of the backbone only, trained on
            ImageNet; a path to weights of the whole detector; ``False`` for random ones. Layers that depend on the
            number of classes keep random weights if it differs.
        options: Further arguments of torchvision's class, such as ``min_size`` and ``max_size``.

    Raises:
        BackboneUnavailableError: If published weights are neither cached nor can be downloaded.
        CheckpointError: If the file cannot be read, or loading it would execute code.
        ConfigurationError: If the weights do not fit.
    """
    builder: Any = get_model_builder(name)
    _check_options(name, options)
    model: nn.Module = builder(weights=None, weights_backbone=None, num_classes=num_classes, **options)
    if pretrained == "backbone":
        _load_backbone(model, name)
    elif pretrained is not False:
        weights: Any = get_model_weights(name)
        source = weights.DEFAULT.url if pretrained is True else str(pretrained)
        state = published_weights(source) if pretrained is True else read_weights(source)
        load_detector(model, with_eps(state) if Path(source).name in WITHOUT_EPS else state, source)
    return model


def coco_labels(name: str) -> list[str]:
    """Return the classes of a detector's published weights, in the order of their indices, without the background.

    Example:
        >>> coco_labels("ssd300_vgg16")[:2]
        ['person', 'bicycle']
    """
    weights: Any = get_model_weights(name)
    return [str(label) for label in weights.DEFAULT.meta["categories"][1:]]


def _load_backbone(model: nn.Module, name: str) -> None:
    builder: Any = get_model_builder(name)
    weights = inspect.signature(builder).parameters["weights_backbone"].default
    if name.startswith("ssdlite"):
        raise ConfigurationError(
            f"Expected pretrained=True, False or a path for {name}, but got 'backbone': with weights of its backbone "
            "it is another network in torchvision."
        )
    if weights is None:
        weights = inspect.signature(get_model_builder(name.removesuffix("_v2"))).parameters["weights_backbone"].default
    # Download first, with a clear error if that fails; the builder then loads the cached file.
    published_weights(weights.url)
    whole: Any = builder(weights=None, weights_backbone=weights, num_classes=2)
    part: Any = model.backbone
    part.load_state_dict(whole.backbone.state_dict())


def _check_options(name: str, options: Mapping[str, Any]) -> None:
    fixed = name.startswith("ssd")
    resized = [option for option in ("min_size", "max_size") if options.get(option) is not None]
    if fixed and resized:
        raise ConfigurationError(
            f"Expected no {' or '.join(resized)} for {name}, which resizes all images to one size. Leave it out, or "
            "choose a backbone that is not an SSD."
        )


def _named(name: str) -> Any:
    return partial(torchvision_detector, name)


fasterrcnn_resnet50_fpn = _named("fasterrcnn_resnet50_fpn")
fasterrcnn_resnet50_fpn_v2 = _named("fasterrcnn_resnet50_fpn_v2")
fasterrcnn_mobilenet_v3_large_fpn = _named("fasterrcnn_mobilenet_v3_large_fpn")
fasterrcnn_mobilenet_v3_large_320_fpn = _named("fasterrcnn_mobilenet_v3_large_320_fpn")
retinanet_resnet50_fpn = _named("retinanet_resnet50_fpn")
retinanet_resnet50_fpn_v2 = _named("retinanet_resnet50_fpn_v2")
fcos_resnet50_fpn = _named("fcos_resnet50_fpn")
ssd300_vgg16 = _named("ssd300_vgg16")
ssdlite320_mobilenet_v3_large = _named("ssdlite320_mobilenet_v3_large")

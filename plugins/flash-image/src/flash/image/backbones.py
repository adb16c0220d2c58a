"""Backbones: networks that turn images into features.

A backbone is a module that takes images ``(batch, channels, height, width)`` and returns features ``(batch, n)``. It
may have the attributes ``out_features`` (its n, which is measured otherwise) and ``data_config`` (the images that it
expects, with timm's keys). Every model of timm is a backbone by its name; a factory registered on
``ImageClassifier.backbones`` or by a plugin is called as ``factory(pretrained=..., **backbone_kwargs)`` and returns a
module; and any module can be passed directly.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data.config import resolve_data_config
from timm.models import group_parameters
from torch import Tensor, nn

from flash import Registry
from flash.core.backbones import num_features
from flash.core.layers import child_layers, layers_by_group
from flash.errors import ConfigurationError, UnknownNameError
from flash.plugins import dist_of
from flash.serialization import is_checkpoint_name

from .hub import load_from_hub
from .weights import load_weights

__all__ = ["ImageBackbone", "image_features", "tagged_factory", "timm_backbone"]

Pretrained = bool | str | Path


class ImageBackbone(nn.Module):
    """A network that returns one feature vector per image, with the data config of its images.

    Args:
        network: Takes images ``(batch, channels, height, width)``, returns features ``(batch, out_features)``, maps
            ``(batch, out_features, rows, columns)`` or tokens ``(batch, tokens, out_features)``.
        out_features: The number of features.
        data_config: ``input_size``, ``mean``, ``std``, ``interpolation``, ``crop_pct`` and ``crop_mode``.
        tag: The tag of the chosen weights of timm; it can determine the sizes of the network.
        fixed_size: Whether the network accepts only images of the size in ``data_config``.

    Example:
        >>> pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> ImageBackbone(pool, 3, {})(torch.zeros(2, 3, 8, 8)).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        network: nn.Module,
        out_features: int,
        data_config: Mapping[str, Any],
        tag: str = "",
        fixed_size: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.out_features = out_features
        self.data_config = dict(data_config)
        self.tag = tag
        self.fixed_size = fixed_size

    def forward(self, images: Tensor) -> Tensor:
        """Return features, shape ``(batch, out_features)``; the mean of maps or tokens where a model returns them."""
        features: Tensor = self.network(images)
        if features.ndim == 2:
            return features
        return features.mean(1) if features.ndim == 3 else features.mean((2, 3))

    def layers(self) -> list[nn.Module]:
        """Return the layers in the order of the forward pass: the stem, then the blocks, as timm numbers them.

        For a network without such numbers, they are the layers of its children.
        """
        matcher = getattr(self.network, "group_matcher", None)
        if not callable(matcher):
            return child_layers([self.network])
        numbers = group_parameters(self.network, matcher(coarse=False), reverse=True)
        groups = {parameter: numbers[name] for name, parameter in self.network.named_parameters()}
        return layers_by_group([self.network], groups)


def timm_backbone(
    name: str, pretrained: Pretrained = True, in_chans: int = 3, img_size: Any = None, **kwargs: Any
) -> ImageBackbone:
    """Make a model of timm without its classifier (https://huggingface.co/docs/timm).

    Args:
        name: ``"resnet18"``, or with the tag of its weights ``"resnet18.a1_in1k"``.
        pretrained: ``True`` for timm's default weights, their tag, a path or URL of weights, a folder or repository of
            ``task.save_pretrained``, or ``False`` for random ones.
        in_chans: The number of channels of the images.
        img_size: Pixels per side, or ``(height, width)``, for models that are made for one size, such as ``vit_*``.
        kwargs: Other arguments of timm's model, such as ``drop_path_rate``.

    Raises:
        UnknownNameError: If timm has no such model.
        ConfigurationError: If the model has no such weights, or takes no such arguments.
        BackboneUnavailableError: If weights are neither cached nor can be downloaded.
        CheckpointError: If the weights in a file do not fit the model.

    Example:
        >>> timm_backbone("test_resnet", pretrained=False).out_features
        96
    """
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise _unknown(architecture)
    path, from_hub = None, False
    if isinstance(pretrained, str) and pretrained in _tags(architecture):
        tag, from_hub = pretrained, True
    elif isinstance(pretrained, str | Path):
        path = _existing(pretrained, architecture)
    else:
        from_hub = bool(pretrained)
    if tag and tag not in _tags(architecture):
        raise ConfigurationError(_no_such_weights(architecture, tag))
    if kwargs.get("global_pool") == "" or "num_classes" in kwargs or kwargs.get("features_only"):
        raise ConfigurationError(
            "Expected arguments for a network that returns one feature vector per image, but got num_classes, "
            "features_only or an empty global_pool in backbone_kwargs. Leave it out."
        )
    sizes = {} if img_size is None else {"img_size": img_size}
    make = _maker(f"{architecture}.{tag}" if tag else architecture, in_chans=in_chans, **sizes, **kwargs)
    network = load_from_hub(make, architecture, tag) if from_hub else make(pretrained=False)
    if path is not None:
        load_weights(network, path, architecture)
    config = resolve_data_config({}, model=network)  # type: ignore[no-untyped-call]  # timm's has no types
    height, width = (img_size, img_size) if isinstance(img_size, int) else (img_size or config["input_size"][1:])
    config["input_size"] = (in_chans, height, width)
    fixed = bool(network.pretrained_cfg.get("fixed_input_size")) and kwargs.get("strict_img_size", True)
    fixed = fixed and not kwargs.get("dynamic_img_size", False)
    return ImageBackbone(network, network.head_hidden_size, config, tag, fixed)


def _maker(name: str, **kwargs: Any) -> Callable[..., Any]:
    def make(**weights: Any) -> Any:
        try:
            return timm.create_model(name, num_classes=0, **weights, **kwargs)
        except TypeError as error:
            raise ConfigurationError(
                f"Expected backbone_kwargs that timm's {name} takes, but got an error: {error}. Leave out the argument."
            ) from error

    return make


def _unknown(name: str) -> UnknownNameError:
    close = difflib.get_close_matches(name, timm.list_models(), n=3)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    return UnknownNameError(
        f"timm {timm.__version__} has no model {name!r}.{hint} A newer one may: pip install --upgrade timm."
    )


def _tags(architecture: str) -> list[str]:
    return [name.partition(".")[2] for name in timm.list_pretrained(f"{architecture}.*")]


def _no_such_weights(architecture: str, asked: str) -> str:
    tags = ", ".join(map(repr, _tags(architecture))) or "none"
    return (
        f"Expected pretrained to be True, False, a file of weights, or one of the tags of {architecture} ({tags}), but "
        f"{asked!r} is none of them. Check the tag, or the path."
    )


def _existing(source: str | Path, architecture: str) -> str | Path:
    if is_checkpoint_name(source):
        return source
    raise ConfigurationError(_no_such_weights(architecture, str(source)))


# ---------------------------------------------------------------------- any backbone


def tagged_factory(registry: Registry, name: str, prefer: str | None = None) -> Callable[..., Any]:
    """Return the factory of a backbone, whose name can end with the tag of timm's weights.

    Tags are not listed: ``"resnet18.a1_in1k"`` is looked up by the part before the dot.

    Args:
        registry: The registry of backbones.
        name: The name.
        prefer: The distribution that wins where several plugins provide the name.

    Raises:
        UnknownNameError: If there is no such name.
    """
    architecture, dot, tag = name.partition(".")
    if dot and name not in registry:
        with contextlib.suppress(UnknownNameError):
            # Only timm has tags, so another plugin's network of the same name cannot be meant.
            factory: Any = registry.get(architecture, dist_of(__name__))
            if getattr(factory, "func", None) is timm_backbone:
                return partial(timm_backbone, f"{factory.args[0]}.{tag}")
    return registry.get(name, prefer)


def image_features(backbone: nn.Module, data_config: Mapping[str, Any] | None) -> int:
    """Return the number of features per image: the backbone's ``out_features``, or else measured on one black image.

    Args:
        backbone: The module.
        data_config: Its ``input_size`` is that of the black image; by default 3 channels of 224 pixels per side.

    Raises:
        ConfigurationError: If it does not return one vector per image.

    Example:
        >>> image_features(nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), None)
        5
    """
    size = (data_config or {}).get("input_size", (3, 224, 224))
    hint = "Pass data_config={'input_size': (channels, height, width), ...} for images of another shape."
    return num_features(backbone, lambda: torch.zeros(1, *size), hint=hint)

"""FeatureMaps: the maps of a backbone of timm at several resolutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from flash.core.prediction import evaluating
from flash.errors import ConfigurationError

from ..backbones import ImageBackbone

__all__ = ["FeatureMaps", "feature_maps", "map_channels"]

_MOST_MAPS = 4


class FeatureMaps(ImageBackbone):
    """A backbone that returns maps ``(batch, channels, rows, columns)`` in place of one vector per image.

    They are those of the last four resolutions of a convolutional network, and of four blocks of a vision transformer.
    Layers of the network after the last map are removed, since they would have no gradient.

    Args:
        backbone: A network of timm.

    Raises:
        ConfigurationError: If it has no such maps.

    Example:
        >>> from flash.image.backbones import timm_backbone
        >>> maps = FeatureMaps(timm_backbone("test_resnet", pretrained=False))
        >>> [tuple(each.shape[1:]) for each in maps(torch.zeros(1, 3, 64, 64))]
        [(32, 16, 16), (48, 8, 8), (192, 4, 4), (96, 2, 2)]
    """

    def __init__(self, backbone: ImageBackbone) -> None:
        super().__init__(
            backbone.network, backbone.out_features, backbone.data_config, backbone.tag, backbone.fixed_size
        )
        network: Any = self.network
        name = type(network).__name__
        if not callable(getattr(network, "forward_intermediates", None)):
            raise ConfigurationError(
                f"Expected a backbone with feature maps, which timm's forward_intermediates returns, but {name} has "
                "none. Choose another one, such as 'resnet18', 'convnext_tiny' or 'tf_efficientnet_lite0'."
            )
        self._indices = _map_indices(network)
        prune = getattr(network, "prune_intermediate_layers", None)
        if callable(prune):
            self._indices = list(prune(self._indices, prune_norm=True, prune_head=True))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]  # maps
        """Return the maps, highest resolution first."""
        network: Any = self.network
        maps = network.forward_intermediates(
            images, indices=self._indices, norm=False, output_fmt="NCHW", intermediates_only=True
        )
        return tuple(maps)


def _map_indices(network: Any) -> list[int]:
    """Return which intermediate maps to use, by their resolution."""
    infos: Any = getattr(network, "feature_info", None)
    listed = infos.get_dicts() if callable(getattr(infos, "get_dicts", None)) else infos
    steps = [int(each["reduction"]) for each in listed if isinstance(each, Mapping)] if listed else []
    if not steps:
        raise ConfigurationError(
            f"Expected a backbone that states its feature maps, but {type(network).__name__} does not. Choose another "
            "one, such as 'resnet18'."
        )
    # Of one resolution, the last map has seen most.
    last = {step: place for place, step in enumerate(steps)}
    if len(last) > 1:
        return sorted(last.values())[-_MOST_MAPS:]
    count = min(_MOST_MAPS, len(steps))
    return [len(steps) * (place + 1) // count - 1 for place in range(count)]


def feature_maps(backbone: nn.Module) -> nn.Module:
    """Return a backbone that returns feature maps: a network of timm is wrapped, another module is taken as it is."""
    if isinstance(backbone, ImageBackbone) and not isinstance(backbone, FeatureMaps):
        return FeatureMaps(backbone)
    return backbone


def map_channels(backbone: nn.Module, data_config: Mapping[str, Any] | None) -> list[int]:
    """Return the numbers of channels of the maps of a backbone, measured on one black image.

    Args:
        backbone: The module.
        data_config: Its ``input_size`` is that of the image; by default 3 channels of 224 pixels per side.

    Raises:
        ConfigurationError: If it does not return maps.

    Example:
        >>> map_channels(nn.Conv2d(3, 5, 3), None)
        Traceback (most recent call last):
        ...
        flash.errors.ConfigurationError: Expected a backbone that returns a list of maps (batch, channels, rows, \
columns), highest resolution first, but a Conv2d returned a Tensor. Return [maps], or choose one of timm by its name.
    """
    size = (data_config or {}).get("input_size", (3, 224, 224))
    with evaluating(backbone), torch.no_grad():
        maps: Any = backbone(torch.zeros(1, *size))
    are_maps = isinstance(maps, Sequence) and all(isinstance(each, Tensor) and each.ndim == 4 for each in maps)
    if not are_maps or not maps:
        raise ConfigurationError(
            "Expected a backbone that returns a list of maps (batch, channels, rows, columns), highest resolution "
            f"first, but a {type(backbone).__name__} returned a {type(maps).__name__}. Return [maps], or choose one of "
            "timm by its name."
        )
    return [each.shape[1] for each in maps]

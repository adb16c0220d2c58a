"""Decoders of segmentation-models-pytorch as heads, with the extra ``segmentation``."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from flash.errors import ConfigurationError

__all__ = ["Decoder", "segformer", "unet", "upernet"]

_LEVELS = 4


class Decoder(nn.Module):
    """A decoder on four maps, from a quarter to a 32nd of the image, with a convolution to scores.

    Args:
        decoder: Takes the maps of an encoder of segmentation-models-pytorch of depth 5, highest resolution first.
        width: The number of channels that it returns.
        num_classes: The number of classes.
    """

    def __init__(self, decoder: nn.Module, width: int, num_classes: int) -> None:
        super().__init__()
        self.decoder = decoder
        self.classes = nn.Conv2d(width, num_classes, 3, padding=1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return scores, at the resolution of the decoder."""
        first = maps[0]
        batch, _, rows, columns = first.shape
        # In place of the image and of a map of half its size, of which it takes the sizes alone.
        finer = [first.new_zeros(batch, 0, factor * rows, factor * columns) for factor in (4, 2)]
        scores: Tensor = self.classes(self.decoder([*finer, *maps]))
        return scores


def unet(channels: Sequence[int], num_classes: int) -> nn.Module:
    """Make the decoder of U-Net (1505.04597)."""
    widths = (256, 128, 64, 32, 16)
    encoder = _channels(channels)
    made = _decoder("unet", "UnetDecoder")(encoder_channels=encoder, decoder_channels=widths, n_blocks=5)
    return Decoder(made, widths[-1], num_classes)


def upernet(channels: Sequence[int], num_classes: int) -> nn.Module:
    """Make the decoder of UPerNet (1807.10221)."""
    made = _decoder("upernet", "UPerNetDecoder")(encoder_channels=_channels(channels), decoder_channels=256)
    return Decoder(made, 256, num_classes)


def segformer(channels: Sequence[int], num_classes: int) -> nn.Module:
    """Make the decoder of SegFormer (2105.15203)."""
    made = _decoder("segformer", "SegformerDecoder")(encoder_channels=_channels(channels), segmentation_channels=256)
    return Decoder(made, 256, num_classes)


def _channels(channels: Sequence[int]) -> list[int]:
    if len(channels) != _LEVELS:
        raise ConfigurationError(
            f"Expected a backbone with {_LEVELS} maps, from a quarter to a 32nd of the image, for this head, but got "
            f"{len(channels)}. Choose head='fpn', or another backbone."
        )
    return [3, 0, *channels]


def _decoder(module: str, name: str) -> Any:
    try:
        found = importlib.import_module(f"segmentation_models_pytorch.decoders.{module}.decoder")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("segmentation_models_pytorch"):
            raise
        raise ConfigurationError(
            f"Expected segmentation-models-pytorch for head={module!r}, but it is not installed. Install it: pip "
            "install 'flash-image[segmentation]'. The heads 'fpn', 'deeplab' and 'linear' do not need it."
        ) from error
    return getattr(found, name)

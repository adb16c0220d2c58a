"""Networks for images as backbones of recordings: a spectrogram is an image of one channel.

They are the backbones of the domain ``"image"`` that other packages register, such as those of timm by flash-image
(``pip install "flash-audio[image]"``), under the same names.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from flash.core.backbones import num_features, stated_layers, takes_argument
from flash.core.layers import child_layers
from flash.core.registry import backbone_registry

from .spec import AudioSpec, MelSpec

__all__ = ["SpectrogramImage", "image_backbone"]

_IMAGES = backbone_registry("image")
# As usual for spectrograms that are looked at as images.
_BANDS = 128


class SpectrogramImage(nn.Module):
    """A network for images that looks at spectrograms.

    What is padded is 0, the mean of a spectrogram; a network for images cannot leave it out.

    Args:
        network: Takes images ``(batch, channels, height, width)``, and returns features ``(batch, n)``.
        channels: The channels of its images: 1, or 3, which are then alike.
        size: The only height and width that it accepts, in pixels, which spectrograms are resized to; ``None`` if it
            accepts any.
        n_mels: The mel bands of spectrograms.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> SpectrogramImage(network, channels=3)(torch.randn(2, 1, 128, 100)).shape
        torch.Size([2, 5])
    """

    def __init__(
        self, network: nn.Module, channels: int = 1, size: tuple[int, int] | None = None, n_mels: int = _BANDS
    ) -> None:
        super().__init__()
        self.network = network
        self.channels = channels
        self.size = size
        self.input_spec = AudioSpec(mel=MelSpec.at(16000, n_mels))

    @property
    def out_features(self) -> int:
        """The number of features."""
        shape = (1, 1, *(self.size or (_BANDS, _BANDS)))
        weight = next(self.network.parameters())
        return num_features(self.network, lambda: self._image(weight.new_zeros(shape)))

    def forward(self, spectrograms: Tensor) -> Tensor:
        """Return features, shape ``(batch, n)``.

        Args:
            spectrograms: Shape ``(batch, 1, n_mels, frames)``.
        """
        features: Tensor = self.network(self._image(spectrograms))
        return features

    def _image(self, spectrograms: Tensor) -> Tensor:
        if self.size is not None:
            spectrograms = nn.functional.interpolate(spectrograms, self.size, mode="bilinear", antialias=True)
        return spectrograms.expand(-1, self.channels, -1, -1)

    def layers(self) -> list[nn.Module]:
        """Return the layers of the network, in the order of the forward pass."""
        stated = stated_layers(self.network)
        return child_layers([self.network]) if stated is None else stated


def image_backbone(name: str, pretrained: Any = True, n_mels: int = _BANDS, **kwargs: Any) -> SpectrogramImage:
    """Make a network for images that looks at spectrograms.

    Args:
        name: The name of a backbone of the domain ``"image"``.
        pretrained: As that backbone takes it: whether to load weights that it learned on images.
        n_mels: The mel bands of spectrograms.
        kwargs: Other arguments of that backbone.

    Raises:
        UnknownNameError: If there is no such backbone.
    """
    factory: Any = _IMAGES.get(name)
    options = {"pretrained": pretrained} if takes_argument(factory, "pretrained") else {}
    channels = 3
    if takes_argument(factory, "in_chans"):
        # The weights of three channels are summed.
        options["in_chans"] = channels = 1
    network = factory(**options, **kwargs)
    config = getattr(network, "data_config", None) or {}
    height, width = tuple(config.get("input_size", (0, 0, 0)))[1:]
    size = (int(height), int(width)) if getattr(network, "fixed_size", False) else None
    return SpectrogramImage(network, channels, size, n_mels)

"""ImageConfig: size, geometry and normalization of a network's images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from flash.errors import ConfigurationError

__all__ = ["ImageConfig", "ImageInputSpec"]

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class ImageInputSpec:
    """The ``input_spec`` of tasks for images: the data config of their backbone, with timm's keys.

    Args:
        entries: Names and values, such as ``("input_size", (3, 224, 224))``.
        fixed_size: The only height and width that the network accepts, in pixels; ``None`` if it accepts any.
        network: The name of the network in messages.

    Example:
        >>> ImageInputSpec.of({"input_size": [3, 8, 8]}).data_config
        {'input_size': (3, 8, 8)}
    """

    entries: tuple[tuple[str, Any], ...] = ()
    fixed_size: tuple[int, ...] | None = None
    network: str = "network"

    @classmethod
    def of(
        cls, data_config: Mapping[str, Any], fixed_size: Sequence[int] | None = None, network: str = "network"
    ) -> ImageInputSpec:
        """Make a spec from a data config, whose lists become tuples."""
        frozen = {name: tuple(value) if isinstance(value, list) else value for name, value in data_config.items()}
        return cls(tuple(frozen.items()), None if fixed_size is None else tuple(fixed_size), network)

    @property
    def data_config(self) -> dict[str, Any]:
        """The entries as a data config."""
        return dict(self.entries)


@dataclass(frozen=True)
class ImageConfig:
    """Size, geometry and normalization of a network's images; the names are those of timm's data config.

    Args:
        channels: 3 for RGB, 1 for grayscale.
        height: The height of the network's input, in pixels.
        width: The width of the network's input, in pixels.
        mean: The mean per channel, of values between 0 and 1.
        std: The standard deviation per channel, of values between 0 and 1.
        interpolation: ``"bilinear"``, ``"bicubic"``, ...
        crop_pct: The fraction of the resized image's shorter side that the crop keeps.
        crop_mode: ``"center"``; ``"squash"`` ignores the aspect ratio; ``"border"`` keeps the whole image.
    """

    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"
    crop_pct: float = 0.875
    crop_mode: str = "center"

    @classmethod
    def of(cls, data_config: Mapping[str, Any], image_size: int | Sequence[int] | None = None) -> ImageConfig:
        """Make a config from timm's data config, optionally with another size.

        Args:
            data_config: ``input_size`` (channels, height, width), ``mean`` and ``std``; optionally ``interpolation``,
                ``crop_pct`` and ``crop_mode``.
            image_size: Pixels per side, or ``(height, width)``.

        Raises:
            ConfigurationError: If an entry is missing or invalid.

        Example:
            >>> config = ImageConfig.of({"input_size": (3, 224, 224), "mean": (0.5,) * 3, "std": (0.2,) * 3}, 128)
            >>> config.height, config.mean
            (128, (0.5, 0.5, 0.5))
        """
        missing = [key for key in ("input_size", "mean", "std") if key not in data_config]
        if missing:
            raise ConfigurationError(
                f"Expected a data_config with input_size, mean and std, but {' and '.join(missing)} is not in "
                f"{sorted(data_config)}. timm.data.resolve_data_config(model=model) returns a complete one."
            )
        channels, *size = (int(value) for value in data_config["input_size"])
        height, width = _height_width(image_size) if image_size is not None else size
        if channels not in (1, 3):
            raise ConfigurationError(
                f"Expected a network for images of 3 channels, or of 1, but its input_size is "
                f"{tuple(data_config['input_size'])}. Pass transform=... to make its input yourself."
            )
        return cls(
            channels,
            height,
            width,
            _per_channel(data_config["mean"], channels),
            _per_channel(data_config["std"], channels),
            str(data_config.get("interpolation") or "bicubic"),
            float(data_config.get("crop_pct") or 0.875),
            str(data_config.get("crop_mode") or "center"),
        )

    @property
    def resized(self) -> tuple[int, int]:
        """The height and width that images are resized to before the crop."""
        return math.floor(self.height / self.crop_pct), math.floor(self.width / self.crop_pct)

    @property
    def resampling(self) -> Image.Resampling:
        """Pillow's filter for the interpolation."""
        if self.interpolation not in _RESAMPLING:
            raise ConfigurationError(
                f"Expected interpolation to be one of {', '.join(_RESAMPLING)}, but got {self.interpolation!r}."
            )
        return _RESAMPLING[self.interpolation]


def _height_width(image_size: int | Sequence[int]) -> tuple[int, int]:
    sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(sides) != 2 or any(isinstance(side, bool) or not isinstance(side, int) or side < 1 for side in sides):
        raise ConfigurationError(
            f"Expected image_size to be a number of pixels, or (height, width), but got {image_size!r}."
        )
    return sides[0], sides[1]


def _per_channel(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """Return one number per channel: three for a grayscale network are averaged, as timm sums its first weights."""
    numbers = tuple(float(value) for value in values)
    if len(numbers) == channels:
        return numbers
    return (sum(numbers) / len(numbers),) * channels

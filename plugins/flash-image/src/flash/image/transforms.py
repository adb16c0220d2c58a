"""From a picture to what a network was trained on: geometry, augmentation and normalisation of a data config."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from flash.core.registry import ComponentRegistry
from flash.errors import ConfigurationError
from flash.plugins import default_owner

from .config import ImageConfig
from .read import open_image

__all__ = ["Augmentation", "ImageTransforms", "Steps", "augmentations"]

#: Takes an image and gives an image, or a uint8 tensor ``(channels, height, width)``.
Augmentation = Callable[[Image.Image], Any]

# Of the area of a picture, what a random crop keeps at least: enough for the object to stay in it, as is usual in
# finetuning; training from scratch goes down to 0.08.
_SMALLEST_CROP = 0.35


class Steps:
    """Callables one after the other.

    Args:
        steps: Each takes what the one before gave.
        least: The width and height that pictures must have at least for the result to be as sharp; ``None`` if that
            is not known.
    """

    def __init__(self, *steps: Callable[[Any], Any], least: tuple[int, int] | None = None) -> None:
        self.steps = steps
        self.least = least

    def __call__(self, image: Any) -> Any:
        """Apply all."""
        for step in self.steps:
            image = step(image)
        return image


class ResizedCenter:
    """The centre of a picture whose shorter side is resized: timm's evaluation, in one pass over the pixels.

    Resizing and cropping in one step computes only the pixels that stay; the values are the same.

    Args:
        config: The size, the part that stays and the interpolation; of a square.
    """

    def __init__(self, config: ImageConfig) -> None:
        self._short = config.resized[0]
        self._size = config.height
        self._resampling = config.resampling

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the centre, of the network's size."""
        width, height = image.size
        short = min(width, height)
        # As torchvision's Resize and CenterCrop round.
        new_width, new_height = int(self._short * width / short), int(self._short * height / short)
        left, top = round((new_width - self._size) / 2), round((new_height - self._size) / 2)
        across, down = width / new_width, height / new_height
        box = (
            left * across,
            top * down,
            min((left + self._size) * across, width),
            min((top + self._size) * down, height),
        )
        return image.resize((self._size, self._size), self._resampling, box)


def evaluation(config: ImageConfig) -> Steps:
    """The geometry that timm evaluates the network with; it draws no random numbers.

    Example:
        >>> config = ImageConfig.of({"input_size": (3, 8, 8), "mean": (0.5,) * 3, "std": (0.2,) * 3})
        >>> evaluation(config)(Image.new("RGB", (20, 10))).size
        (8, 8)
    """
    height, width = config.resized
    least = (max(height, width), max(height, width))
    # Nearest pixels hang on the last digit of where they are asked for.
    in_one = config.crop_mode == "center" and config.interpolation != "nearest"
    if in_one and config.height == config.width and height >= config.height:
        return Steps(ResizedCenter(config), least=least)
    from timm.data.transforms_factory import transforms_imagenet_eval

    steps = transforms_imagenet_eval(
        img_size=(config.height, config.width),
        crop_pct=config.crop_pct,
        crop_mode=config.crop_mode,
        interpolation=config.interpolation,
        mean=config.mean,
        std=config.std,
        use_prefetcher=True,
    ).transforms
    return Steps(*steps[:-1], least=least)


# ---------------------------------------------------------------------- augmentation

#: Train augmentations by name: each is made of an :class:`ImageConfig`, takes an image and gives an image.
augmentations = ComponentRegistry("augmentation", "image augmentations", "image/classification", "image/embedding")


def none(config: ImageConfig) -> Augmentation:
    return evaluation(config)


def flip(config: ImageConfig) -> Augmentation:
    from torchvision.transforms import v2

    geometry = evaluation(config)
    return Steps(geometry, v2.RandomHorizontalFlip(), least=geometry.least)


def random_crop(config: ImageConfig) -> Steps:
    from torchvision.transforms import v2

    size = (config.height, config.width)
    side = math.ceil(max(size) / math.sqrt(_SMALLEST_CROP))
    crop = v2.RandomResizedCrop(size, (_SMALLEST_CROP, 1.0), interpolation=_interpolation(config))
    return Steps(crop, v2.RandomHorizontalFlip(), least=(side, side))


def trivial(config: ImageConfig) -> Augmentation:
    from torchvision.transforms import v2

    crop = random_crop(config)
    return Steps(crop, v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR), least=crop.least)


def randaugment(config: ImageConfig) -> Augmentation:
    from torchvision.transforms import v2

    crop = random_crop(config)
    return Steps(crop, v2.RandAugment(interpolation=v2.InterpolationMode.BILINEAR), least=crop.least)


def _interpolation(config: ImageConfig) -> Any:
    from torchvision.transforms import InterpolationMode

    return InterpolationMode(config.resampling.name.lower())


# ---------------------------------------------------------------------- all of it


class ImageTransforms:
    """Pictures become uint8 tensors one by one; batches of them are normalised at once, on the model's device.

    Args:
        config: What the network expects.
        augmentation: A name from :data:`augmentations`, or a callable that takes an image and gives an image, or a
            uint8 tensor. What it gives is resized and cropped as for evaluation where it has another size.

    Example:
        >>> config = ImageConfig.of({"input_size": (3, 8, 8), "mean": (0.5,) * 3, "std": (0.25,) * 3})
        >>> transforms = ImageTransforms(config)
        >>> tensor = transforms.to_tensor(Image.new("RGB", (20, 10), "white"))
        >>> tensor.shape, tensor.dtype
        (torch.Size([3, 8, 8]), torch.uint8)
        >>> transforms.normalise(tensor[None]).mean()
        tensor(2.)
    """

    def __init__(self, config: ImageConfig, augmentation: str | Augmentation = "none") -> None:
        self.config = config
        self._augmentation = augmentation
        self._evaluation = evaluation(config)
        self._constants: dict[torch.device, tuple[Tensor, Tensor]] = {}

    @cached_property
    def _train(self) -> Augmentation:
        # Late: a task that is loaded from a checkpoint only to predict needs no augmentation of that name.
        if not isinstance(self._augmentation, str):
            return self._augmentation
        owner = default_owner(self, "augmentation", self._augmentation)
        augment: Augmentation = augmentations.get(self._augmentation, owner)(self.config)
        return augment

    def __getstate__(self) -> dict[str, Any]:
        # Tensors on a device do not go to workers.
        return {**vars(self), "_constants": {}}

    def least(self, train: bool) -> tuple[int, int] | None:
        """The width and height that pictures must have at least."""
        least: tuple[int, int] | None = getattr(self._train if train else self._evaluation, "least", None)
        return least

    def to_tensor(self, image: Image.Image, train: bool = False) -> Tensor:
        """Return a uint8 tensor of the network's size, shape ``(channels, height, width)``."""
        picture = self._augmented(image) if train else self._evaluation(image)
        if self.config.channels == 1:
            picture = picture.convert("L")
        pixels = torch.from_numpy(np.array(picture))
        return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)

    def _augmented(self, image: Image.Image) -> Image.Image:
        picture = self._train(image)
        if isinstance(picture, Tensor):
            if picture.dtype is not torch.uint8:
                raise ConfigurationError(
                    f"Expected the augmentation to give an image or a uint8 tensor, which Flash normalises, but it "
                    f"gave {picture.dtype}. Leave out its conversion to floats, or pass it all as train_transform=..., "
                    "which normalises by itself."
                )
            picture = open_image(picture)
        if not isinstance(picture, Image.Image):
            raise ConfigurationError(
                f"Expected the augmentation to give an image or a uint8 tensor, but it gave {type(picture).__name__}."
            )
        fits = picture.size == (self.config.width, self.config.height)
        return picture if fits else self._evaluation(picture)

    def normalise(self, images: Tensor) -> Tensor:
        """Turn uint8 images ``(batch, channels, height, width)`` into the floats that the network was trained on."""
        mean, std = self._on(images.device)
        # In place, after one conversion: two passes fewer over the batch.
        return images.to(mean.dtype, memory_format=torch.contiguous_format).sub_(mean).div_(std)

    def denormalise(self, images: Tensor) -> Tensor:
        """Undo :meth:`normalise`, as floats from 0 to 1."""
        mean, std = self._on(images.device)
        return images.mul(std).add_(mean).div_(255).clamp_(0, 1)

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if device not in self._constants:
            mean, std = torch.tensor(self.config.mean) * 255, torch.tensor(self.config.std) * 255
            self._constants[device] = (mean.view(-1, 1, 1).to(device), std.view(-1, 1, 1).to(device))
        return self._constants[device]

"""Augmentations that transform train images together with their masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2.functional import to_pil_image

from flash.core.registry import ComponentRegistry
from flash.errors import ConfigurationError

from ..albumentations import as_callable
from ..config import ImageConfig

__all__ = [
    "Augmentation",
    "augment",
    "augmentations",
    "make_augmentation",
    "resize_mask",
    "transform_image",
]

#: Takes a PIL image and its mask, a ``torchvision.tv_tensors.Mask`` of class indices, as v2 transforms of torchvision;
#: or arrays by name, as transforms of albumentations.
Augmentation = Callable[[Any, Any], Any]

#: Augmentations by name: factories that take an :class:`~flash.image.config.ImageConfig`.
augmentations = ComponentRegistry("augmentation", "augmentations of segmentation", "image/semantic_segmentation")

# The minimum fraction of the image's area in a random crop.
_MIN_CROP_AREA = 0.35


def none(config: ImageConfig) -> None:  # as the others
    """Return ``None``: no augmentation."""


def flip(config: ImageConfig) -> Augmentation:  # noqa: ARG001  # as the others
    """Make a horizontal flip with probability 0.5."""
    mirror: Augmentation = v2.RandomHorizontalFlip()
    return mirror


def crop(config: ImageConfig) -> Augmentation:
    """Make a random crop of at least 35 % of the image, flipped horizontally with probability 0.5."""
    size = (config.height, config.width)
    filter_name = InterpolationMode(config.resampling.name.lower())
    made: Augmentation = v2.Compose(
        [
            v2.RandomResizedCrop(size, (_MIN_CROP_AREA, 1.0), interpolation=filter_name),
            v2.RandomHorizontalFlip(),
        ]
    )
    return made


def jitter(config: ImageConfig) -> Augmentation:
    """Make a random crop, and random changes of brightness, contrast, saturation and hue."""
    made: Augmentation = v2.Compose([crop(config), v2.ColorJitter(0.3, 0.3, 0.3, 0.05)])
    return made


def make_augmentation(
    chosen: str | Augmentation, config: ImageConfig, prefer: str | None = None
) -> Augmentation | None:
    """Return the augmentation registered under a name, or the callable itself.

    Args:
        chosen: The name or the callable.
        config: The size of the network's images.
        prefer: The distribution that wins where several plugins register the name.

    Raises:
        ConfigurationError: If it is neither a name nor a callable.
        UnknownNameError: If there is no such name.
    """
    if isinstance(chosen, str):
        made: Augmentation | None = augmentations.get(chosen, prefer)(config)
        return made
    if not callable(chosen) or isinstance(chosen, type):
        raise ConfigurationError(
            f"Expected augmentation to be one of {', '.join(map(repr, augmentations.list()))}, or a torchvision v2 "
            f"transform of an image with its mask, but got {chosen!r}."
        )
    return as_callable(chosen)


def augment(
    image: Image.Image, mask: Tensor, augmentation: Augmentation, argument: str = "the augmentation"
) -> tuple[Image.Image, Tensor]:
    """Apply an augmentation to an image and its mask.

    Args:
        image: The image.
        mask: The class indices of its pixels, uint8, shape ``(height, width)``.
        augmentation: Takes both, as torchvision's v2 transforms do.
        argument: What it is called in messages.

    Returns:
        The transformed image and mask, of one size.

    Raises:
        ConfigurationError: If the augmentation does not return an image with a mask of its size.

    Example:
        >>> image, mask = Image.new("RGB", (3, 2)), torch.tensor([[0, 0, 1]] * 2, dtype=torch.uint8)
        >>> augment(image, mask, v2.RandomHorizontalFlip(p=1))[1].tolist()
        [[1, 0, 0], [1, 0, 0]]
    """
    changed = augmentation(image, tv_tensors.Mask(mask[None]))
    advice = "Write it as torchvision's v2 transforms are: it takes the image and its mask and returns both."
    if not isinstance(changed, tuple | list) or len(changed) != 2:
        raise ConfigurationError(
            f"Expected {argument} to return an image and its mask, but got a {type(changed).__name__}. {advice}"
        )
    picture, new = changed
    if isinstance(picture, Tensor):
        picture = _picture_of(picture, argument)
    if not isinstance(picture, Image.Image) or not isinstance(new, Tensor) or new.dtype is not torch.uint8:
        got = f"a {type(picture).__name__} and a {type(new).__name__}"
        raise ConfigurationError(f"Expected {argument} to return an image and its uint8 mask, but got {got}.")
    plain = new.as_subclass(Tensor) if isinstance(new, tv_tensors.TVTensor) else new
    plain = plain.reshape(plain.shape[-2:])
    if plain.shape != (picture.height, picture.width):
        raise ConfigurationError(
            f"Expected {argument} to return a mask of the size of its image, {picture.width} x {picture.height}, "
            f"but got {plain.shape[1]} x {plain.shape[0]}. {advice}"
        )
    return picture.convert("RGB"), plain


def transform_image(image: Image.Image, argument: str, transform: Callable[[Any], Any]) -> Image.Image:
    """Apply a transform to an image whose mask is predicted in its size.

    Args:
        image: The image.
        argument: What the transform is called in messages.
        transform: Takes an image; it may change colors, but not the size.

    Raises:
        ConfigurationError: If it does not return an image of the same size.

    Example:
        >>> transform_image(Image.new("RGB", (3, 2)), "predict_transform", v2.Grayscale(3)).size
        (3, 2)
    """
    picture = transform(image)
    if isinstance(picture, Tensor):
        picture = _picture_of(picture, argument)
    if not isinstance(picture, Image.Image):
        raise ConfigurationError(f"Expected {argument} to return an image, but got a {type(picture).__name__}.")
    if picture.size != image.size:
        raise ConfigurationError(
            f"Expected {argument} to keep the size of an image to predict, {image.width} x {image.height}, in which "
            f"its mask is returned, but got {picture.width} x {picture.height}. Pass image_size=... to resize, and for "
            "prediction predict_transform=..., such as lambda image: image."
        )
    return picture.convert("RGB")


def _picture_of(picture: Tensor, argument: str) -> Image.Image:
    if picture.dtype is not torch.uint8:
        raise ConfigurationError(
            f"Expected {argument} to return an image or a uint8 tensor, which Flash normalizes, but got "
            f"{picture.dtype}. Leave out ToDtype and Normalize."
        )
    made: Image.Image = to_pil_image(picture)
    return made


def resize_mask(mask: Tensor, config: ImageConfig) -> Tensor:
    """Return a mask of the network's size, by the nearest pixel.

    Args:
        mask: Shape ``(height, width)``.
        config: The size.
    """
    if mask.shape == (config.height, config.width):
        return mask
    picture = Image.fromarray(mask.numpy())
    return torch.from_numpy(np.array(picture.resize((config.width, config.height), Image.Resampling.NEAREST)))

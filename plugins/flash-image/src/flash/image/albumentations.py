"""Albumentations: transforms of the library of this name, called as those of torchvision are.

They are recognized by the package of their class, which is not imported here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from flash.errors import ConfigurationError

__all__ = ["Albumentations", "as_callable", "is_albumentations"]


def is_albumentations(transform: Any) -> bool:
    """Return whether an object is a transform or a composition of albumentations.

    Example:
        >>> is_albumentations(np.asarray)
        False
    """
    return any(base.__module__.partition(".")[0] == "albumentations" for base in type(transform).__mro__)


def as_callable(transform: Callable[..., Any]) -> Callable[..., Any]:
    """Return a transform that takes a PIL image, and maybe its mask, by position.

    Args:
        transform: One of albumentations, which takes arrays by name; any other is returned.
    """
    return Albumentations(transform) if is_albumentations(transform) else transform


class Albumentations:
    """A transform of albumentations that is called as one of torchvision: with a PIL image, or an image and its mask.

    Its random numbers are drawn from those of torch, so that they follow the seed of the data and a resumed training
    continues them; unless it was made with a ``seed`` of its own.

    Args:
        transform: ``A.Compose([...])``, or a single transform.
    """

    def __init__(self, transform: Callable[..., Any]) -> None:
        self.transform = transform
        # Versions before 2 draw from the global numbers of Python and numpy, which are seeded for each batch.
        has_seed = getattr(transform, "seed", None) is not None
        self._reseed = None if has_seed else getattr(transform, "set_random_seed", None)

    def __repr__(self) -> str:
        """Return the representation of the transform."""
        return repr(self.transform)

    def __call__(self, image: Image.Image, mask: Tensor | None = None) -> Any:
        """Transform an image, and its mask alike.

        Args:
            image: The image.
            mask: The class indices of its pixels, uint8, shape ``([1,] height, width)``.

        Returns:
            The image, or a tuple of the image and its mask of the shape ``(height, width)``. Whole numbers are a PIL
            image, floats of ``A.Normalize`` a tensor ``(channels, height, width)``, and a tensor of ``ToTensorV2`` is
            itself.

        Raises:
            ConfigurationError: If it returns no image, or one of another shape.
        """
        if self._reseed is not None:
            self._reseed(int(torch.randint(2**31, ())))
        arrays = {"image": np.array(image)}
        if mask is not None:
            arrays["mask"] = mask.reshape(mask.shape[-2:]).numpy().copy()
        changed = self.transform(**arrays)
        picture = _image_of(changed["image"])
        return picture if mask is None else (picture, _mask_of(changed.get("mask")))


def _image_of(image: Any) -> Any:
    if isinstance(image, Tensor):
        return image
    if not isinstance(image, np.ndarray) or image.ndim not in (2, 3):
        got = f"shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ConfigurationError(
            f"Expected the transform of albumentations to return an image of (height, width, channels), but got {got}."
        )
    if image.dtype == np.uint8:
        return Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image)
    channels_last = image[..., None] if image.ndim == 2 else image
    return torch.from_numpy(np.ascontiguousarray(channels_last.transpose(2, 0, 1)))


def _mask_of(mask: Any) -> Any:
    return torch.from_numpy(np.ascontiguousarray(mask)) if isinstance(mask, np.ndarray) else mask

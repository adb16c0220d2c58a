"""The size that detectors resize images to: one argument, ``image_size``, for networks of every kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from flash.core.prediction import evaluating
from flash.errors import ConfigurationError

__all__ = ["ImageSize", "Resizes", "fixed_size_of", "read_image_size", "set_image_size"]

#: The length of the longer side in pixels, or height and width.
ImageSize = int | Sequence[int]


@runtime_checkable
class Resizes(Protocol):
    """A detector that resizes images itself, to a size that can be set."""

    #: The height and width that all images are resized to; ``None`` if they keep their aspect ratio.
    fixed_size: tuple[int, int] | None

    def resize_to(self, image_size: int | tuple[int, int]) -> None:
        """Set the length of the longer side, or the height and width."""


def read_image_size(image_size: Any) -> int | tuple[int, int]:
    """Return the length of the longer side in pixels, or the height and width.

    Raises:
        ConfigurationError: If it is neither.

    Example:
        >>> read_image_size(512), read_image_size([480, 640])
        (512, (480, 640))
    """
    sides = list(image_size) if isinstance(image_size, Sequence) and not isinstance(image_size, str) else [image_size]
    if len(sides) > 2 or not sides or any(isinstance(side, bool) or not isinstance(side, int) for side in sides):
        sides = []
    if not sides or min(sides) < 1:
        raise ConfigurationError(
            "Expected image_size to be the length of the longer side of resized images in pixels, or (height, width), "
            f"but got {image_size!r}. Write image_size=512, or image_size=(480, 640)."
        )
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def set_image_size(model: nn.Module, image_size: ImageSize) -> None:
    """Set the size that a detector resizes images to.

    Args:
        model: A detector with the transform of torchvision's, or one that :class:`Resizes`.
        image_size: The length of the longer side in pixels, where images keep their aspect ratio; for a network that
            resizes all images to one shape, that of both sides. Or ``(height, width)``, which all images are resized
            to.

    Raises:
        ConfigurationError: If it is neither, the model resizes images in another way, or an SSD needs larger ones.
    """
    size = read_image_size(image_size)
    transform = getattr(model, "transform", None)
    if isinstance(model, Resizes):
        model.resize_to(size)
    elif isinstance(transform, GeneralizedRCNNTransform):
        _set_transform(transform, size)
        if isinstance(model, SSD):
            _set_boxes(model, image_size)
    else:
        raise ConfigurationError(
            f"Expected a detector that resizes images as torchvision's do, to set image_size={image_size!r}, but a "
            f"{type(model).__name__} has no such transform. Set the size where you make the module."
        )


def fixed_size_of(model: nn.Module) -> tuple[int, int] | None:
    """Return the height and width that a detector resizes all images to; ``None`` if they keep their aspect ratio."""
    if isinstance(model, Resizes):
        return model.fixed_size
    fixed = getattr(getattr(model, "transform", None), "fixed_size", None)
    return None if fixed is None else (fixed[1], fixed[0])


def _set_transform(transform: GeneralizedRCNNTransform, size: int | tuple[int, int]) -> None:
    if isinstance(size, int) and transform.fixed_size is None:
        transform.min_size, transform.max_size = (size,), size
        return
    height, width = (size, size) if isinstance(size, int) else size
    transform.fixed_size = (width, height)
    transform.min_size, transform.max_size = (min(height, width),), max(height, width)


def _set_boxes(model: Any, image_size: Any) -> None:
    # Distances in pixels are those of the size that the network was made for; without them they follow from its maps.
    model.anchor_generator.steps = None
    width, height = model.transform.fixed_size
    try:
        with evaluating(model), torch.no_grad():
            model.backbone(torch.zeros(1, 3, height, width))
    except RuntimeError as error:
        raise ConfigurationError(
            f"Expected image_size={image_size!r} to leave something of an image for the last layer, but got an error: "
            f"{error}. Choose a larger one; the network was made for 300 or more."
        ) from error

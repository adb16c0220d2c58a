"""Augmentations that transform train images together with their boxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from flash import Registry
from flash.core.registry import ComponentRegistry
from flash.errors import ConfigurationError, DataError

__all__ = ["Augmentation", "augment", "augmentations", "make_augmentation"]

Target = dict[str, Tensor]
Augmentation = Callable[[Any, Any], tuple[Any, Any]]

#: Augmentations by name: factories of callables that take an image and its target, as torchvision's v2 transforms do.
augmentations = ComponentRegistry("augmentation", "augmentations of detection", "image/detection")


def none() -> None:
    """Return ``None``: no augmentation."""


def flip() -> Augmentation:
    """Make a horizontal flip with probability 0.5."""
    mirror: Augmentation = v2.RandomHorizontalFlip()
    return mirror


def make_augmentation(
    chosen: str | Augmentation, prefer: str | None = None, registry: Registry = augmentations
) -> Augmentation | None:
    """Return the augmentation registered under a name, or the callable itself.

    Args:
        chosen: The name or the callable.
        prefer: The distribution that wins where several plugins register the name.
        registry: The augmentations by name.

    Raises:
        ConfigurationError: If it is neither a name nor a callable.
        UnknownNameError: If there is no such name.

    Example:
        >>> make_augmentation("none") is None
        True
    """
    if isinstance(chosen, str):
        made: Augmentation | None = registry.get(chosen, prefer)()
        return made
    if not callable(chosen) or isinstance(chosen, type):
        raise ConfigurationError(
            f"Expected augmentation to be one of {', '.join(map(repr, registry.list()))}, or a torchvision v2 "
            f"transform, but got {chosen!r}."
        )
    return chosen


def augment(image: Tensor, target: Target, augmentation: Augmentation) -> tuple[Tensor, Target]:
    """Apply an augmentation to an image and its boxes and masks.

    Args:
        image: Shape ``(3, height, width)``, 0 to 255.
        target: ``boxes`` in pixels, shape ``(boxes, 4)``, and further tensors with one entry per box; ``masks``, shape
            ``(boxes, height, width)``, move with the image.
        augmentation: Takes an image and a target, as torchvision's v2 transforms do.

    Returns:
        The transformed image and target.

    Raises:
        DataError: If the augmentation does not return a uint8 image with its target.

    Example:
        >>> image, target = torch.zeros(3, 4, 10, dtype=torch.uint8), {"boxes": torch.tensor([[0.0, 1, 3, 4]])}
        >>> augment(image, target, v2.RandomHorizontalFlip(p=1))[1]["boxes"]
        tensor([[ 7.,  1., 10.,  4.]])
    """
    size = (image.shape[-2], image.shape[-1])
    boxes: Any = tv_tensors.BoundingBoxes(target["boxes"], format="XYXY", canvas_size=size)
    parts: dict[str, Any] = {**target, "boxes": boxes}
    if "masks" in target:
        parts["masks"] = tv_tensors.Mask(target["masks"])
    changed = augmentation(tv_tensors.Image(image), parts)
    if not isinstance(changed, tuple) or len(changed) != 2 or not isinstance(changed[0], Tensor):
        raise DataError(
            "Expected the augmentation to take an image and its target and to return both, as torchvision's v2 "
            f"transforms do, but it returned {type(changed).__name__}."
        )
    new_image, new_target = changed
    if new_image.dtype is not torch.uint8 or new_image.ndim != 3:
        raise DataError(
            f"Expected the augmentation to return an image of 0 to 255 (uint8, three dimensions), but it is "
            f"{new_image.dtype} of shape {tuple(new_image.shape)}. Leave out ToDtype and "
            "Normalize: the network normalizes."
        )
    return _as_tensor(new_image), {name: _as_tensor(value) for name, value in new_target.items()}


def _as_tensor(tensor: Tensor) -> Tensor:
    return tensor.as_subclass(Tensor) if isinstance(tensor, tv_tensors.TVTensor) else tensor

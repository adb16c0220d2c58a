"""Mixing: augmentations that mix the images of a batch in pairs, and their classes alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from .config import ImageConfig
from .transforms import Steps, random_crop

__all__ = ["Mixing", "cutmix", "mixup"]

# A little of another image, as is usual in finetuning; from scratch 0.8 to 1 is used.
_MIXUP_ALPHA = 0.2
_CUTMIX_ALPHA = 1.0


class Mixing:
    """An augmentation of each image, after which those of a batch are mixed on the model's device.

    Random numbers are those of torch in the process that trains: a resumed training mixes as the whole one would.

    Args:
        step: The augmentation of an image.
        make: Makes a transform of ``(images, class_indices)`` for a number of classes, such as torchvision's ``MixUp``.

    Example:
        >>> import torch
        >>> from torchvision.transforms import v2
        >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
        <torch._C.Generator ...>
        >>> mixing = Mixing(Steps(), lambda count: v2.MixUp(num_classes=count))
        >>> images, soft = mixing.mix_batch(torch.rand(2, 3, 8, 8), torch.tensor([0, 1]), 2)
        >>> images.shape, soft.sum(1)
        (torch.Size([2, 3, 8, 8]), tensor([1., 1.]))
    """

    def __init__(self, step: Steps, make: Callable[[int], Callable[..., Any]]) -> None:
        self.step = step
        self.min_size = step.min_size
        self._make = make

    def __call__(self, image: Any) -> Any:
        """Augment an image."""
        return self.step(image)

    def mix_batch(self, images: Tensor, targets: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        """Mix each image of a batch with another one.

        Args:
            images: Normalized images, shape ``(batch, channels, height, width)``.
            targets: Class indices, shape ``(batch,)``.
            num_classes: The number of classes.

        Returns:
            The images, and the probability of each class, shape ``(batch, num_classes)``.
        """
        mixed, soft = self._make(num_classes)(images, targets)
        return mixed, soft.to(images.dtype)


def mixup(config: ImageConfig) -> Mixing:
    """Make random crops that are mixed in pairs, as if both were transparent (1710.09412)."""
    return Mixing(random_crop(config), _mixup)


def cutmix(config: ImageConfig) -> Mixing:
    """Make random crops with a rectangle of another image (1905.04899)."""
    return Mixing(random_crop(config), _cutmix)


def _mixup(num_classes: int) -> Callable[..., Any]:
    from torchvision.transforms import v2

    made: Callable[..., Any] = v2.MixUp(num_classes=num_classes, alpha=_MIXUP_ALPHA)
    return made


def _cutmix(num_classes: int) -> Callable[..., Any]:
    from torchvision.transforms import v2

    made: Callable[..., Any] = v2.CutMix(num_classes=num_classes, alpha=_CUTMIX_ALPHA)
    return made

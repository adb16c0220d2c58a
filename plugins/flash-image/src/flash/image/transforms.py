"""Image transforms of a data config: geometry, augmentation and normalization."""

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

from .albumentations import as_callable
from .config import ImageConfig
from .encoder import resized_center
from .read import open_image

__all__ = ["Augmentation", "ImageTransforms", "Steps", "augmentations", "describe", "geometry_of"]

#: Takes an image and returns an image, or a uint8 tensor ``(channels, height, width)``.
Augmentation = Callable[[Image.Image], Any]
#: Takes normalized images ``(batch, channels, height, width)``, class indices ``(batch,)`` and the number of classes,
#: and returns mixed images with the probability of each class ``(batch, classes)``.
MixBatch = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]

# The minimum fraction of the image's area in a random crop: enough to keep the object in it, as is usual in finetuning;
# training from scratch uses 0.08.
_MIN_CROP_AREA = 0.35


class Steps:
    """A sequence of callables, as torchvision's ``Compose``.

    Args:
        steps: Each takes the result of the one before.
        min_size: The minimum width and height of an image that is not upscaled, in pixels; ``None`` if unknown.
    """

    def __init__(self, *steps: Callable[[Any], Any], min_size: tuple[int, int] | None = None) -> None:
        self.steps = steps
        self.min_size = min_size

    def __call__(self, image: Any) -> Any:
        """Apply all steps."""
        for step in self.steps:
            image = step(image)
        return image


class ResizedCenter:
    """Resize the shorter side and center-crop in one call, as timm's evaluation transforms do in two.

    Only the pixels of the crop are computed; their values are the same.

    Args:
        config: Size, crop and interpolation; the size must be a square.
    """

    def __init__(self, config: ImageConfig) -> None:
        self._short = config.resized[0]
        self._size = config.height
        self._resampling = config.resampling

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the center crop, of the network's size."""
        return resized_center(image, self._short, self._size, self._resampling)


def geometry_of(config: ImageConfig) -> str | None:
    """Return how images are resized and cropped for evaluation, as exported folders name it; ``None`` for other ways.

    It is ``"fused"`` for the shorter side and the crop in one step, ``"shorter"`` for the same in two, and ``"squash"``
    without regard to the aspect ratio.

    Example:
        >>> geometry_of(ImageConfig.of({"input_size": (3, 8, 8), "mean": (0.5,) * 3, "std": (0.2,) * 3}))
        'fused'
    """
    height, width = config.resized
    if height < config.height or width < config.width:
        return None
    if config.crop_mode == "squash":
        return "squash"
    if config.crop_mode != "center" or height != width:
        return None
    # Nearest-neighbor resampling is sensitive to rounding, so resize and crop are not fused.
    return "fused" if config.interpolation != "nearest" and config.height == config.width else "shorter"


def evaluation(config: ImageConfig) -> Steps:
    """Return the resize and crop that timm evaluates the network with; they are deterministic.

    Example:
        >>> config = ImageConfig.of({"input_size": (3, 8, 8), "mean": (0.5,) * 3, "std": (0.2,) * 3})
        >>> evaluation(config)(Image.new("RGB", (20, 10))).size
        (8, 8)
    """
    height, width = config.resized
    min_size = (max(height, width), max(height, width))
    if geometry_of(config) == "fused":
        return Steps(ResizedCenter(config), min_size=min_size)
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
    return Steps(*steps[:-1], min_size=min_size)


# ---------------------------------------------------------------------- augmentation

#: Train augmentations by name: factories that take an :class:`ImageConfig` and return an :data:`Augmentation`.
augmentations = ComponentRegistry(
    "augmentation", "image augmentations", "image/classification", "image/regression", "image/embedding"
)


def none(config: ImageConfig) -> Augmentation:
    return evaluation(config)


def flip(config: ImageConfig) -> Augmentation:
    from torchvision.transforms import v2

    geometry = evaluation(config)
    return Steps(geometry, v2.RandomHorizontalFlip(), min_size=geometry.min_size)


def random_crop(config: ImageConfig) -> Steps:
    from torchvision.transforms import v2

    size = (config.height, config.width)
    side = math.ceil(max(size) / math.sqrt(_MIN_CROP_AREA))
    crop = v2.RandomResizedCrop(size, (_MIN_CROP_AREA, 1.0), interpolation=_interpolation(config))
    return Steps(crop, v2.RandomHorizontalFlip(), min_size=(side, side))


def trivial(config: ImageConfig) -> Augmentation:
    from torchvision.transforms import v2

    crop = random_crop(config)
    return Steps(crop, v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR), min_size=crop.min_size)


def randaugment(config: ImageConfig) -> Augmentation:
    from torchvision.transforms import v2

    crop = random_crop(config)
    return Steps(crop, v2.RandAugment(interpolation=v2.InterpolationMode.BILINEAR), min_size=crop.min_size)


def _interpolation(config: ImageConfig) -> Any:
    from torchvision.transforms import InterpolationMode

    return InterpolationMode(config.resampling.name.lower())


def describe(value: Any) -> str | None:
    """Return the name of an augmentation or a transform as it is, and another object in one line.

    Example:
        >>> describe("flip"), describe(None)
        ('flip', None)
    """
    return value if value is None or isinstance(value, str) else " ".join(repr(value).split())


# ---------------------------------------------------------------------- the pipeline


class ImageTransforms:
    """Convert images to uint8 tensors one by one, and normalize batches of them on the model's device.

    Args:
        config: Size, geometry and normalization of the network's images.
        augmentation: A name from :data:`augmentations`, or a callable that takes an image and returns an image or a
            uint8 tensor; or a transform of albumentations. A result of another size than the network's is resized and
            cropped as for evaluation.

    Example:
        >>> config = ImageConfig.of({"input_size": (3, 8, 8), "mean": (0.5,) * 3, "std": (0.25,) * 3})
        >>> transforms = ImageTransforms(config)
        >>> tensor = transforms.to_tensor(Image.new("RGB", (20, 10), "white"))
        >>> tensor.shape, tensor.dtype
        (torch.Size([3, 8, 8]), torch.uint8)
        >>> transforms.normalize(tensor[None]).mean()
        tensor(2.)
    """

    def __init__(self, config: ImageConfig, augmentation: str | Augmentation = "none") -> None:
        self.config = config
        self._augmentation = augmentation
        self._evaluation = evaluation(config)
        self._constants: dict[torch.device, tuple[Tensor, Tensor]] = {}

    @cached_property
    def _train(self) -> Augmentation:
        # Lazy: a task loaded from a checkpoint only to predict does not need the augmentation to be registered.
        if not isinstance(self._augmentation, str):
            return as_callable(self._augmentation)
        owner = default_owner(self, "augmentation", self._augmentation)
        augment: Augmentation = augmentations.get(self._augmentation, owner)(self.config)
        return augment

    def __getstate__(self) -> dict[str, Any]:
        # Tensors on a device cannot be sent to workers.
        return {**vars(self), "_constants": {}}

    @property
    def mix_batch(self) -> MixBatch | None:
        """The method of this name of the augmentation, which mixes the images of a train batch, if it has one."""
        mix: MixBatch | None = getattr(self._train, "mix_batch", None)
        return mix

    def min_size(self, train: bool) -> tuple[int, int] | None:
        """Return the minimum width and height of an image that is not upscaled, in pixels; ``None`` if unknown."""
        min_size: tuple[int, int] | None = getattr(self._train if train else self._evaluation, "min_size", None)
        return min_size

    def to_tensor(self, image: Image.Image, train: bool = False) -> Tensor:
        """Return a uint8 tensor of the network's size, shape ``(channels, height, width)``."""
        return self.fitted(self._augmented(image)) if train else self._pixels(self._evaluation(image))

    def fitted(self, picture: Image.Image) -> Tensor:
        """Return a uint8 tensor of an image, which is resized and cropped as for evaluation unless it has that size."""
        fits = picture.size == (self.config.width, self.config.height)
        return self._pixels(picture if fits else self._evaluation(picture))

    def _pixels(self, picture: Image.Image) -> Tensor:
        if self.config.channels == 1:
            picture = picture.convert("L")
        pixels = torch.from_numpy(np.array(picture))
        return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)

    def _augmented(self, image: Image.Image) -> Image.Image:
        picture = self._train(image)
        if isinstance(picture, Tensor):
            if picture.dtype is not torch.uint8:
                raise ConfigurationError(
                    f"Expected the augmentation to return an image or a uint8 tensor, which Flash normalizes, but got "
                    f"{picture.dtype}. Leave out its conversion to floats, or pass all of it as train_transform=..., "
                    "which has to normalize too."
                )
            return open_image(picture)
        if not isinstance(picture, Image.Image):
            raise ConfigurationError(
                f"Expected the augmentation to return an image or a uint8 tensor, but got {type(picture).__name__}."
            )
        return picture

    def normalize(self, images: Tensor) -> Tensor:
        """Normalize uint8 images ``(batch, channels, height, width)`` to floats with the network's mean and std."""
        mean, std = self._on(images.device)
        # In place after the conversion, which saves two passes over the batch.
        return images.to(mean.dtype, memory_format=torch.contiguous_format).sub_(mean).div_(std)

    def denormalize(self, images: Tensor) -> Tensor:
        """Undo :meth:`normalize`; return floats from 0 to 1."""
        mean, std = self._on(images.device)
        return images.mul(std).add_(mean).div_(255).clamp_(0, 1)

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if device in self._constants:
            return self._constants[device]
        mean, std = torch.tensor(self.config.mean) * 255, torch.tensor(self.config.std) * 255
        constants = (mean.view(-1, 1, 1).to(device), std.view(-1, 1, 1).to(device))
        # What torch.export traces with is no tensor for other calls.
        if not torch.compiler.is_compiling():
            self._constants[device] = constants
        return constants

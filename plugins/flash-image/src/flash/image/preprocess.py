"""ImagePreprocess: images to batches, with the size and normalization of the backbone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import default_collate

from flash.data.auto_dataset import AutoDataset
from flash.data.display import Display
from flash.data.files import FileInputs, FilePreprocess, FileSample
from flash.data.labels import ClassLabels
from flash.data.pieces import Box, Pieces, patches_of, without_patches
from flash.data.portable import Portable, TensorSpec
from flash.data.process import Preprocess
from flash.data.requests import RequestFields
from flash.data.samples import SamplePreprocess
from flash.data.stage import Stage
from flash.data.targets import NumberTargets
from flash.errors import CheckpointError, ConfigurationError, DataError
from flash.plugins import default_owner

from . import encoder
from .config import ImageConfig, ImageInputSpec
from .files import IMAGE_EXTENSIONS
from .read import load_into_memory, open_image, thumbnail
from .stage_transforms import TRANSFORMS, OwnTransform, StageTransforms, lost_transforms
from .transforms import ImageTransforms, MixBatch, augmentations, describe, geometry_of

__all__ = ["ImagePreprocess", "ImageRegressionPreprocess", "Transform"]

#: Makes the input of a network of a PIL image; transforms of albumentations take arrays by name.
Transform = Callable[..., Any]

# The data config for show_batch before a task is connected: the usual size, without normalization.
_PREVIEW = {"input_size": (3, 224, 224), "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "crop_pct": 1.0}

# The size at which images are decoded that are only checked for damage.
_SMALLEST = (1, 1)
_COMPLETE = {"input_size", "mean", "std"}


class ImagePreprocess(FilePreprocess):
    """Decode, resize and crop images in the workers, and normalize batches on the model's device.

    Size, interpolation, crop, mean and standard deviation are those that the backbone was trained with, from the task's
    ``input_spec``. Images are transferred to the device as uint8, a quarter of the size of floats.

    Args:
        augmentation: For training: ``"none"``, ``"flip"``, ``"crop"``, ``"trivial"``, ``"randaugment"``, ``"mixup"``,
            ``"cutmix"``, another name in ``flash.image.augmentations``, or a callable from PIL image to PIL image or
            uint8 tensor, such as transforms of torchvision v2; or a transform of albumentations.
        image_size: Pixels per side, or ``(height, width)``, in place of the backbone's own.
        transform: What makes the network's input, in all stages: a callable from PIL image to normalized tensor, as
            those of torchvision and timm, or a transform of albumentations. If it returns an image, this is resized to
            the network's size, unless it has that, and normalized.
        train_transform: The same for training only.
        val_transform: The same for validation only, and for the two that follow if they are not passed.
        test_transform: The same for testing only.
        predict_transform: The same for prediction only.
        data_config: Entries of timm's data config that replace the backbone's, such as ``{"crop_pct": 1.0}``.
        deterministic: Whether callables and datasets return the same each time, so that features of a frozen
            backbone can be computed once. ``None`` assumes they do not, except for datasets known to be deterministic.

    Raises:
        ConfigurationError: If arguments contradict each other.

    Example:
        >>> preprocess = ImagePreprocess("flip", image_size=8)
        >>> spec = ImageInputSpec.of({"input_size": (3, 224, 224), "mean": (0.5,) * 3, "std": (0.25,) * 3})
        >>> dataset = AutoDataset([np.zeros((20, 30), dtype=np.uint8)], Stage.PREDICT, preprocess, spec)
        >>> dataset[0].shape
        torch.Size([3, 8, 8])
    """

    noun = "image"
    reads_lazily = True
    extensions = IMAGE_EXTENSIONS
    dataset_fields = ("image", "img", "images", "pixel_values")
    dataset_libraries = ("torchvision",)
    advice = "For numbers use ImageRegressionData and ImageRegressor."
    #: Whether a transform of the user makes the network's input: otherwise this is resized and normalized after it.
    transforms_make_inputs: ClassVar[bool] = True
    #: What a transform of the user is, in words, and what to write in place of something else.
    transforms_are: ClassVar[str] = "a callable from a PIL image to a tensor"
    advice_on_transforms: ClassVar[str] = (
        "Write {name}=torchvision.transforms.Compose([...]); or for the hooks of a dict, class MyPreprocess("
        "ImagePreprocess): def to_tensor_transform(self, sample): ..., and preprocess=MyPreprocess()."
    )

    def __init__(
        self,
        augmentation: str | Transform = "none",
        image_size: int | Sequence[int] | None = None,
        transform: Transform | None = None,
        train_transform: Transform | None = None,
        val_transform: Transform | None = None,
        test_transform: Transform | None = None,
        predict_transform: Transform | None = None,
        data_config: Mapping[str, Any] | None = None,
        deterministic: bool | None = None,
    ) -> None:
        if augmentation != "none" and (transform is not None or train_transform is not None):
            own_of_train = transform if train_transform is None else train_transform
            raise ConfigurationError(
                f"Expected augmentation or a transform for training, but got both: {augmentation!r} and "
                f"{own_of_train!r}. Add the augmentation to train_transform."
            )
        own = {
            "transform": transform,
            "train_transform": train_transform,
            "val_transform": val_transform,
            "test_transform": test_transform,
            "predict_transform": predict_transform,
        }
        is_given = any(each is not None for each in own.values())
        made = StageTransforms(own, self.transforms_are, self.advice_on_transforms) if is_given else None
        self._own_transforms = made
        self.augmentation: Any = augmentation
        self.image_size = image_size
        # The transforms of a checkpoint that it could not hold, by the stage that lacks them.
        self._lost: dict[Stage, str] = {}
        self.deterministic = deterministic
        self._own_config = dict(data_config or {})
        self._made: tuple[ImageInputSpec | None, ImageTransforms] | None = None
        if self._own_config.keys() >= _COMPLETE:
            self.transforms_for(None)

    def transforms_for(self, input_spec: ImageInputSpec | None) -> ImageTransforms:
        """Return the image transforms for a network.

        Args:
            input_spec: The network's data config; entries of this object's own ``data_config`` replace its.

        Raises:
            ConfigurationError: If an entry is missing or invalid.
        """
        if self._made is None or self._made[0] != input_spec:
            config = {**(input_spec.data_config if input_spec else {}), **self._own_config}
            if input_spec is None and not config.keys() >= _COMPLETE:
                raise ConfigurationError(
                    "Expected the size and the normalization that the network was trained with, but no task is "
                    "connected yet. Connect the data with one: task.use_data(datamodule), or ...Classifier.from_data("
                    "datamodule); or pass data_config=... with input_size, mean and std."
                )
            self._made = input_spec, ImageTransforms(ImageConfig.of(config, self.image_size), self.augmentation)
        return self._made[1]

    @property
    def transforms(self) -> ImageTransforms:
        """The image transforms for the network of the hook that is running."""
        return self.transforms_for(self.input_spec)

    def preview_spec(self) -> ImageInputSpec:
        """Return the spec for previews before a task is connected; the size is ``image_size`` or 224 pixels."""
        return ImageInputSpec.of({**_PREVIEW, **self._own_config})

    def check_input_spec(self, input_spec: Any) -> None:
        """Raise an error if the network has no data config, or accepts only images of another size."""
        # A task that is no ImageTask has no spec; hooks that need one raise.
        if not isinstance(input_spec, ImageInputSpec):
            return
        if self.transforms_make_inputs and all(map(self.own_transform, Stage)):
            return
        if not {**input_spec.data_config, **self._own_config}:
            raise ConfigurationError(
                f"Expected to know which images the backbone was made for, but a {input_spec.network} has no "
                "data_config. Pass one to the task: data_config={'input_size': (channels, height, width), 'mean': ..., "
                "'std': ...}; or make the network's input yourself: pass transform=... to the data module."
            )
        config = self.transforms_for(input_spec).config
        size = (config.height, config.width)
        if input_spec.fixed_size not in (None, size):
            raise ConfigurationError(
                f"Expected images of {input_spec.fixed_size} pixels, which the backbone was made for, but the data "
                f"makes them of {size}. Leave out image_size, or make the backbone for this size: backbone_kwargs="
                f"{{'img_size': {size}}}."
            )

    # ------------------------------------------------------------------ samples

    def load_data(self, data: FileInputs, dataset: AutoDataset) -> Any:
        """Encode the targets; fit the classes on train data first.

        Raises:
            CheckpointError: If this is of a checkpoint, which could not hold the transform of the stage.
        """
        self.check_lost(dataset.hooks.stage)
        samples = super().load_data(data, dataset)
        if self.training and isinstance(self.augmentation, str):
            # An unknown name raises here rather than in the first batch.
            augmentations.get(self.augmentation, default_owner(self, "augmentation", self.augmentation))
        return samples

    def check_lost(self, stage: Stage) -> None:
        """Raise an error if this is of a checkpoint, which could not hold the transform of a stage."""
        if stage in self._lost:
            raise CheckpointError(self._lost[stage])

    def check_inputs(self, inputs: Any, dataset: AutoDataset) -> Any:
        """Check that all files exist; with ``on_bad_sample="skip"``, also that they can be decoded."""
        checked = super().check_inputs(inputs, dataset)
        load_into_memory(checked.sources)
        return checked

    def try_sample(self, source: Any, name: str) -> None:
        """Decode an image at an eighth of its size, which reads the whole file and so detects all damage."""
        open_image(source, _SMALLEST, name)

    def sources_to_predict(self, data: Any) -> Any:
        """Normalize the input of ``predict`` (path, folder, list or array of images) to a sequence of image sources."""
        if isinstance(data, Tensor | np.ndarray):
            channels = data.shape[0 if isinstance(data, Tensor) else -1] if data.ndim == 3 else 0
            return [data] if data.ndim == 2 or channels in (1, 3, 4) else data
        if isinstance(data, Image.Image | bytes):
            return [data]
        if isinstance(data, str | Path | Iterator):
            return super().sources_to_predict(data)
        if hasattr(data, "__len__") and hasattr(data, "__getitem__") and not isinstance(data, Mapping):
            return data
        raise DataError(
            "Expected images: a path, a folder, a list of paths, PIL images, arrays or tensors, an array (images, "
            f"height, width, channels) or a tensor (images, channels, height, width), but got {type(data).__name__}."
        )

    def load_sample(self, sample: FileSample, dataset: AutoDataset) -> Any:
        """Decode an image; return it with its target, if it has one."""
        image = self._open(sample)
        return image if sample.target is None else (image, sample.target)

    def _open(self, sample: FileSample) -> Image.Image:
        min_size = None if self._own is not None else self.transforms.min_size(self.training)
        return open_image(sample.source, min_size, sample.name)

    @property
    def _own(self) -> OwnTransform | None:
        """The user's own transform for the hook that is running."""
        stages = ((Stage.TRAIN, self.training), (Stage.VAL, self.validating), (Stage.TEST, self.testing))
        return self.own_transform(next((stage for stage, is_running in stages if is_running), Stage.PREDICT))

    def own_transform(self, stage: Stage) -> OwnTransform | None:
        """Return the user's own transform of a stage, with the argument that it was passed as; ``None`` without one."""
        return None if self._own_transforms is None else self._own_transforms.of(stage)

    def described_transforms(self) -> dict[str, str | None]:
        """Return a description of the user's own transforms, which a checkpoint holds in place of their code."""
        return dict.fromkeys(TRANSFORMS) if self._own_transforms is None else self._own_transforms.described()

    def to_tensor_transform(self, sample: Any) -> Any:
        """Convert the image to a tensor of the network's size."""
        if isinstance(sample, tuple):
            return self._to_tensor(sample[0]), *sample[1:]
        return self._to_tensor(sample)

    def _to_tensor(self, image: Image.Image) -> Tensor:
        own = self._own
        if own is None:
            return self.transforms.to_tensor(image, self.training)
        made = own.function(image)
        if isinstance(made, Image.Image):
            return self.transforms.fitted(made.convert("RGB"))
        if not isinstance(made, Tensor):
            raise ConfigurationError(
                f"Expected {own.argument} to return a tensor or a PIL image, but got {type(made).__name__}. "
                + ("Return the image from it." if made is None else "End it with ToTensor.")
            )
        fixed = self.input_spec.fixed_size if isinstance(self.input_spec, ImageInputSpec) else None
        if fixed is not None and tuple(made.shape[-2:]) != fixed:
            raise ConfigurationError(
                f"Expected {own.argument} to return images of {fixed} pixels, height and width, which the backbone was "
                f"made for, but got shape {tuple(made.shape)}. End it with Resize({fixed})."
            )
        # An image of torchvision's, which would be a subclass of a tensor in the network too.
        return made.as_subclass(Tensor)

    def collate(self, samples: Sequence[Any]) -> Any:
        """Stack images and targets."""
        own = self._own
        if own is not None:
            images = [sample[0] if isinstance(sample, tuple) else sample for sample in samples]
            first, other = images[0], next((each for each in images if each.shape != images[0].shape), None)
            if other is not None:
                raise ConfigurationError(
                    f"Expected {own.argument} to return images of one shape, but got {tuple(first.shape)} and "
                    f"{tuple(other.shape)}. End it with Resize((height, width)): Resize(size) keeps the aspect ratio."
                )
        return default_collate(list(samples))

    def per_batch_transform_on_device(self, batch: Any) -> Any:
        """Normalize the images of a batch, unless a ``transform`` has returned floats already; mix those to train on.

        Raises:
            ConfigurationError: If the augmentation mixes images, but their targets are not one class each.
        """
        if not isinstance(batch, tuple | list):
            return self._normalized(batch)
        images = self._normalized(batch[0])
        # Figures and scores of train data, which need no gradient, have the images as they are, with their classes.
        if self.training and self.augmentation != "none" and torch.is_grad_enabled():
            mix = self.transforms.mix_batch
            return (images, *batch[1:]) if mix is None else self._mixed(mix, images, batch[1])
        return (images, *batch[1:])

    def _mixed(self, mix: MixBatch, images: Tensor, targets: Any) -> tuple[Tensor, Tensor]:
        if targets.ndim != 1 or targets.is_floating_point() or not isinstance(self.targets, ClassLabels):
            raise ConfigurationError(
                f"Expected one class per image for the augmentation {self.augmentation!r}, which mixes images and "
                f"their classes, but got targets of shape {tuple(targets.shape)} and {targets.dtype}. Choose "
                "another one, such as augmentation='trivial'."
            )
        return mix(images, targets, len(self.targets.labels))

    def _normalized(self, images: Tensor) -> Tensor:
        return self.transforms.normalize(images) if images.dtype is torch.uint8 else images

    # ------------------------------------------------------------------ for a person

    def display(self, samples: Any, rows: Sequence[int]) -> Sequence[Display]:
        """Return the upright images before all transforms, at most 512 pixels wide and high."""
        return [thumbnail(samples[row].source, samples[row].name) for row in rows]

    def display_inputs(self, inputs: Tensor) -> Sequence[Display]:
        """Return normalized images as they look: of a user's own transform, each scaled to the whole range."""
        images = inputs.float().cpu()
        if self._own is None or not self.transforms_make_inputs:
            images = self.transforms.denormalize(images)
        else:
            # The constants of a user's own transform are unknown.
            low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
            images = (images - low) / (high - low).clamp(min=1e-6)
        pixels = (images.clamp(0, 1) * 255).round().to(torch.uint8)
        return list(pixels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous().numpy())

    # ------------------------------------------------------------------ export

    def portable(self) -> Portable:
        """Return the inputs, uint8 images of a fixed size, and their geometry for the encoder of files."""
        own = self.own_transform(Stage.PREDICT)
        if own is not None:
            return Portable(reason=f"images are made by the {own.argument} {describe(own.function)}")
        config = self.transforms.config
        inputs = TensorSpec("uint8", ("batch", config.channels, config.height, config.width), values=256)
        geometry = geometry_of(config)
        if geometry is None:
            return Portable(
                inputs, reason=f"images of {config.resized} pixels are cropped by timm ({config.crop_mode})"
            )
        settings = {
            "channels": config.channels,
            "height": config.height,
            "width": config.width,
            "resized": list(config.resized),
            "geometry": geometry,
            "interpolation": config.interpolation,
            "resampling": config.resampling.name,
            "crop_pct": config.crop_pct,
            "mean": list(config.mean),
            "std": list(config.std),
            "extensions": sorted(self.extensions),
            "tables": [] if self.input_field is None else list(encoder.TABLES),
            "input_field": self.input_field,
        }
        return Portable(inputs, encoder=encoder.__name__, settings=settings, requires=("Pillow",))

    def request_fields(self) -> RequestFields:
        """Return that a sample is an uploaded image of a bounded number of pixels."""
        return RequestFields("image", extensions=self.extensions, check=encoder.check_upload)

    def pieces(self, samples: Any, row: int, most: int) -> Pieces | None:
        """Return the patches of an image, in place of which it gets its mean color."""
        sample = samples[row]
        shown = thumbnail(sample.source, sample.name)
        image = np.asarray(self._open(sample))
        # The image that the network gets may have more pixels than the one that is shown.
        (height, width), (rows, columns) = image.shape[:2], shown.shape[:2]
        places = patches_of(rows, columns, most)
        patches = [
            Box(
                *(each.left * width // columns, each.top * height // rows),
                *(each.right * width // columns, each.bottom * height // rows),
            )
            for each in places
        ]
        return Pieces(shown, places, lambda left_out: _Patched(sample, image, patches, left_out))

    # ------------------------------------------------------------------ determinism and state

    def is_deterministic(self, stage: Stage) -> bool:
        """Return whether the transforms of a stage are known to be deterministic."""
        if self.deterministic is not None:
            return self.deterministic
        own = self.own_transform(stage)
        augmented = stage is Stage.TRAIN and self.augmentation != "none"
        return not (
            own or augmented or stage in self.nondeterministic_stages or self.overrides_hooks(ImagePreprocess, stage)
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the classes, and descriptions of the augmentation and the transforms."""
        learned = super().state_dict()
        if not learned:
            return {}
        return {**learned, "augmentation": describe(self.augmentation), **self.described_transforms()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the state of another preprocess.

        Raises:
            CheckpointError: If it had a transform for prediction, which no checkpoint can hold, and this one has none.
        """
        if not state:
            return
        self._lost = lost_transforms(state, self.own_transform, type(self).__name__)
        # A checkpoint of flash-image 0.1.0 calls them labels.
        super().load_state_dict({"targets": state["labels"], **state} if "labels" in state else state)

    def agrees_with(self, other: Preprocess) -> bool:
        """Return whether the classes are the same: each data module may augment in its own way."""
        return isinstance(other, SamplePreprocess) and other.targets == self.targets


class ImageRegressionPreprocess(ImagePreprocess):
    """The same for images with one number or several numbers each.

    Example:
        >>> ImageRegressionPreprocess(image_size=8).targets_cls.__name__
        'NumberTargets'
    """

    targets_cls = NumberTargets
    advice = "For classes use ImageClassificationData and ImageClassifier."


class _Patched:
    """Samples of one image, each without some of its patches."""

    def __init__(
        self,
        sample: FileSample,
        image: np.ndarray[Any, Any],
        patches: Sequence[Box],
        left_out: Sequence[Collection[int]],
    ) -> None:
        self._sample = sample
        self._image = image
        self._patches = patches
        self._left_out = left_out

    def __len__(self) -> int:
        return len(self._left_out)

    def __getitem__(self, index: int) -> FileSample:
        changed = without_patches(self._image, self._patches, self._left_out[index])
        return self._sample._replace(source=Image.fromarray(changed))

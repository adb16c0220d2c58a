"""ObjectDetectionPreprocess: images of any size with boxes to batches for torchvision's detectors."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from flash import Preprocess, Registry
from flash.data.auto_dataset import AutoDataset
from flash.data.damaged import without_damaged
from flash.data.display import Display
from flash.data.files import FileInputs, FileSample, OnBadSample
from flash.data.messages import show, show_some
from flash.data.portable import Portable, TensorSpec
from flash.data.requests import RequestFields
from flash.data.stage import Stage
from flash.errors import ConfigurationError, DataError
from flash.plugins import default_owner

from .. import encoder
from ..preprocess import ImagePreprocess
from ..read import open_image, thumbnail
from .augmentations import Augmentation, augment, augmentations, make_augmentation
from .boxes import AnnotatedImage, fit_boxes, upright_boxes
from .dataset import LazyAnnotations
from .exif import orientation_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["DetectionInputSpec", "DetectionInputs", "ObjectDetectionPreprocess"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DetectionInputs:
    """Annotated images of one stage.

    Args:
        images: The images with their boxes: a list, or a dataset that is read lazily.
        labels: The names of the classes in order, if the data defines them.
        on_bad_sample: ``"error"`` raises for an image that cannot be decoded; ``"skip"`` skips such images.
    """

    images: Sequence[AnnotatedImage]
    labels: Sequence[Any] | None = None
    on_bad_sample: OnBadSample = "error"

    @property
    def targets(self) -> list[Any] | None:
        """The classes of each image's boxes; ``None`` for datasets that are read lazily."""
        return None if isinstance(self.images, LazyAnnotations) else [list(image.labels) for image in self.images]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: Sequence[int]) -> DetectionInputs:
        """Return the images of some rows."""
        lazy = self.images.take(rows) if isinstance(self.images, LazyAnnotations) else None
        return replace(self, images=[self.images[row] for row in rows] if lazy is None else lazy)

    def usable(self, stage: str) -> tuple[Sequence[AnnotatedImage], list[tuple[str, str]], Sequence[int]]:
        """Return the images, the names and errors of those skipped with ``on_bad_sample="skip"``, and the rows kept."""
        if isinstance(self.images, LazyAnnotations):
            if self.on_bad_sample != "error":
                raise ConfigurationError(
                    "Expected on_bad_sample='error' with datasets, whose samples are read lazily, "
                    f"but got {self.on_bad_sample!r}."
                )
            return self.images, [], range(len(self.images))
        rows = FileInputs([image.source for image in self.images], range(len(self.images)), None, self.on_bad_sample)
        if self.on_bad_sample == "error":
            return self.images, [], range(len(self.images))
        _, bad, kept = without_damaged(rows, ImagePreprocess().try_sample, "image", stage)
        return [self.images[row] for row in kept], bad, kept


@dataclass(frozen=True)
class DetectionInputSpec:
    """The ``input_spec`` of detectors: their classes.

    Args:
        num_classes: The number of classes.
        labels: The names of the classes, in the order of their indices; ``None`` if unknown.
    """

    num_classes: int
    labels: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class _Encoded:
    """An image with its boxes and the indices of their classes."""

    image: AnnotatedImage
    classes: Tensor

    @property
    def name(self) -> str | None:
        """The path of the image, which identifies it; ``None`` if it is in memory."""
        return self.image.name if isinstance(self.image.source, str | Path) else None


class ObjectDetectionPreprocess(Preprocess):
    """Decode images with their boxes in the workers; the network resizes and normalizes them on its device.

    A sample is the image, shape ``(3, height, width)``, with ``boxes`` (left, top, right, bottom edge in pixels, shape
    ``(boxes, 4)``), ``labels`` (from 1; 0 is the background) and ``iscrowd`` (zeros and ones). Boxes are in pixels of
    the upright image.

    Args:
        augmentation: The augmentation of train images: a name from
            :data:`flash.image.detection.augmentations.augmentations`, or a torchvision v2 transform that takes an
            image and its target.
        labels: The names of the classes, in order; by default those in the train data.

    Example:
        >>> import numpy as np
        >>> from flash.data.auto_dataset import AutoDataset
        >>> from flash.image.detection.boxes import AnnotatedImage, read_boxes
        >>> image = AnnotatedImage(np.zeros((10, 20, 3), np.uint8), read_boxes([[1, 2, 3, 4]]), ("cat",))
        >>> dataset = AutoDataset(DetectionInputs([image]), Stage.TRAIN, ObjectDetectionPreprocess())
        >>> dataset[0][1]["boxes"], dataset.labels
        (tensor([[1., 2., 3., 4.]]), ['cat'])
    """

    #: The augmentations by name.
    augmentations: ClassVar[Registry] = augmentations

    def __init__(self, augmentation: str | Augmentation = "none", labels: Sequence[Any] | None = None) -> None:
        self.augmentation = augmentation
        self.labels = None if labels is None else list(labels)
        owner = default_owner(self, "augmentation", augmentation)
        self._augment = make_augmentation(augmentation, owner, self.augmentations)

    # ------------------------------------------------------------------ datasets

    def load_data(self, data: DetectionInputs, dataset: AutoDataset) -> Any:
        """Encode the classes of the boxes as indices; fit the classes on train data first."""
        stage = dataset.hooks.stage.value
        self.load_parts(data, dataset)
        if self.training and self.labels is None:
            self.labels = _labels_in(data)
        labels = self._known_labels()
        if self.training:
            facts: Any = dataset
            facts.num_classes, facts.labels = len(labels), labels
        images, bad, kept = data.usable(stage)
        vars(dataset)["bad_samples"] = bad
        if bad:
            dataset.keep_rows(kept)
        return images.with_labels(labels) if isinstance(images, LazyAnnotations) else self._encode_all(images, stage)

    def load_parts(self, data: DetectionInputs, dataset: AutoDataset) -> None:
        """Learn and check what :meth:`object_parts` needs to know of all images; by default nothing.

        Args:
            data: The images of a stage.
            dataset: The dataset of the stage, which takes facts of train data.
        """

    def _known_labels(self) -> list[Any]:
        """Return the names of the classes: this object's own, or those of the connected task."""
        of_task = self.input_spec.labels if isinstance(self.input_spec, DetectionInputSpec) else None
        if self.labels is None and of_task is None:
            raise DataError(
                "Expected the names of the classes, which are learned from train data, but there is none. Add "
                "train data, pass labels=[...], or pass preprocess=task.preprocess of a task that was trained."
            )
        return list(of_task or ()) if self.labels is None else self.labels

    def check_input_spec(self, input_spec: Any) -> None:
        """Raise an error if the detector has other classes, or the same in another order."""
        if self.labels is None or not isinstance(input_spec, DetectionInputSpec):
            return
        if len(self.labels) != input_spec.num_classes:
            raise ConfigurationError(
                f"Expected data with the {input_spec.num_classes} classes of the task, but it has {len(self.labels)}. "
                "Make the task with ObjectDetector.from_data(datamodule)."
            )
        if input_spec.labels is not None and self.labels != list(input_spec.labels):
            raise ConfigurationError(
                f"Expected data whose classes are {list(input_spec.labels)}, in this order, but they are "
                f"{self.labels}. Pass labels=task.labels to the data module."
            )

    def _encode_all(self, images: Sequence[AnnotatedImage], stage: str) -> list[_Encoded]:
        _check_pixels(images)
        fitted = [image.fitted() for image in images]
        encoded = [_Encoded(image, self._encode(image, stage)) for image, _, _ in fitted]
        _report(encoded, stage, sum(clipped for _, clipped, _ in fitted), sum(dropped for _, _, dropped in fitted))
        return encoded

    def _encode(self, image: AnnotatedImage, stage: str) -> Tensor:
        labels = self._known_labels()
        unknown = [label for label in image.labels if label not in labels]
        if unknown:
            raise DataError(
                f"Expected the classes of boxes in the {stage} data to be among {show_some(labels)}, but "
                f"{image.name} has {show(unknown[0])}. Correct it, or name all classes: labels=[...]."
            )
        return torch.tensor([labels.index(label) + 1 for label in image.labels], dtype=torch.long)

    def predict_load_data(self, data: Any, dataset: AutoDataset) -> Any:
        """Normalize the input of ``predict`` (path, folder, list or array of images) to samples."""
        return ImagePreprocess().predict_load_data(data, dataset)

    # ------------------------------------------------------------------ samples

    def load_sample(self, sample: Any, dataset: AutoDataset) -> tuple[Tensor, dict[str, Tensor]]:
        """Decode an image, and return it with its boxes in the coordinates of the upright image."""
        if isinstance(sample, AnnotatedImage):
            sample = _Encoded(sample, self._encode(sample, dataset.hooks.stage.value))
        image: AnnotatedImage = sample.image
        picture = open_image(image.source, name=image.name)
        boxes, classes, crowd = image.boxes, sample.classes, image.ignored(self.training)
        if image.size is not None and image.size != picture.size:
            boxes = upright_boxes(boxes, image.size, picture.size, orientation_of(image.source), image.name)
        boxes, kept, _ = fit_boxes(boxes, picture.size)
        pixels: Tensor = pil_to_tensor(picture)
        target = {"boxes": boxes, "labels": classes[kept], "iscrowd": crowd[kept].long()}
        target |= {name: part[kept] for name, part in self.object_parts(image, picture.size).items()}
        return self._for_training(pixels, target) if self.training else (pixels, target)

    def object_parts(self, image: AnnotatedImage, size: tuple[int, int]) -> dict[str, Tensor]:
        """Return further parts of the objects of an image, such as masks, with one row per box.

        Args:
            image: The image.
            size: Width and height of the upright image.
        """
        return {}

    def _for_training(self, pixels: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        single = target.pop("iscrowd") == 0
        target = {name: part[single] for name, part in target.items()}
        if self._augment is not None:
            pixels, target = self.augmented(pixels, target, self._augment)
            boxes, kept, _ = fit_boxes(target.pop("boxes"), (pixels.shape[-1], pixels.shape[-2]))
            target = {"boxes": boxes, **{name: part[kept] for name, part in target.items()}}
        return pixels, {**target, "iscrowd": torch.zeros_like(target["labels"])}

    def augmented(
        self, pixels: Tensor, target: dict[str, Tensor], augmentation: Augmentation
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return a train image and its target after an augmentation, with everything that moves with the image.

        Args:
            pixels: Shape ``(3, height, width)``, 0 to 255.
            target: ``boxes``, ``labels`` and the further parts of the objects.
            augmentation: Takes an image and a target, as torchvision's v2 transforms do.
        """
        return augment(pixels, target, augmentation)

    def draw_parts(self, axis: Axes, objects: Mapping[str, Any], color: str, dashed: bool = False) -> None:
        """Draw the further parts of the objects in an image, such as masks; by default there are none.

        Args:
            axis: The axis that the image is drawn on.
            objects: A target, or a prediction in the form of the task's default output.
            color: The color of the parts.
            dashed: Whether these are true objects beside predicted ones.
        """

    def predict_load_sample(self, sample: FileSample) -> Tensor:
        """Decode an image."""
        pixels: Tensor = pil_to_tensor(open_image(sample.source, name=sample.name))
        return pixels

    # ------------------------------------------------------------------ batches

    def collate(self, samples: Sequence[Any]) -> Any:
        """Return ``({"images": [...]}, [target, ...])``: images differ in size, so that they are not stacked."""
        images, targets = zip(*samples, strict=True)
        return {"images": list(images)}, list(targets)

    def predict_collate(self, samples: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        """Return ``{"images": [...]}``."""
        return {"images": list(samples)}

    def per_batch_transform_on_device(self, batch: Any) -> Any:
        """Convert uint8 images to floats from 0 to 1; on the device, so that a quarter of the bytes is transferred."""
        inputs, *rest = batch if isinstance(batch, tuple | list) else (batch,)
        dtype = torch.get_default_dtype()
        floats = {"images": [image.to(dtype).div_(255) for image in inputs["images"]]}
        return (floats, *rest) if rest else floats

    def display(self, samples: Any, rows: Sequence[int]) -> Sequence[Display]:
        """Return the upright images, without boxes, at most 512 pixels wide and high."""
        chosen = [samples[row] for row in rows]
        images = [each.image if isinstance(each, _Encoded) else each for each in chosen]
        return [thumbnail(image.source, image.name) for image in images]

    def request_fields(self) -> RequestFields:
        """Return that a sample is an uploaded image."""
        return ImagePreprocess().request_fields()

    def portable(self) -> Portable:
        """Return the inputs, one uint8 image of any size, for the encoder of files."""
        image = TensorSpec("uint8", (1, 3, "height", "width"), values=256)
        settings = {"extensions": sorted(ImagePreprocess().extensions), "tables": []}
        return Portable({"image": image}, encoder=encoder.__name__, settings=settings, requires=("Pillow",))

    def is_deterministic(self, stage: Stage) -> bool:
        """Return whether samples are the same each time: unless train images are augmented."""
        return stage is not Stage.TRAIN or self._augment is None

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Return the names of the classes."""
        return {} if self.labels is None else {"labels": self.labels}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the names of the classes."""
        if state:
            self.labels = list(state["labels"])


def _labels_in(data: DetectionInputs) -> list[Any]:
    if data.labels is not None:
        return list(data.labels)
    if isinstance(data.images, LazyAnnotations):
        raise DataError(
            "Expected the names of the dataset's classes, but it has no attribute classes. Pass labels=[...] in the "
            "order of their indices, which start from 0."
        )
    found = {label for image in data.images for label in image.labels}
    if not found:
        raise DataError(
            "Expected at least one box in the train data, but no image has any. Check the annotations, or name the "
            "classes: labels=[...]."
        )
    return sorted(found, key=lambda label: (isinstance(label, str), label))


def _check_pixels(images: Sequence[AnnotatedImage]) -> None:
    highest = max((float(image.boxes.max()) for image in images if len(image.boxes)), default=2.0)
    if highest <= 1:
        raise DataError(
            "Expected boxes in pixels, but all their edges are between 0 and 1. Multiply them by the width and height "
            "of their images."
        )


def _report(encoded: Sequence[_Encoded], stage: str, clipped: int, dropped: int) -> None:
    boxes = sum(len(each.classes) for each in encoded)
    empty = sum(not len(each.classes) for each in encoded)
    crowd = sum(int(each.image.ignored(training=True).sum()) for each in encoded)
    parts = [
        f"{len(encoded)} images with {boxes} boxes",
        f"{empty} images without boxes, which are kept" if empty else "",
        f"{crowd} crowd boxes, which are ignored" if crowd else "",
        f"{clipped} boxes clipped to their image" if clipped else "",
        f"{dropped} boxes dropped, which have no area inside their image" if dropped else "",
    ]
    level = logging.WARNING if clipped or dropped else logging.INFO
    log.log(level, "The %s data has %s.", stage, "; ".join(filter(None, parts)))

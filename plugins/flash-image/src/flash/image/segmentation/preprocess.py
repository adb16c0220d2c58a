"""SemanticSegmentationPreprocess: images with masks to batches; and the postprocess that saves predicted masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from flash import Postprocess, Preprocess
from flash.data.auto_dataset import AutoDataset
from flash.data.damaged import without_damaged
from flash.data.display import Display
from flash.data.files import FileInputs, FileSample
from flash.data.folders import check_files_exist
from flash.data.inputs import source_name
from flash.data.pieces import Pieces
from flash.data.portable import Portable, TensorSpec
from flash.data.samples import SamplePreprocess
from flash.data.stage import Stage
from flash.download import progress_bar
from flash.errors import ConfigurationError, DataError
from flash.plugins import default_owner
from flash.serialization import writing

from .. import encoder
from ..config import ImageConfig
from ..detection.exif import orientation_of
from ..preprocess import ImagePreprocess, Transform
from ..read import open_image, thumbnail
from ..stage_transforms import lost_transforms
from ..transforms import describe
from .augmentations import (
    Augmentation,
    augment,
    augmentations,
    make_augmentation,
    resize_mask,
    transform_image,
)
from .dataset import DatasetSample
from .masks import IGNORED, LabelsMap, MaskTargets, Value, read_mask, to_tensor, upright_mask, voc_color
from .sizing import Resize, check_resize, fit, fit_settings, random_tile, stack

__all__ = ["NOT_COUNTED", "SemanticSegmentationPostprocess", "SemanticSegmentationPreprocess"]

#: The class index of pixels that never count in the targets of a network, as in ``torch.nn.CrossEntropyLoss``.
NOT_COUNTED = -100
_AT_ONCE, _SHOWN = 64, 1000


class SemanticSegmentationPreprocess(ImagePreprocess):
    """Decode images and their masks in the workers; images are normalized on the model's device.

    Images are resized to the network's size, and train masks with them, by the nearest pixel. The masks of validation
    and test data keep their size: predictions are resized to them.

    Args:
        augmentation: For training: ``"none"``, ``"flip"``, ``"crop"``, ``"jitter"``, another name in
            :data:`flash.image.segmentation.augmentations.augmentations`, or a transform of an image with its mask: of
            torchvision v2, of albumentations, or a callable of a PIL image and a ``Mask`` that returns both.
        image_size: Pixels per side, or ``(height, width)``, in place of the backbone's own.
        labels: The names of the classes, in the order of their values in masks, from 0; by default their numbers, as
            many as there are in the train data.
        labels_map: The value of each class by its name, in place of ``labels``: a color ``(red, green, blue)``, or a
            number.
        num_classes: The number of classes, in place of ``labels``.
        ignore_index: The value, or the color, of pixels that never count in loss and metrics; ``None`` if all do.
        data_config: Entries of timm's data config that replace the backbone's.
        transform: A transform of an image with its mask, as for ``augmentation``, in all stages; of an image alone in
            prediction, where it must keep its size. Images are resized and normalized after it.
        train_transform: The same for training only; another name of a callable ``augmentation``.
        val_transform: The same for validation only, and for the two that follow if they are not passed.
        test_transform: The same for testing only.
        predict_transform: The same for prediction only.
        resize: How images become inputs of the network's size: ``"squash"`` resizes them without regard to their aspect
            ratio; ``"pad"`` keeps it, and fills the rest with the network's mean color; ``"tiles"`` keeps every pixel,
            for large images with small objects: training sees a random part of the network's size, and everything else
            has the mean of the scores of overlapping tiles.
        tile_overlap: The fraction of a tile that the next one covers too.

    Raises:
        ConfigurationError: If arguments contradict each other.

    Example:
        >>> preprocess = SemanticSegmentationPreprocess(labels_map={"sky": (0, 0, 255), "road": (90, 90, 90)})
        >>> preprocess.targets.labels
        ['sky', 'road']
    """

    targets_cls: ClassVar[Any] = MaskTargets
    targets: Any = None
    transforms_make_inputs = False
    transforms_are = "a transform of an image with its mask"
    advice_on_transforms = (
        "Write {name}=torchvision.transforms.v2.Compose([...]), or one of albumentations; or for the hooks of a dict, "
        "class MyPreprocess(SemanticSegmentationPreprocess): def pre_tensor_transform(self, sample): ..., and "
        "preprocess=MyPreprocess()."
    )

    def __init__(
        self,
        augmentation: str | Augmentation = "none",
        image_size: int | Sequence[int] | None = None,
        labels: Sequence[Any] | None = None,
        labels_map: LabelsMap | None = None,
        num_classes: int | None = None,
        ignore_index: Value | None = IGNORED,
        data_config: Mapping[str, Any] | None = None,
        transform: Transform | None = None,
        train_transform: Transform | None = None,
        val_transform: Transform | None = None,
        test_transform: Transform | None = None,
        predict_transform: Transform | None = None,
        resize: Resize = "squash",
        tile_overlap: float = 0.25,
    ) -> None:
        check_resize(resize, tile_overlap)
        super().__init__(
            augmentation,
            image_size,
            transform,
            train_transform,
            val_transform,
            test_transform,
            predict_transform,
            data_config,
        )
        self.ignore_index = ignore_index
        self.resize: Resize = resize
        self.tile_overlap = tile_overlap
        self._joint: tuple[Any, Augmentation | None] | None = None
        self.targets = _named_classes(labels, labels_map, num_classes, ignore_index)

    # ------------------------------------------------------------------ datasets

    def load_data(self, data: FileInputs, dataset: AutoDataset) -> Any:
        """Learn the classes of train masks, in one pass, unless they are named."""
        stage = dataset.hooks.stage
        self.check_lost(stage)
        if data.targets is None:
            raise DataError(
                f"Expected a mask for every image of the {stage.value} data, but got none. Pass targets, or the folder "
                "of the masks."
            )
        data = self.check_inputs(data, dataset)
        if self.targets is None and not self.training:
            raise DataError(
                "Expected classes that were learned from train data, but there are none yet. Add train data, name them "
                "with labels=[...], or pass preprocess=task.preprocess of a task that was trained."
            )
        if self.training:
            if isinstance(self.augmentation, str):
                # An unknown name raises here rather than in the first batch.
                augmentations.get(self.augmentation, default_owner(self, "augmentation", self.augmentation))
            self.targets = self._learned(data, stage)
            for name, fact in self.targets.facts().items():
                setattr(dataset, name, fact)
        samples: Any = self.make_samples(data.sources, data.targets, stage)
        samples.source_rows = dataset.source_rows
        return samples

    def _learned(self, data: FileInputs, stage: Stage) -> MaskTargets:
        known: MaskTargets | None = self.targets
        # The samples of a dataset are read with their images.
        if known is not None and (known.counts is not None or isinstance(data.targets[0], DatasetSample)):
            return known

        def read(row: int) -> Any:
            name = source_name(data.targets[row], row, "mask", stage.value)
            mask = read_mask(data.targets[row], name, known is not None and known.are_colors)
            return mask if known is None else known.encode(mask, name, stage.value)

        def masks() -> Iterable[Any]:
            count = len(data.targets)
            bar = progress_bar("Reading train masks", count, shown=count > _SHOWN, unit="masks")
            # Decoders release the GIL. Some masks are read at a time, since those that wait are in memory.
            with bar as progress, ThreadPoolExecutor() as pool:
                for start in range(0, count, _AT_ONCE):
                    rows = range(start, min(start + _AT_ONCE, count))
                    yield from pool.map(read, rows)
                    progress.update(len(rows))

        return MaskTargets.learn(masks(), self.ignore_index) if known is None else known.counted(masks())

    def classes_to_split_by(self, inputs: Any) -> Any:  # masks do not stratify
        """Return an empty list: an image has pixels of several classes."""
        return []

    def check_inputs(self, inputs: Any, dataset: AutoDataset) -> Any:
        """Check that all files exist; with ``on_bad_sample="skip"``, also that images and masks can be decoded."""
        stage = dataset.hooks.stage
        if inputs.targets is None or inputs.on_bad_sample != "skip":
            checked = super().check_inputs(inputs, dataset)
            if checked.targets is not None:
                check_files_exist(checked.targets, stage.value, "mask")
            return checked
        if not inputs.deterministic:
            self.nondeterministic_stages |= {stage}
        rows: Sequence[int] = range(len(inputs))
        bad: list[tuple[str, str]] = []
        # First those whose image is damaged, then those whose mask is.
        for noun, attempt in (("image", self.try_sample), ("mask", _try_mask)):
            inputs, damaged, kept = without_damaged(inputs, attempt, noun, stage.value)
            bad, rows = bad + damaged, [rows[row] for row in kept]
            inputs = replace(inputs, sources=inputs.targets, targets=inputs.sources)
        vars(dataset)["bad_samples"] = bad
        if bad:
            dataset.keep_rows(rows)
        return inputs

    # ------------------------------------------------------------------ samples

    def load_sample(self, sample: FileSample, dataset: AutoDataset) -> Any:
        """Decode an image, and its mask as class indices."""
        source, mask = sample.source, sample.target
        if isinstance(source, DatasetSample):
            source, mask = source.read()
        image = open_image(source, name=sample.name)
        if sample.target is None:
            return image
        stage = dataset.hooks.stage.value
        name = f"the mask of {sample.name}" if not isinstance(mask, str | Path) else str(mask)
        values = upright_mask(
            read_mask(mask, name, self.targets.are_colors), image.size, orientation_of(source), sample.name
        )
        return image, to_tensor(self.targets.encode(values, name, stage))

    def to_tensor_transform(self, sample: Any) -> Any:
        """Transform an image with its mask, and resize the image to the network's size, and train masks too."""
        config, own = self.transforms.config, self._own
        if not isinstance(sample, tuple):
            picture = sample if own is None else transform_image(sample, *own)
            return self._fit(picture, config)
        image, mask = sample
        if own is not None:
            image, mask = augment(image, mask, own.function, own.argument)
        elif self.training and (augmentation := self._augmentation_for(config)) is not None:
            image, mask = augment(image, mask, augmentation)
        if self.training and self.resize == "tiles":
            return random_tile(image, mask, config)
        return self._fit(image, config), resize_mask(mask, config) if self.training else mask

    def _fit(self, image: Image.Image, config: ImageConfig) -> dict[str, Tensor]:
        return fit(image, config, self.resize, self.tile_overlap)

    def _augmentation_for(self, config: Any) -> Augmentation | None:
        if self._joint is None or self._joint[0] != config:
            prefer = default_owner(self, "augmentation", self.augmentation)
            self._joint = config, make_augmentation(self.augmentation, config, prefer)
        return self._joint[1]

    # ------------------------------------------------------------------ batches

    def collate(self, samples: Sequence[Any]) -> Any:
        """Return ``({"image": ..., "size": ...}, masks)``; masks of validation and test data are a list of tensors.

        ``image`` has the shape ``(batch, channels, height, width)``, and ``size`` height and width of the images
        before they were resized, shape ``(batch, 2)``; of images that were not squashed there is more, as
        :func:`flash.image.segmentation.sizing.fit` says. Train masks have the shape ``(batch, height, width)``, each of
        the others ``(1, height, width)`` in its own size.
        """
        inputs, masks = zip(*samples, strict=True)
        return self.predict_collate(inputs), torch.stack(masks) if self.training else [mask[None] for mask in masks]

    def predict_collate(self, samples: Sequence[Any]) -> dict[str, Tensor]:
        """Return ``{"image": ..., "size": ...}``."""
        return stack(samples)

    def per_batch_transform_on_device(self, batch: Any) -> Any:
        """Normalize the images of a batch, and mark the pixels of masks that never count by -100, as torch does."""
        if isinstance(batch, tuple | list):
            inputs, masks = batch
            return self._normalized_inputs(inputs), masked(masks)
        return self._normalized_inputs(batch)

    def _normalized_inputs(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {**inputs, "image": self._normalized(inputs["image"])}

    # ------------------------------------------------------------------ for a person

    def display(self, samples: Any, rows: Sequence[int]) -> Sequence[Display]:
        """Return the upright images before all transforms, at most 512 pixels wide and high."""
        found = []
        for row in rows:
            source, name = samples[row].source, samples[row].name
            found.append(thumbnail(source.read()[0] if isinstance(source, DatasetSample) else source, name))
        return found

    def display_inputs(self, inputs: Any) -> Sequence[Display]:
        """Return normalized images as they look, without their padding."""
        images: Any = super().display_inputs(inputs["image"])
        if "inside" not in inputs:
            return list(images)
        parts = inputs["inside"].tolist()
        return [image[:rows, :columns] for image, (rows, columns) in zip(images, parts, strict=True)]

    def display_targets(self, samples: Any, rows: Sequence[int]) -> None:  # masks are drawn
        """Return ``None``: masks are drawn over their images."""

    def pieces(self, samples: Any, row: int, most: int) -> Pieces | None:  # of no single result
        """Return ``None``: the importance of a patch is that to one result, and there is one per pixel."""
        return None

    def portable(self) -> Portable:
        """Return the inputs, uint8 images of a fixed size, or tiles of it, and how the encoder of files makes them."""
        config, own = self.transforms.config, self.own_transform(Stage.PREDICT)
        image = TensorSpec("uint8", ("batch", config.channels, config.height, config.width), values=256)
        if own is not None:
            return Portable({"image": image}, reason=f"images are made by the {own.argument} {describe(own.function)}")
        settings = {
            **fit_settings(config, self.resize, self.tile_overlap),
            "extensions": sorted(self.extensions),
            "tables": [] if self.input_field is None else list(encoder.TABLES),
            "input_field": self.input_field,
        }
        return Portable({"image": image}, encoder=encoder.__name__, settings=settings, requires=("Pillow",))

    # ------------------------------------------------------------------ determinism and state

    def is_deterministic(self, stage: Stage) -> bool:
        """Return whether batches of a stage are alike each time, with one mask size, so that features can be cached."""
        if stage in (Stage.VAL, Stage.TEST):
            # The cache has rows of one size; these masks have many.
            return False
        is_augmented = stage is Stage.TRAIN and (self.augmentation != "none" or self.resize == "tiles")
        is_known = not (self.own_transform(stage) or self.overrides_hooks(SemanticSegmentationPreprocess, stage))
        return is_known and not is_augmented and stage not in self.nondeterministic_stages

    def agrees_with(self, other: Preprocess) -> bool:
        """Return whether the classes are the same: each data module may have masks of other values for them."""
        labels = None if self.targets is None else self.targets.labels
        return isinstance(other, SemanticSegmentationPreprocess) and other.targets.labels == labels

    def state_dict(self) -> dict[str, Any]:
        """Return the classes and their values, and descriptions of the transforms."""
        learned = SamplePreprocess.state_dict(self)
        return {**learned, **self.described_transforms()} if learned else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the state of another preprocess.

        Raises:
            CheckpointError: If it had a transform for prediction, which no checkpoint can hold, and this one has none.
        """
        self._lost = lost_transforms(state, self.own_transform, type(self).__name__)
        SamplePreprocess.load_state_dict(self, state)


def masked(masks: Any) -> Any:
    """Return masks of class indices as targets: integers of 64 bits, -100 where a pixel does not count.

    Example:
        >>> masked(torch.tensor([[1, 255]], dtype=torch.uint8))
        tensor([[   1, -100]])
    """
    if isinstance(masks, list):
        return [masked(each) for each in masks]
    long = masks.long()
    return long.masked_fill_(long == IGNORED, NOT_COUNTED) if masks.dtype is torch.uint8 else masks


def _try_mask(source: Any, name: str) -> None:
    read_mask(source, name)


def _named_classes(
    labels: Sequence[Any] | None, labels_map: LabelsMap | None, num_classes: int | None, ignore: Any
) -> MaskTargets | None:
    if labels_map is not None and labels is not None:
        raise ConfigurationError("Expected labels or labels_map, whose keys are the names, but got both.")
    if num_classes is not None and (isinstance(num_classes, bool) or not isinstance(num_classes, int)):
        raise ConfigurationError(f"Expected num_classes to be a whole number, but got {num_classes!r}.")
    if labels_map is not None:
        found: MaskTargets | None = MaskTargets.of_map(labels_map, ignore)
    elif labels is not None or num_classes is not None:
        found = MaskTargets.of_labels(range(num_classes or 0) if labels is None else labels, ignore)
    else:
        found = None
    if found is not None and num_classes not in (None, len(found.labels)):
        raise ConfigurationError(
            f"Expected one name per class, but got {len(found.labels)} names for num_classes={num_classes}."
        )
    return found


class SemanticSegmentationPostprocess(Postprocess):
    """Save predicted masks as PNG files, with the colors of Pascal VOC as their palette.

    Args:
        save_path: The folder; masks are numbered in the order of the inputs.

    Example:
        >>> import tempfile
        >>> postprocess = SemanticSegmentationPostprocess(tempfile.mkdtemp())
        >>> postprocess.save_data([np.array([[0, 1]], dtype=np.uint8)])
        >>> np.asarray(Image.open(Path(postprocess.save_path, "0.png"))).tolist()
        [[0, 1]]
    """

    def suffix_of(self, sample: Any) -> str:
        """Return the suffix of the file of a result: of a mask ``.png``, of other outputs ``.pt``."""
        return ".png" if _is_mask(sample) else super().suffix_of(sample)

    def save_sample(self, sample: Any, path: str) -> None:
        """Save a mask as a PNG file of class indices, with a palette; another result as ``torch.save`` does."""
        if not _is_mask(sample):
            super().save_sample(sample, path)
            return
        save_mask(sample, path)


def save_mask(mask: Any, path: str | Path) -> None:
    """Write a mask of class indices as a PNG file, whose palette has the colors of Pascal VOC.

    Args:
        mask: uint8, shape ``(height, width)``.
        path: The file.
    """
    image = Image.fromarray(mask)
    image.putpalette([part for index in range(256) for part in voc_color(index)])
    with writing(path, what="mask", folder_argument="Postprocess(save_path=...)") as file:
        image.save(file, format="PNG")


def _is_mask(sample: Any) -> bool:
    return isinstance(sample, np.ndarray) and sample.dtype == np.uint8 and sample.ndim == 2

"""SemanticSegmentationData: images with masks, from folders, files, tables, memory and datasets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from flash.data.files import FileData, FileInputs
from flash.data.folders import is_path
from flash.data.inputs import SampleDataset, SampleInputs, Samples
from flash.data.recognition import RawData, Recognition, part_folders
from flash.data.stage import Stage, Stages
from flash.errors import DataError

from .._former import SEGMENTATION_DATA_ARGUMENTS
from ..annotated_folders import recognize_coco, subfolder
from ..files import image_files
from .coco import coco_inputs
from .dataset import dataset_inputs
from .masks import IGNORED
from .preprocess import SemanticSegmentationPostprocess, SemanticSegmentationPreprocess

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SemanticSegmentationData"]

Folder = str | Path | None
# The usual names of the folders of masks, in the order to look for them.
_MASK_FOLDERS = ("masks", "mask", "segmentations", "annotations", "labels", "targets")


class SemanticSegmentationData(FileData):
    """Data module of images with a mask each: the class of every pixel.

    A mask has the size of its image. It is an image of class indices (gray, or with a palette, whose colors do not
    matter), or with ``labels_map`` one of colors; an array or a tensor of whole numbers; or a file of one of these.
    Pixels of the value ``ignore_index``, 255 by default, never count.

    All constructors take, besides their data, the arguments of
    :class:`~flash.image.segmentation.preprocess.SemanticSegmentationPreprocess` (``labels_map``, ``augmentation``,
    ``image_size``, ...) or the ``preprocess`` of a trained task; ``on_bad_sample="skip"``, which skips images and masks
    that cannot be decoded; and the arguments of :class:`flash.DataModule` (``batch_size``, 8 by default,
    ``num_workers``, ``val_split``, ``seed``, ...).

    Example:
        >>> import numpy as np
        >>> images = np.zeros((4, 9, 12, 3), np.uint8)
        >>> masks = np.arange(4 * 9 * 12).reshape(4, 9, 12) % 3
        >>> dm = SemanticSegmentationData.from_numpy(images, masks, labels=["sky", "road", "tree"], batch_size=2)
        >>> dm.num_classes, dm.labels
        (3, ['sky', 'road', 'tree'])
    """

    preprocess_cls = SemanticSegmentationPreprocess
    postprocess_cls = SemanticSegmentationPostprocess
    former_arguments = SEGMENTATION_DATA_ARGUMENTS
    default_batch_size = 8

    @classmethod
    def recognize(
        cls,
        raw: RawData,
        target_fields: str | Sequence[str] | None = None,  # noqa: ARG003  # of the contract
    ) -> Recognition | None:
        """Recognize a folder with the folders ``images`` and ``masks``, or with images and one COCO file.

        Folders named ``train``, ``val`` and ``test`` may each have these.
        """
        if raw.folder is None:
            return None
        parts = part_folders(raw.folder)
        found = {part: _pair_in(folder) for part, folder in parts.items()}
        pairs = {part: pair for part, pair in found.items() if pair is not None}
        if not pairs:
            return recognize_coco(raw, "segmentation", "segments_info")
        if len(pairs) < len(found):
            return None
        arguments = {f"{part}_folder": str(images) for part, (images, _) in pairs.items()}
        arguments |= {f"{part}_target_folder": str(masks) for part, (_, masks) in pairs.items()}
        # More than that of two classes of images.
        return Recognition("from_folders", arguments, f"{parts['train']} has folders of images and of masks", 0.95)

    @classmethod
    def from_folders(  # type: ignore[override]  # folders of masks
        cls,
        train_folder: Folder = None,
        train_target_folder: Folder = None,
        val_folder: Folder = None,
        val_target_folder: Folder = None,
        test_folder: Folder = None,
        test_target_folder: Folder = None,
        predict_folder: Folder = None,
        **options: Any,
    ) -> Self:
        """Make a data module from folders of images, each with a folder of masks of the same names.

        The mask of ``train/a/1.jpg`` is ``masks/a/1.png``, whatever its suffix; folders are searched recursively.

        Args:
            train_folder: The images to train on.
            train_target_folder: Their masks.
            val_folder: Images to validate on.
            val_target_folder: Their masks.
            test_folder: Images to test on.
            test_target_folder: Their masks.
            predict_folder: Images to predict.
            options: The arguments of the class and of its preprocess.

        Raises:
            DataError: If an image has no mask or several, or a mask no image.
        """
        cls.check_options(options)
        given = Stages(
            (train_folder, train_target_folder),
            (val_folder, val_target_folder),
            (test_folder, test_target_folder),
            (predict_folder, None),
        )
        return cls.from_inputs(given.map(cls._paired), options)

    @classmethod
    def _paired(cls, stage: Stage, folders: tuple[Folder, Folder]) -> FileInputs | None:
        images, masks = folders
        if images is None and masks is None:
            return None
        if images is None or (masks is None and stage is not Stage.PREDICT):
            missing = f"{stage.value}_folder" if images is None else f"{stage.value}_target_folder"
            raise DataError(
                f"Expected {stage.value}_folder together with {stage.value}_target_folder, but {missing} is missing."
            )
        files = image_files(images)
        return FileInputs(files) if masks is None else FileInputs(files, _masks_of(files, Path(images), Path(masks)))

    @classmethod
    def from_images(
        cls,
        train_images: Samples | None = None,
        train_targets: Samples | None = None,
        val_images: Samples | None = None,
        val_targets: Samples | None = None,
        test_images: Samples | None = None,
        test_targets: Samples | None = None,
        predict_images: Samples | None = None,
        **options: Any,
    ) -> Self:
        """Make a data module from images in memory with their masks: PIL images, arrays, tensors, or bytes of files.

        The arguments are those of ``from_files``, with images in place of paths.
        """
        return cls.from_lists(
            train_images, train_targets, val_images, val_targets, test_images, test_targets, predict_images, **options
        )

    @classmethod
    def from_coco(
        cls,
        train_folder: Folder = None,
        train_ann_file: Folder = None,
        val_folder: Folder = None,
        val_ann_file: Folder = None,
        test_folder: Folder = None,
        test_ann_file: Folder = None,
        predict_folder: Folder = None,
        train_target_folder: Folder = None,
        val_target_folder: Folder = None,
        test_target_folder: Folder = None,
        **options: Any,
    ) -> Self:
        """Make a data module from folders of images, each with a COCO file: of objects, or a panoptic one.

        Of polygons and run lengths of objects, the classes are ``"background"``, where no object is, and the categories
        in the order of their ids. Where objects overlap, the smaller one counts. Of panoptic files, with
        ``segments_info`` and a PNG file of ids for each image, the classes are the categories, and pixels without a
        segment do not count.

        Args:
            train_folder: The folder with the images to train on.
            train_ann_file: The JSON file with their objects, such as ``instances_train.json``.
            val_folder: Images to validate on.
            val_ann_file: Their objects.
            test_folder: Images to test on.
            test_ann_file: Their objects.
            predict_folder: Images to predict.
            train_target_folder: The masks of a panoptic file; by default the folder beside it that has its name, such
                as ``panoptic_train`` of ``panoptic_train.json``.
            val_target_folder: The same for validation.
            test_target_folder: The same for testing.
            options: The arguments of the class and of its preprocess, but for ``labels_map`` and ``num_classes``;
                ``labels`` are the classes without the background, by default those of the first file.

        Raises:
            DataError: If a file is not a COCO file, refers to a missing image, mask or category, or an object has no
                shape.
        """
        cls.check_options(options)
        given = Stages(
            (train_folder, train_ann_file, train_target_folder),
            (val_folder, val_ann_file, val_target_folder),
            (test_folder, test_ann_file, test_target_folder),
            None,
        )
        preprocess = options.get("preprocess")
        ignored = options.get("ignore_index", IGNORED) if preprocess is None else preprocess.targets.ignore
        inputs, labels = coco_inputs(
            given,
            options.pop("labels", None) if preprocess is None else None,
            None if preprocess is None else preprocess.targets.labels,
            ignored if isinstance(ignored, int) else IGNORED,
        )
        if preprocess is None and labels is not None:
            options["labels"] = labels
        predicted = None if predict_folder is None else FileInputs(image_files(predict_folder))
        return cls.from_inputs(replace(inputs, predict=predicted), options)

    @classmethod
    def from_datasets(  # type: ignore[override]  # the options are named
        cls,
        train_dataset: SampleDataset | None = None,
        val_dataset: SampleDataset | None = None,
        test_dataset: SampleDataset | None = None,
        predict_dataset: SampleDataset | None = None,
        *,
        input_field: str | None = None,
        target_fields: str | None = None,
        **options: Any,
    ) -> Self:
        """Make a data module from torch or Hugging Face datasets, of ``(image, mask)`` or of dicts.

        A sample is read once, so that a dataset may transform an image and its mask together.

        Args:
            train_dataset: Samples to train on. Without ``labels``, ``labels_map`` or ``num_classes`` all of them are
                read once to find the classes.
            val_dataset: Samples to validate on.
            test_dataset: Samples to test on.
            predict_dataset: Samples to predict; they may also be images without masks.
            input_field: The key of images in dicts; by default ``image`` or ``img``.
            target_fields: The key of masks in dicts; by default ``mask``, ``annotation``, ``label``, ...
            options: The arguments of the class and of its preprocess.

        Raises:
            DataError: If a dataset has no length, or its samples have another form.
            MissingColumnError: If dicts lack a key.
        """
        cls.check_options(options)
        datasets = Stages(train_dataset, val_dataset, test_dataset, predict_dataset)
        preprocess = cls.preprocess_cls
        inputs = datasets.map(
            lambda stage, dataset: dataset_inputs(
                *(dataset, input_field, target_fields, stage),
                keys=tuple(preprocess.dataset_fields),
                libraries=preprocess.dataset_libraries,
            )
        )
        return cls.from_inputs(inputs, options)

    @classmethod
    def with_sources(cls, inputs: SampleInputs, stage: Stage, root: Path | None = None) -> Any:
        """Return inputs whose relative paths, of images and masks, are joined to a folder."""
        found = super().with_sources(inputs, stage, root)
        if root is None or not isinstance(found.targets, list | tuple):
            return found
        return replace(found, targets=[root / each if is_path(each) else each for each in found.targets])

    # ------------------------------------------------------------------ figures

    def show_batch(self, stage: str = "train", count: int = 9) -> Figure:
        """Draw images of a stage after augmentation, with their masks over them.

        Args:
            stage: ``"train"``, ``"val"``, ``"test"`` or ``"predict"``.
            count: The number of images; they are drawn at random with the data module's ``seed``.

        Returns:
            A matplotlib figure; ``figure.savefig("batch.png")`` saves it.
        """
        from .plots import draw_masks

        return draw_masks(self, stage, count)


def _pair_in(folder: Path) -> tuple[Path, Path] | None:
    """Return the folder of images in a folder, with that of their masks."""
    images, masks = subfolder(folder), subfolder(folder, *_MASK_FOLDERS)
    return None if images is None or masks is None else (images, masks)


def _masks_of(files: Sequence[Path], images: Path, masks: Path) -> list[Path]:
    """Return the mask of each image, by its path in the folder without the suffix."""
    root, there = images.expanduser(), masks.expanduser()
    by_name: dict[str, list[Path]] = {}
    for mask in image_files(masks):
        by_name.setdefault(mask.relative_to(there).with_suffix("").as_posix(), []).append(mask)
    names = [file.relative_to(root).with_suffix("").as_posix() for file in files]
    without = [file for file, name in zip(files, names, strict=True) if name not in by_name]
    if without:
        raise DataError(
            f"Expected a mask in {masks} for each image of {images}, but {len(without)} of {len(files)} have none, "
            f"such as {without[0]}. A mask has the name of its image, with any suffix; or pass lists to from_files."
        )
    several = next((by_name[name] for name in names if len(by_name[name]) > 1), None)
    if several is not None:
        raise DataError(
            f"Expected one mask for each image, but got {' and '.join(map(str, several))}. Remove all but one."
        )
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise DataError(f"Expected images of different names in {images}, but {twice} is there twice. Rename one.")
    left = sorted(by_name.keys() - set(names))
    if left:
        raise DataError(
            f"Expected an image in {images} for each mask of {masks}, but {len(left)} of {len(by_name)} masks have "
            f"none, such as {by_name[left[0]][0]}. Remove them, or pass lists to from_files."
        )
    return [by_name[name][0] for name in names]

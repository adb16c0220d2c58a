"""InstanceSegmentationData: images with a mask per object, from COCO, files and memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typing_extensions import Self, Unpack

from flash.data.inputs import Samples
from flash.data.recognition import RawData, Recognition

from ..annotated_folders import recognize_coco
from ..detection.data import AnnotatedImageData, DetectionOptions, class_per_object, each_image, read_pairs
from ..detection.preprocess import DetectionInputs
from .images import SegmentedImage, read_coco_instances, read_instances
from .preprocess import InstanceSegmentationPreprocess

__all__ = ["InstanceSegmentationData"]

Folder = str | Path | None
Images = Sequence[Any] | None


class InstanceSegmentationData(AnnotatedImageData):
    """Data module of images, each with any number of objects that have a mask and a class.

    Masks have the size of their image, upright or as it is stored. Objects without a pixel in it are dropped. Images
    without objects are kept as negative samples. Crowds are ignored in training and in metrics.
    """

    preprocess_cls = InstanceSegmentationPreprocess

    @classmethod
    def recognize(
        cls,
        raw: RawData,
        target_fields: str | Sequence[str] | None = None,  # noqa: ARG003  # of the contract
    ) -> Recognition | None:
        """Recognize a folder with images and one COCO file of polygons or run lengths.

        Folders named ``train``, ``val`` and ``test`` may each have these.
        """
        return recognize_coco(raw, "segmentation")

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
        **options: Unpack[DetectionOptions],
    ) -> Self:
        """Make a data module from folders of images, each with a COCO file of polygons or run lengths.

        Args:
            train_folder: The folder with the images to train on.
            train_ann_file: The JSON file with their objects, such as ``instances_train.json``.
            val_folder: Images to validate on.
            val_ann_file: Their objects.
            test_folder: Images to test on.
            test_ann_file: Their objects.
            predict_folder: Images to predict.
            options: As for :class:`~flash.image.detection.data.ObjectDetectionData`.

        Raises:
            DataError: If a file is not a COCO file, or refers to a missing image or category.
        """
        cls.check_arguments(options, DetectionOptions.__annotations__)
        pairs = {"train": (train_folder, train_ann_file), "val": (val_folder, val_ann_file)}
        inputs = read_pairs({**pairs, "test": (test_folder, test_ann_file)}, _read_coco)
        return cls._of(inputs, predict_folder, **options)

    @classmethod
    def from_files(
        cls,
        train_files: Images = None,
        train_targets: Images = None,
        train_masks: Images = None,
        val_files: Images = None,
        val_targets: Images = None,
        val_masks: Images = None,
        test_files: Images = None,
        test_targets: Images = None,
        test_masks: Images = None,
        predict_files: Samples | None = None,
        **options: Unpack[DetectionOptions],
    ) -> Self:
        """Make a data module from image files, with the classes and the masks of the objects in each.

        Args:
            train_files: Paths of images to train on.
            train_targets: The classes of the objects: a list per file.
            train_masks: Their masks, per file as for :func:`flash.image.instances.images.read_instances`: an array of
                shape ``(objects, height, width)``, or an image whose pixels are 0 or the number of an object.
            val_files: Images to validate on.
            val_targets: Their classes.
            val_masks: Their masks.
            test_files: Images to test on.
            test_targets: Their classes.
            test_masks: Their masks.
            predict_files: Images to predict.
            options: As for :meth:`from_coco`.

        Raises:
            DataError: If there are not as many targets and masks as files, or masks do not fit.
        """
        cls.check_arguments(options, DetectionOptions.__annotations__)
        given = {
            "train": (train_files, train_targets, train_masks),
            "val": (val_files, val_targets, val_masks),
            "test": (test_files, test_targets, test_masks),
        }
        inputs = {}
        for stage, parts in given.items():
            if any(part is not None for part in parts):
                inputs[stage] = DetectionInputs(_segmented(stage, *parts))
        return cls._of(inputs, predict_files, **options)

    @classmethod
    def from_images(
        cls,
        train_images: Images = None,
        train_targets: Images = None,
        train_masks: Images = None,
        val_images: Images = None,
        val_targets: Images = None,
        val_masks: Images = None,
        test_images: Images = None,
        test_targets: Images = None,
        test_masks: Images = None,
        predict_images: Samples | None = None,
        **options: Unpack[DetectionOptions],
    ) -> Self:
        """Make a data module from PIL images, arrays or tensors; other arguments are those of :meth:`from_files`.

        Example:
            >>> import numpy as np
            >>> numbers = np.zeros((20, 30), np.uint8)
            >>> numbers[2:9, 3:8], numbers[10:15, 20:29] = 1, 2
            >>> dm = InstanceSegmentationData.from_images(
            ...     train_images=[np.zeros((20, 30, 3), np.uint8)],
            ...     train_targets=[["cat", "dog"]],
            ...     train_masks=[numbers],
            ... )
            >>> dm.train_dataset[0][1]["boxes"]
            tensor([[ 3.,  2.,  8.,  9.],
                    [20., 10., 29., 15.]])
        """
        train = (train_images, train_targets, train_masks)
        val = (val_images, val_targets, val_masks)
        return cls.from_files(*train, *val, test_images, test_targets, test_masks, predict_images, **options)


def _read_coco(folder: str | Path, ann_file: str | Path) -> DetectionInputs:
    return DetectionInputs(*read_coco_instances(folder, ann_file))


def _segmented(stage: str, sources: Images, targets: Images, masks: Images) -> list[SegmentedImage]:
    return [
        read_instances(source, class_per_object(labels, name), drawn, name)
        for name, source, labels, drawn in each_image(stage, sources, targets, masks, "masks", "objects")
    ]

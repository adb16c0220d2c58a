"""KeypointDetectionData: images with the points of each object, from COCO, files and memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import Self, Unpack

from flash.data.inputs import Samples
from flash.data.recognition import RawData, Recognition
from flash.errors import DataError

from ..annotated_folders import recognize_coco
from ..detection.boxes import BoxFormat
from ..detection.data import AnnotatedImageData, DetectionOptions, class_per_object, each_image, read_pairs
from ..detection.preprocess import DetectionInputs
from .images import KeypointImage, read_coco_keypoints, read_objects
from .names import Keypoints
from .preprocess import KeypointDetectionPreprocess, KeypointInputs

__all__ = ["KeypointDetectionData", "KeypointOptions"]

Folder = str | Path | None
Images = Sequence[Any] | None


class KeypointOptions(DetectionOptions, total=False):
    """The options that every constructor takes besides its data."""

    #: The names of the points, in order; by default those in the train data, or their number there.
    keypoints: Keypoints | None
    #: The pairs of points between which figures draw lines, by name or by number from 0.
    skeleton: Sequence[Any] | None


class KeypointDetectionData(AnnotatedImageData):
    """Data module of images, each with any number of objects that have a class and the same points.

    Points are in pixels, as the edges of boxes. They move with their images in augmentations; where an image is
    mirrored, the left and the right point of each pair change places, which their names tell. Objects whose box has no
    area in the image are dropped; points outside it count as not annotated. Images without objects are kept as negative
    samples. Crowds are ignored in training and in metrics.
    """

    preprocess_cls = KeypointDetectionPreprocess
    preprocess_options: ClassVar[tuple[str, ...]] = ("augmentation", "labels", "keypoints", "skeleton")

    @classmethod
    def recognize(
        cls,
        raw: RawData,
        target_fields: str | Sequence[str] | None = None,  # noqa: ARG003  # of the contract
    ) -> Recognition | None:
        """Recognize a folder with images and one COCO file of keypoints.

        Folders named ``train``, ``val`` and ``test`` may each have these.
        """
        return recognize_coco(raw, "keypoints")

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
        **options: Unpack[KeypointOptions],
    ) -> Self:
        """Make a data module from folders of images, each with a COCO file of keypoints.

        The names of the points and the lines between them are those of the file's categories.

        Args:
            train_folder: The folder with the images to train on.
            train_ann_file: The JSON file with their objects, such as ``person_keypoints_train.json``.
            val_folder: Images to validate on.
            val_ann_file: Their objects.
            test_folder: Images to test on.
            test_ann_file: Their objects.
            predict_folder: Images to predict.
            options: As in :class:`KeypointOptions`, and as for
                :class:`~flash.image.detection.data.ObjectDetectionData`.

        Raises:
            DataError: If a file is not a COCO file, refers to a missing image or category, or points are malformed.
        """
        cls.check_arguments(options, KeypointOptions.__annotations__)
        pairs = {"train": (train_folder, train_ann_file), "val": (val_folder, val_ann_file)}
        inputs = read_pairs({**pairs, "test": (test_folder, test_ann_file)}, _read_coco)
        return cls._of(inputs, predict_folder, **options)

    @classmethod
    def from_files(
        cls,
        train_files: Images = None,
        train_targets: Images = None,
        train_keypoints: Images = None,
        val_files: Images = None,
        val_targets: Images = None,
        val_keypoints: Images = None,
        test_files: Images = None,
        test_targets: Images = None,
        test_keypoints: Images = None,
        predict_files: Samples | None = None,
        *,
        train_bboxes: Images = None,
        val_bboxes: Images = None,
        test_bboxes: Images = None,
        bbox_format: BoxFormat = "xyxy",
        **options: Unpack[KeypointOptions],
    ) -> Self:
        """Make a data module from image files, with the classes and the points of the objects in each.

        Args:
            train_files: Paths of images to train on.
            train_targets: The classes of the objects: a list per file.
            train_keypoints: Their points, per file an array of shape ``(objects, points, 2)``, x and y in pixels, or
                ``(objects, points, 3)`` with a visibility: 0 for a point that is not annotated, 1 for one that is
                hidden, 2 for one that can be seen. A point with NaN is not annotated.
            val_files: Images to validate on.
            val_targets: Their classes.
            val_keypoints: Their points.
            test_files: Images to test on.
            test_targets: Their classes.
            test_keypoints: Their points.
            predict_files: Images to predict.
            train_bboxes: The boxes of the objects, a list per file; by default boxes around their points, larger by a
                tenth of the longer side on each side.
            val_bboxes: The same for validation.
            test_bboxes: The same for testing.
            bbox_format: As for :class:`~flash.image.detection.data.ObjectDetectionData`.
            options: As for :meth:`from_coco`.

        Raises:
            DataError: If there are not as many targets and points as files, or points do not fit.
        """
        cls.check_arguments(options, KeypointOptions.__annotations__)
        given = {
            "train": (train_files, train_targets, train_keypoints, train_bboxes),
            "val": (val_files, val_targets, val_keypoints, val_bboxes),
            "test": (test_files, test_targets, test_keypoints, test_bboxes),
        }
        inputs = {}
        for stage, parts in given.items():
            if any(part is not None for part in parts):
                inputs[stage] = KeypointInputs(_annotated(stage, *parts, bbox_format))
        return cls._of(inputs, predict_files, **options)

    @classmethod
    def from_images(
        cls,
        train_images: Images = None,
        train_targets: Images = None,
        train_keypoints: Images = None,
        val_images: Images = None,
        val_targets: Images = None,
        val_keypoints: Images = None,
        test_images: Images = None,
        test_targets: Images = None,
        test_keypoints: Images = None,
        predict_images: Samples | None = None,
        *,
        train_bboxes: Images = None,
        val_bboxes: Images = None,
        test_bboxes: Images = None,
        bbox_format: BoxFormat = "xyxy",
        **options: Unpack[KeypointOptions],
    ) -> Self:
        """Make a data module from PIL images, arrays or tensors; other arguments are those of :meth:`from_files`.

        Example:
            >>> import numpy as np
            >>> dm = KeypointDetectionData.from_images(
            ...     train_images=[np.zeros((40, 40, 3), np.uint8)],
            ...     train_targets=[["cat"]],
            ...     train_keypoints=[[[[10, 20], [30, 24]]]],
            ...     keypoints=["left_ear", "right_ear"],
            ... )
            >>> dm.train_dataset[0][1]["boxes"]
            tensor([[ 8., 18., 32., 26.]])
        """
        train = (train_images, train_targets, train_keypoints)
        val = (val_images, val_targets, val_keypoints)
        test = (test_images, test_targets, test_keypoints)
        boxes: dict[str, Any] = {"train_bboxes": train_bboxes, "val_bboxes": val_bboxes, "test_bboxes": test_bboxes}
        return cls.from_files(*train, *val, *test, predict_images, **boxes, bbox_format=bbox_format, **options)


def _read_coco(folder: str | Path, ann_file: str | Path) -> DetectionInputs:
    images, labels, keypoints, skeleton = read_coco_keypoints(folder, ann_file)
    return KeypointInputs(images, labels, keypoints=keypoints, skeleton=skeleton)


def _annotated(
    stage: str, sources: Images, targets: Images, points: Images, boxes: Images, bbox_format: BoxFormat
) -> list[KeypointImage]:
    images = list(each_image(stage, sources, targets, points, "keypoints", "objects"))
    if boxes is not None and len(boxes) != len(images):
        raise DataError(
            f"Expected as many lists of boxes as images in the {stage} data, but got {len(boxes)} for {len(images)} "
            f"images. Leave out {stage}_bboxes for boxes around the points."
        )
    own_boxes = [None] * len(images) if boxes is None else boxes
    return [
        read_objects(source, class_per_object(labels, name), of_objects, own, name, bbox_format)
        for (name, source, labels, of_objects), own in zip(images, own_boxes, strict=True)
    ]

"""ObjectDetectionData: images with boxes, from COCO and Pascal VOC, files, memory and datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

from typing_extensions import Self, Unpack

from flash import DataModule, Postprocess, Preprocess
from flash.data.files import OnBadSample
from flash.data.folders import check_files_exist
from flash.data.inputs import SampleDataset, Samples
from flash.data.loader import SamplerSpec
from flash.data.recognition import RawData, Recognition
from flash.data.splits import GroupSpec
from flash.errors import ConfigurationError, DataError

from .._former import DETECTION_DATA_ARGUMENTS
from ..annotated_folders import recognize_coco, recognize_voc
from ..files import image_files
from .augmentations import Augmentation
from .boxes import AnnotatedImage, BoxFormat, read_boxes
from .coco import is_pair, read_coco
from .dataset import LazyAnnotations, labels_of
from .exif import upright_size
from .preprocess import DetectionInputs, ObjectDetectionPreprocess
from .voc import read_voc

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "AnnotatedImageData",
    "DetectionOptions",
    "ObjectDetectionData",
    "class_per_object",
    "each_image",
    "read_pairs",
]

Folder = str | Path | None
Images = Sequence[Any] | None


class DetectionOptions(TypedDict, total=False):
    """The options that every constructor takes besides its data."""

    #: For training: ``"none"``, ``"flip"``, or a torchvision v2 transform of an image with its boxes.
    augmentation: str | Augmentation
    #: The names of the classes, in order; by default those in the train data.
    labels: Sequence[Any] | None
    #: ``"error"`` raises for an image that cannot be decoded; ``"skip"`` checks all images first, and skips bad ones.
    on_bad_sample: OnBadSample
    #: The preprocess of a trained task, with its classes, in place of ``augmentation`` and ``labels``.
    preprocess: Preprocess | None
    postprocess: Postprocess | None
    #: Images per batch; by default 4.
    batch_size: int
    num_workers: int
    val_split: float | None
    #: The fraction of train images that are taken for testing before those of ``val_split``.
    test_split: float | None
    #: Images that the splits must not divide, such as those of one video: one group per image.
    groups: GroupSpec | None
    #: The time of each image, by which the splits take the latest ones.
    times: GroupSpec | None
    seed: int | None
    sampler: SamplerSpec
    pin_memory: bool | None
    persistent_workers: bool


class AnnotatedImageData(DataModule):
    """Base of data modules of images, each with any number of objects that have a box and a class."""

    preprocess_cls = ObjectDetectionPreprocess
    former_arguments = DETECTION_DATA_ARGUMENTS
    #: The options that are arguments of the preprocess.
    preprocess_options: ClassVar[tuple[str, ...]] = ("augmentation", "labels")

    @classmethod
    def _of(cls, inputs: Mapping[str, DetectionInputs], predict: Any, **options: Any) -> Self:
        own = {name: options.pop(name) for name in cls.preprocess_options if name in options}
        preprocess = options.pop("preprocess", None)
        if preprocess is not None and own:
            raise ConfigurationError(
                f"Expected a preprocess or options for one, but got both: preprocess and {', '.join(own)}. Leave "
                "out one of the two."
            )
        on_bad_sample = options.pop("on_bad_sample", "error")
        given: dict[str, Any] = {
            f"{stage}_load_data_input": replace(data, on_bad_sample=on_bad_sample) for stage, data in inputs.items()
        }
        if isinstance(predict, str | Path):
            predict = image_files(predict)
        return cls.from_load_data_inputs(
            **given,
            predict_load_data_input=predict,
            preprocess=cls.preprocess_cls(**own) if preprocess is None else preprocess,
            **{"batch_size": 4, **options},
        )

    # ------------------------------------------------------------------ figures

    def show_batch(self, stage: str = "train", count: int = 9) -> Figure:
        """Draw images of a stage after augmentation, with their boxes.

        Args:
            stage: ``"train"``, ``"val"`` or ``"test"``.
            count: The number of images; they are drawn at random with the data module's ``seed``.

        Returns:
            A matplotlib figure; ``figure.savefig("batch.png")`` saves it.
        """
        from .plots import draw_batch

        return draw_batch(self, stage, count)

    def plot_predictions(self, task: Any, stage: str = "val", count: int = 9, max_images: int | None = 64) -> Figure:
        """Draw predicted and true boxes, the images with most false negatives and false positives first.

        Args:
            task: A trained :class:`~flash.image.ObjectDetector`.
            stage: ``"val"``, ``"train"`` or ``"test"``.
            count: The number of images to draw.
            max_images: The maximum number of images to predict, from which they are chosen; ``None`` for all.

        Returns:
            A matplotlib figure; ``figure.savefig("predictions.png")`` saves it.
        """
        figure: Figure = task.plot_predictions(self, stage, count, max_images)
        return figure


class ObjectDetectionData(AnnotatedImageData):
    """Data module of images, each with any number of boxes with a class.

    Boxes are in pixels of the upright image. If the size in the annotation is that of the stored image, and EXIF
    rotates it, its boxes are rotated too. Boxes are clipped to their image; those without an area in it are dropped.
    Images without boxes are kept as negative samples. Crowd boxes are ignored in training and in metrics.
    """

    @classmethod
    def recognize(
        cls,
        raw: RawData,
        target_fields: str | Sequence[str] | None = None,  # noqa: ARG003  # of the contract
    ) -> Recognition | None:
        """Recognize a folder with images and one COCO file of boxes, or one of Pascal VOC.

        Folders named ``train``, ``val`` and ``test`` may each have these.
        """
        return recognize_voc(raw) or recognize_coco(raw, "bbox")

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
        """Make a data module from folders of images, each with a COCO file (https://cocodataset.org/#format-data).

        Args:
            train_folder: The folder with the images to train on.
            train_ann_file: The JSON file with their boxes, such as ``instances_train.json``.
            val_folder: Images to validate on.
            val_ann_file: Their boxes.
            test_folder: Images to test on.
            test_ann_file: Their boxes.
            predict_folder: Images to predict.
            options: As in :class:`DetectionOptions`: ``augmentation``, ``labels``, ``on_bad_sample``, ``batch_size``,
                ``num_workers``, ``val_split``, ...

        Raises:
            DataError: If a file is not a COCO file, or refers to a missing image or category.
        """
        cls.check_arguments(options, DetectionOptions.__annotations__)
        pairs = {"train": (train_folder, train_ann_file), "val": (val_folder, val_ann_file)}
        inputs = read_pairs({**pairs, "test": (test_folder, test_ann_file)}, _read_coco)
        return cls._of(inputs, predict_folder, **options)

    @classmethod
    def from_voc(
        cls,
        train_folder: Folder = None,
        val_folder: Folder = None,
        test_folder: Folder = None,
        predict_folder: Folder = None,
        *,
        train_image_set: str | None = None,
        val_image_set: str | None = None,
        test_image_set: str | None = None,
        **options: Unpack[DetectionOptions],
    ) -> Self:
        """Make a data module from folders in Pascal VOC format: ``Annotations`` and ``JPEGImages``.

        Args:
            train_folder: The folder to train on; its images and XML files may also lie side by side.
            val_folder: The folder to validate on; it may be the same one, with another image set.
            test_folder: The folder to test on.
            predict_folder: A folder of images to predict.
            train_image_set: The name of a file in ``ImageSets/Main`` that lists the images, such as ``"train"``; by
                default all images.
            val_image_set: The same for validation.
            test_image_set: The same for testing.
            options: As for :meth:`from_coco`.

        Raises:
            DataError: If an XML file cannot be parsed or is not safe to read, or an image is missing.
        """
        cls.check_arguments(options, DetectionOptions.__annotations__)
        folders = {
            "train": (train_folder, train_image_set),
            "val": (val_folder, val_image_set),
            "test": (test_folder, test_image_set),
        }
        inputs = {
            stage: DetectionInputs(read_voc(folder, image_set))
            for stage, (folder, image_set) in folders.items()
            if folder is not None
        }
        return cls._of(inputs, predict_folder, **options)

    @classmethod
    def from_files(
        cls,
        train_files: Images = None,
        train_targets: Images = None,
        train_bboxes: Images = None,
        val_files: Images = None,
        val_targets: Images = None,
        val_bboxes: Images = None,
        test_files: Images = None,
        test_targets: Images = None,
        test_bboxes: Images = None,
        predict_files: Samples | None = None,
        *,
        bbox_format: BoxFormat = "xyxy",
        **options: Unpack[DetectionOptions],
    ) -> Self:
        """Make a data module from image files, with a list of boxes and a list of classes per file.

        Args:
            train_files: Paths of images to train on.
            train_targets: The classes of the boxes: a list per file.
            train_bboxes: The boxes in pixels: a list per file, which may be empty.
            val_files: Images to validate on.
            val_targets: Their classes.
            val_bboxes: Their boxes.
            test_files: Images to test on.
            test_targets: Their classes.
            test_bboxes: Their boxes.
            predict_files: Images to predict.
            bbox_format: ``"xyxy"`` for left, top, right, bottom; ``"xywh"`` for left, top, width, height. Not needed
                for dicts with ``xmin``, ``ymin`` and either ``xmax`` and ``ymax`` or ``width`` and ``height``.
            options: As for :meth:`from_coco`.

        Raises:
            DataError: If there are not as many targets and boxes as files, or a box is malformed.
        """
        cls.check_arguments(options, DetectionOptions.__annotations__)
        given = {
            "train": (train_files, train_targets, train_bboxes),
            "val": (val_files, val_targets, val_bboxes),
            "test": (test_files, test_targets, test_bboxes),
        }
        inputs = {}
        for stage, parts in given.items():
            if any(part is not None for part in parts):
                inputs[stage] = DetectionInputs(_annotated(stage, *parts, bbox_format))
        return cls._of(inputs, predict_files, **options)

    @classmethod
    def from_images(
        cls,
        train_images: Images = None,
        train_targets: Images = None,
        train_bboxes: Images = None,
        val_images: Images = None,
        val_targets: Images = None,
        val_bboxes: Images = None,
        test_images: Images = None,
        test_targets: Images = None,
        test_bboxes: Images = None,
        predict_images: Samples | None = None,
        *,
        bbox_format: BoxFormat = "xyxy",
        **options: Unpack[DetectionOptions],
    ) -> Self:
        """Make a data module from PIL images, arrays or tensors; other arguments are those of :meth:`from_files`.

        Example:
            >>> import numpy as np
            >>> dm = ObjectDetectionData.from_images(
            ...     train_images=[np.zeros((20, 30, 3), np.uint8)] * 2,
            ...     train_targets=[["cat", "dog"], []],
            ...     train_bboxes=[[[0, 0, 9, 9], [10, 10, 30, 20]], []],
            ... )
            >>> dm.num_classes, dm.labels
            (2, ['cat', 'dog'])
        """
        train = (train_images, train_targets, train_bboxes)
        val = (val_images, val_targets, val_bboxes)
        test = (test_images, test_targets, test_bboxes)
        return cls.from_files(*train, *val, *test, predict_images, bbox_format=bbox_format, **options)

    @classmethod
    def from_datasets(  # type: ignore[override]  # the options are named
        cls,
        train_dataset: SampleDataset | None = None,
        val_dataset: SampleDataset | None = None,
        test_dataset: SampleDataset | None = None,
        predict_dataset: SampleDataset | None = None,
        *,
        bbox_format: BoxFormat = "xyxy",
        **options: Unpack[DetectionOptions],
    ) -> Self:
        """Make a data module from datasets whose samples are an image with a dict of ``boxes`` and ``labels``.

        Args:
            train_dataset: Samples ``(image, {"boxes": ..., "labels": ...})``, or dicts with ``image``, ``boxes`` and
                ``labels``.
            val_dataset: The same for validation.
            test_dataset: The same for testing.
            predict_dataset: Images.
            bbox_format: As for :meth:`from_files`.
            options: As for :meth:`from_coco`. ``labels`` are the names of the classes in the order of their indices,
                which start from 0; by default ``train_dataset.classes``.

        Raises:
            DataError: If the names of the classes are unknown.
        """
        cls.check_arguments(options, DetectionOptions.__annotations__)
        labels = options.get("labels")
        known = list(labels) if labels is not None else labels_of(train_dataset)
        datasets = {"train": train_dataset, "val": val_dataset, "test": test_dataset}
        inputs = {
            stage: DetectionInputs(LazyAnnotations(dataset, known, bbox_format), known)
            for stage, dataset in datasets.items()
            if dataset is not None
        }
        return cls._of(inputs, predict_dataset, **options)


def read_pairs(
    pairs: Mapping[str, tuple[Folder, Folder]], read: Callable[[Any, Any], DetectionInputs]
) -> dict[str, DetectionInputs]:
    """Return the images of each stage that has a folder of images and a file of annotations.

    Args:
        pairs: The folder and the file of each stage.
        read: Returns the images of a folder and a file.

    Raises:
        DataError: If there is a folder without a file, or a file without a folder.
    """
    return {stage: read(*pair) for stage, pair in pairs.items() if is_pair(stage, *pair)}


def _read_coco(folder: str | Path, ann_file: str | Path) -> DetectionInputs:
    return DetectionInputs(*read_coco(folder, ann_file))


def each_image(
    stage: str, sources: Images, targets: Images, parts: Images, noun: str, nothing: str
) -> Iterator[tuple[str, Any, Any, Any]]:
    """Yield the name of each image of a stage, the image, the classes of its objects, and their boxes or masks.

    Args:
        stage: The name of the stage.
        sources: The images.
        targets: The classes of the objects, a list per image.
        parts: What there is of the objects besides, per image.
        noun: What that is, such as ``"masks"``.
        nothing: What an image may be without, such as ``"objects"``.

    Raises:
        DataError: If there are not as many of each, or a file does not exist.
    """
    given = (sources, targets, parts)
    if sources is None or targets is None or parts is None or not len(sources) == len(targets) == len(parts):
        counts = ", ".join("none" if part is None else str(len(part)) for part in given)
        raise DataError(
            f"Expected as many lists of targets and of {noun} as images in the {stage} data, but got {counts}. Pass "
            f"empty lists for an image without {nothing}."
        )
    check_files_exist(sources, stage, "image")
    for row, (source, labels, part) in enumerate(zip(sources, targets, parts, strict=True)):
        yield (
            str(source) if isinstance(source, str | Path) else f"image {row} of the {stage} data",
            source,
            labels,
            part,
        )


def class_per_object(labels: Any, name: str) -> list[Any]:
    """Return the classes of the objects in an image as a list.

    Raises:
        DataError: If it is one class.
    """
    if isinstance(labels, str) or not hasattr(labels, "__len__"):
        raise DataError(f"Expected a list of classes, one per object, for {name}, but got {labels!r}.")
    classes: list[Any] = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    return classes


def _annotated(
    stage: str, sources: Images, targets: Images, bboxes: Images, bbox_format: BoxFormat
) -> list[AnnotatedImage]:
    annotated = []
    for name, source, labels, boxes in each_image(stage, sources, targets, bboxes, "boxes", "boxes"):
        corners = read_boxes(boxes, bbox_format, name)
        annotated.append(
            AnnotatedImage(source, corners, _per_box(labels, len(corners)), size=upright_size(source), name=name)
        )
    return annotated


def _per_box(labels: Any, count: int) -> tuple[Any, ...]:
    if isinstance(labels, str | int):
        return (labels,) * count
    return tuple(labels.tolist() if hasattr(labels, "tolist") else labels)

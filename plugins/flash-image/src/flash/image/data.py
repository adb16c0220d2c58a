"""Data modules of images with classes or numbers, from folders, files, tables and memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import Self

from flash.data.files import FileData
from flash.data.inputs import SampleDataset, Samples, Targets
from flash.data.row_streams import is_row_stream
from flash.data.stage import Stage, Stages
from flash.former import take_alias

from ._former import DATA_ARGUMENTS
from .datasets import InMemory, dataset_inputs, stream_inputs
from .preprocess import ImagePreprocess, ImageRegressionPreprocess

__all__ = ["ImageClassificationData", "ImageData", "ImageRegressionData"]


class ImageData(FileData):
    """The base of :class:`ImageClassificationData` and :class:`ImageRegressionData`."""

    preprocess_cls = ImagePreprocess
    former_arguments = DATA_ARGUMENTS
    default_batch_size = 32

    @classmethod
    def from_images(
        cls,
        train_images: Samples | None = None,
        train_targets: Targets | None = None,
        val_images: Samples | None = None,
        val_targets: Targets | None = None,
        test_images: Samples | None = None,
        test_targets: Targets | None = None,
        predict_images: Samples | None = None,
        **options: Any,
    ) -> Self:
        """Make a data module from images in memory: PIL images, arrays, tensors, or the bytes of files.

        The arguments are those of ``from_files``, with images in place of paths.
        """
        return cls.from_lists(
            train_images, train_targets, val_images, val_targets, test_images, test_targets, predict_images, **options
        )

    @classmethod
    def from_datasets(  # type: ignore[override]  # the options are named
        cls,
        train_dataset: SampleDataset | None = None,
        val_dataset: SampleDataset | None = None,
        test_dataset: SampleDataset | None = None,
        predict_dataset: SampleDataset | None = None,
        *,
        input_field: str | None = None,
        target_fields: str | Sequence[str] | None = None,
        in_memory: bool = False,
        **options: Any,
    ) -> Self:
        """Make a data module from torch or Hugging Face datasets, of ``(image, target)`` or of dicts.

        A stream (``datasets.load_dataset(..., streaming=True)``, or an ``IterableDataset`` of torch) is read in each
        epoch, in its own order; classes without names are learned in one pass before.

        Class names are taken from ``dataset.classes``, or from Hugging Face's ``ClassLabel``. Images are any sources
        that :func:`~flash.image.read.open_image` accepts.

        Args:
            train_dataset: Samples to train on.
            val_dataset: Samples to validate on.
            test_dataset: Samples to test on.
            predict_dataset: Samples to predict; they may also be images without targets.
            input_field: The key of images in dicts; by default ``image`` or ``img``.
            target_fields: The key of targets in dicts, or a list of keys of numbers, such as zeros and ones; by default
                ``label``, ``labels`` or ``target``.
            in_memory: Whether to read streams into memory first; they are then shuffled and split as other data is.
            options: The arguments of the class and of its preprocess. ``deterministic=True`` declares that datasets
                with transforms return the same image each time.

        Raises:
            DataError: If a dataset has no length, or its samples have another form.
            MissingColumnError: If dicts lack a key.
        """
        if "target_field" in options:
            target_fields = take_alias(options, "target_field", "target_fields", target_fields)
        cls.check_options(options, ["delimiter"])
        delimiter = options.pop("delimiter", None)
        datasets = Stages(train_dataset, val_dataset, test_dataset, predict_dataset)

        def read(stage: Stage, dataset: Any) -> Any:
            if is_row_stream(dataset) and not in_memory:
                return stream_inputs(dataset, input_field, target_fields, stage.value, delimiter)
            whole = InMemory(dataset) if is_row_stream(dataset) else dataset
            return dataset_inputs(whole, input_field, target_fields, stage.value).separated(delimiter, stage)

        return cls.from_inputs(datasets.map(read), options)


class ImageClassificationData(ImageData):
    """Data module of images with one class or several classes each.

    Images are decoded lazily, in the workers. Their size and normalization are those of the task's backbone. All
    constructors take, besides their data, the arguments of :class:`~flash.image.ImagePreprocess` (``augmentation``,
    ``image_size``, ``transform``, ...) or the ``preprocess`` of a trained task; ``on_bad_sample="skip"``, which skips
    images that cannot be decoded; and the arguments of :class:`flash.DataModule` (``batch_size``, 32 by default,
    ``num_workers``, ``val_split``, ``seed``, ...).

    Tensors are ``(images, channels, height, width)`` or ``(images, height, width)``, arrays ``(images, height, width,
    channels)`` or ``(images, height, width)``; integers are from 0 to 255, floats from 0 to 1.

    Paths in tables are relative to ``images_root``, or to the folder of the table. A column may also hold PIL images,
    and in Parquet files their encoded bytes.

    Example:
        >>> from PIL import Image
        >>> red, blue = Image.new("RGB", (9, 9), "red"), Image.new("RGB", (9, 9), "blue")
        >>> dm = ImageClassificationData.from_images([red, blue, red], ["warm", "cold", "warm"], augmentation="flip")
        >>> dm.labels, len(dm.train_dataset)
        (['cold', 'warm'], 3)
        >>> import numpy as np
        >>> dm = ImageClassificationData.from_numpy(np.zeros((4, 9, 9, 3), np.uint8), np.array([0, 1, 1, 0]))
        >>> dm.num_classes
        2
    """


class ImageRegressionData(ImageData):
    """Data module of images with one number or several numbers each.

    The constructors and their arguments are those of :class:`ImageClassificationData`. Targets are numbers, or rows of
    numbers; ``target_fields`` is the column of a number, or a list of columns. ``from_folders`` takes a
    ``predict_folder`` only, since the names of folders are classes.

    Example:
        >>> from PIL import Image
        >>> dark, light = Image.new("L", (9, 9), 20), Image.new("L", (9, 9), 220)
        >>> dm = ImageRegressionData.from_images([dark, light], [0.5, 2.5])
        >>> dm.facts
        {'num_targets': 1, 'target_mean': [1.5], 'target_std': [1.0]}
    """

    preprocess_cls = ImageRegressionPreprocess

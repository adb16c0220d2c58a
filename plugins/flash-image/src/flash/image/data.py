"""Data modules of images with classes or numbers, from folders, files, tables and memory."""

from __future__ import annotations

from typing import Any

from typing_extensions import Self

from flash.data.files import FileData
from flash.data.inputs import Samples, Targets

from ._former import DATA_ARGUMENTS
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

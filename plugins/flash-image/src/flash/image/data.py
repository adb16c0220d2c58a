"""ImageClassificationData: images with classes, from folders, files, tables and memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import Self, Unpack

from flash import DataModule, Task
from flash.data.files import FileInputs, pair_inputs, table_folder, table_inputs
from flash.data.stage import Stage, Stages
from flash.data.tables import READ_OPTIONS, Table, TableFormat, read_table
from flash.errors import ConfigurationError, DataError

from .datasets import dataset_inputs
from .files import class_files, image_files
from .inputs import ImageInputs
from .options import CsvOptions, Folder, ImageOptions, JsonOptions, TableOptions, take_preprocess
from .preprocess import ImagePreprocess

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ImageClassificationData"]

# One class a sample (text or a number); or a list of classes, or a row of zeros and ones.
Targets = Any


class ImageClassificationData(DataModule):
    """Images with a class each, or with any number of classes.

    Images are opened in the workers, when they are needed. Their size and normalisation are those of the backbone,
    which the task tells. All constructors take the options in :class:`ImageOptions`.

    Example:
        >>> from PIL import Image
        >>> red, blue = Image.new("RGB", (9, 9), "red"), Image.new("RGB", (9, 9), "blue")
        >>> dm = ImageClassificationData.from_images([red, blue, red], ["warm", "cold", "warm"], augmentation="flip")
        >>> dm.labels, len(dm.train_dataset)
        (['cold', 'warm'], 3)
    """

    preprocess_cls = ImagePreprocess

    @classmethod
    def from_folders(
        cls,
        train_folder: Folder = None,
        val_folder: Folder = None,
        test_folder: Folder = None,
        predict_folder: Folder = None,
        *,
        valid_folder: Folder = None,
        **options: Unpack[ImageOptions],
    ) -> Self:
        """Make a data module of folders that have one folder for each class, which names it.

        Images may lie deeper in these. Hidden files and files that are no images are left out, and said.

        Args:
            train_folder: Holds a folder a class.
            val_folder: The same for validation.
            test_folder: The same for testing.
            predict_folder: Holds images, at any depth; they are taken in the order of their paths.
            valid_folder: Another name of ``val_folder``.
            options: See :class:`ImageOptions`.

        Raises:
            DataError: If a folder is missing or has no images, or a class was never seen in training.
        """
        cls.check_arguments(options, ImageOptions.__annotations__)
        if valid_folder is not None and val_folder is not None:
            raise ConfigurationError("Expected val_folder or valid_folder, its other name, but got both.")
        folders: Stages[str | Path] = Stages(train_folder, val_folder or valid_folder, test_folder, predict_folder)
        inputs = folders.required("folder").map(_listed)
        if inputs.train is not None and len(set(inputs.train.targets)) < 2:
            raise DataError(
                f"Expected folders of at least two classes in {train_folder}, but only {inputs.train.targets[0]!r} "
                "holds images. Pass the folder that has one folder for each class."
            )
        return cls._of_inputs(inputs, **options)

    @classmethod
    def from_files(
        cls,
        train_files: Sequence[Any] | None = None,
        train_targets: Targets = None,
        val_files: Sequence[Any] | None = None,
        val_targets: Targets = None,
        test_files: Sequence[Any] | None = None,
        test_targets: Targets = None,
        predict_files: Sequence[Any] | None = None,
        **options: Unpack[ImageOptions],
    ) -> Self:
        """Make a data module of image files.

        Args:
            train_files: Paths.
            train_targets: The class of each: a string or a number; or a list of classes, or a row of zeros and ones.
            val_files: Paths for validation.
            val_targets: Their classes.
            test_files: Paths for testing.
            test_targets: Their classes.
            predict_files: Paths for prediction.
            options: See :class:`ImageOptions`.

        Raises:
            DataError: If a file or a class is missing, or a class was never seen in training.
        """
        cls.check_arguments(options, ImageOptions.__annotations__)
        given = Stages(
            (train_files, train_targets), (val_files, val_targets), (test_files, test_targets), (predict_files, None)
        )
        return cls._of_inputs(given.map(lambda stage, pair: pair_inputs(stage, *pair, "image")), **options)

    @classmethod
    def from_images(
        cls,
        train_images: Sequence[Any] | None = None,
        train_targets: Targets = None,
        val_images: Sequence[Any] | None = None,
        val_targets: Targets = None,
        test_images: Sequence[Any] | None = None,
        test_targets: Targets = None,
        predict_images: Sequence[Any] | None = None,
        **options: Unpack[ImageOptions],
    ) -> Self:
        """Make a data module of images in memory: PIL images, arrays, tensors, or the bytes of files.

        The arguments are those of :meth:`from_files`, with images in place of paths.
        """
        return cls.from_files(
            train_images, train_targets, val_images, val_targets, test_images, test_targets, predict_images, **options
        )

    @classmethod
    def from_numpy(
        cls,
        train_data: Any = None,
        train_targets: Targets = None,
        val_data: Any = None,
        val_targets: Targets = None,
        test_data: Any = None,
        test_targets: Targets = None,
        predict_data: Any = None,
        **options: Unpack[ImageOptions],
    ) -> Self:
        """Make a data module of arrays ``(images, height, width, channels)`` or ``(images, height, width)``.

        Whole numbers are from 0 to 255, floats from 0 to 1. The arguments are those of :meth:`from_files`, with an
        array in place of paths.

        Example:
            >>> import numpy as np
            >>> dm = ImageClassificationData.from_numpy(np.zeros((4, 9, 9, 3), np.uint8), np.array([0, 1, 1, 0]))
            >>> dm.num_classes
            2
        """
        return cls.from_files(
            train_data, train_targets, val_data, val_targets, test_data, test_targets, predict_data, **options
        )

    @classmethod
    def from_tensors(  # type: ignore[override]  # the options are named
        cls,
        train_data: Any = None,
        train_targets: Targets = None,
        val_data: Any = None,
        val_targets: Targets = None,
        test_data: Any = None,
        test_targets: Targets = None,
        predict_data: Any = None,
        **options: Unpack[ImageOptions],
    ) -> Self:
        """Make a data module of tensors ``(images, channels, height, width)`` or ``(images, height, width)``.

        Whole numbers are from 0 to 255, floats from 0 to 1. The arguments are those of :meth:`from_files`, with a
        tensor in place of paths.
        """
        return cls.from_files(
            train_data, train_targets, val_data, val_targets, test_data, test_targets, predict_data, **options
        )

    @classmethod
    def from_csv(
        cls,
        input_field: str,
        target_fields: str | Sequence[str] | None = None,
        train_file: Any = None,
        val_file: Any = None,
        test_file: Any = None,
        predict_file: Any = None,
        **options: Unpack[CsvOptions],
    ) -> Self:
        """Make a data module of CSV files, whose first line names the columns.

        Args:
            input_field: The column of image paths; they start from ``images_root``, or from the folder of the file.
            target_fields: The column of classes; or a list of columns of zeros and ones, one a class.
            train_file: Names the images to train on.
            val_file: The same for validation.
            test_file: The same for testing.
            predict_file: The same for prediction; the targets may be absent.
            options: See :class:`CsvOptions`.

        Raises:
            MissingColumnError: If a column is missing.
            DataError: If a file is missing, or a row has no image or class.
        """
        files = Stages(train_file, val_file, test_file, predict_file).required("file")
        return cls._of_files("csv", files, input_field, target_fields, dict(options))

    @classmethod
    def from_json(
        cls,
        input_field: str,
        target_fields: str | Sequence[str] | None = None,
        train_file: Any = None,
        val_file: Any = None,
        test_file: Any = None,
        predict_file: Any = None,
        **options: Unpack[JsonOptions],
    ) -> Self:
        """Make a data module of JSON files: a list of objects, or an object in each line.

        The arguments are those of :meth:`from_csv`. A target may also be a list of classes.
        """
        files = Stages(train_file, val_file, test_file, predict_file).required("file")
        return cls._of_files("json", files, input_field, target_fields, dict(options))

    @classmethod
    def from_parquet(
        cls,
        input_field: str,
        target_fields: str | Sequence[str] | None = None,
        train_file: Any = None,
        val_file: Any = None,
        test_file: Any = None,
        predict_file: Any = None,
        **options: Unpack[TableOptions],
    ) -> Self:
        """Make a data module of Parquet files, or of folders of them; needs pyarrow.

        The arguments are those of :meth:`from_csv`. A target may also be a list of classes, and an image its bytes.
        """
        files = Stages(train_file, val_file, test_file, predict_file).required("file")
        return cls._of_files("parquet", files, input_field, target_fields, dict(options))

    @classmethod
    def from_data_frame(
        cls,
        input_field: str,
        target_fields: str | Sequence[str] | None = None,
        train_data_frame: Any = None,
        val_data_frame: Any = None,
        test_data_frame: Any = None,
        predict_data_frame: Any = None,
        **options: Unpack[TableOptions],
    ) -> Self:
        """Make a data module of data frames, of pandas or polars, or of dicts of columns.

        The arguments are those of :meth:`from_csv`, with a data frame in place of each file; paths start from
        ``images_root``, or from the current folder. A target may also be a list of classes, and an image a PIL image.
        """
        cls.check_arguments(options, TableOptions.__annotations__)
        frames = Stages(train_data_frame, val_data_frame, test_data_frame, predict_data_frame).required("data_frame")
        return cls._of_tables(
            frames,
            lambda stage, frame: (read_table(frame, name=f"the {stage.value} data frame"), None),
            input_field,
            target_fields,
            dict(options),
        )

    @classmethod
    def from_datasets(  # type: ignore[override]  # the options are named
        cls,
        train_dataset: Any = None,
        val_dataset: Any = None,
        test_dataset: Any = None,
        predict_dataset: Any = None,
        *,
        input_field: str | None = None,
        target_fields: str | None = None,
        **options: Unpack[ImageOptions],
    ) -> Self:
        """Make a data module of datasets of torch or Hugging Face: of ``(image, target)`` or of dicts.

        Names of classes are taken from ``dataset.classes``, or from Hugging Face's ``ClassLabel``. An image is whatever
        :func:`~flash.image.read.open_image` opens.

        Args:
            train_dataset: Samples to train on.
            val_dataset: Samples to validate on.
            test_dataset: Samples to test on.
            predict_dataset: Samples to predict; also of images alone.
            input_field: The key of images in dicts; by default ``image`` or ``img``.
            target_fields: The key of targets in dicts; by default ``label``, ``labels`` or ``target``.
            options: See :class:`ImageOptions`. Where a dataset may transform images at random, ``deterministic=True``
                says that it does not.

        Raises:
            DataError: If a dataset has no length, or gives something else.
            MissingColumnError: If dicts lack a key.
        """
        cls.check_arguments(options, ImageOptions.__annotations__)
        datasets = Stages(train_dataset, val_dataset, test_dataset, predict_dataset)
        return cls._of_inputs(
            datasets.map(lambda stage, dataset: dataset_inputs(dataset, input_field, target_fields, stage.value)),
            **options,
        )

    # ------------------------------------------------------------------ pictures of it

    def show_batch(self, stage: str = "train", count: int = 9) -> Figure:
        """Draw images of a stage as the network sees them: after all transforms, with their labels.

        Args:
            stage: ``"train"``, ``"val"``, ``"test"`` or ``"predict"``.
            count: How many; which ones, the seed of this data module decides.

        Returns:
            A matplotlib figure, such as ``figure.savefig("batch.png")`` saves.

        Example:
            >>> import numpy as np
            >>> images = np.random.randint(0, 256, (4, 9, 9, 3), np.uint8)
            >>> dm = ImageClassificationData.from_numpy(images, np.array([0, 1, 1, 0]), image_size=32)
            >>> len(dm.show_batch().axes)
            4
        """
        from .plots import show_batch

        return show_batch(self, Stage(stage), count)

    def plot_predictions(self, task: Task, stage: str = "val", count: int = 9) -> Figure:
        """Draw what a classifier predicts beside the truth, the worst (of the highest loss) first.

        Args:
            task: A trained classifier.
            stage: ``"val"``, ``"train"`` or ``"test"``; or ``"predict"``, where the least certain come first.
            count: How many of all images.
        """
        from .plots import plot_predictions

        return plot_predictions(task, self, Stage(stage), count)

    # ------------------------------------------------------------------ what the constructors share

    @classmethod
    def _of_inputs(cls, inputs: Stages[Any], *, input_field: str | None = None, **options: Any) -> Self:
        preprocess = take_preprocess(options)
        if input_field is not None and isinstance(preprocess, ImagePreprocess) and preprocess.input_field is None:
            preprocess.input_field = input_field
        on_bad_sample = options.pop("on_bad_sample", "error")
        given = inputs.map(lambda _, data: replace(ImageInputs.of(data), on_bad_sample=on_bad_sample))
        return cls.from_load_data_inputs(**given.as_inputs(), preprocess=preprocess, **{"batch_size": 32, **options})

    @classmethod
    def _of_files(
        cls,
        format: TableFormat,
        files: Stages[Any],
        input_field: str,
        target_fields: str | Sequence[str] | None,
        options: dict[str, Any],
    ) -> Self:
        cls.check_arguments(options, CsvOptions.__annotations__ if format == "csv" else JsonOptions.__annotations__)
        reading = {name: options.pop(name) for name in READ_OPTIONS if name in options}
        return cls._of_tables(
            files,
            lambda _, file: (read_table(file, format=format, **reading), table_folder(file)),
            input_field,
            target_fields,
            options,
        )

    @classmethod
    def _of_tables(
        cls,
        sources: Stages[Any],
        read: Callable[[Stage, Any], tuple[Table, Path | None]],
        input_field: str,
        target_fields: str | Sequence[str] | None,
        rest: dict[str, Any],
    ) -> Self:
        shared = rest.pop("images_root", None)
        own = {stage: rest.pop(f"{stage.value}_images_root", None) for stage in Stage}

        def inputs(stage: Stage, source: Any) -> FileInputs:
            table, folder = read(stage, source)
            return table_inputs(table, input_field, target_fields, own[stage] or shared or folder, stage, "image")

        return cls._of_inputs(sources.map(inputs), input_field=input_field, **rest)


def _listed(stage: Stage, folder: str | Path) -> FileInputs:
    return FileInputs(image_files(folder)) if stage is Stage.PREDICT else FileInputs(*class_files(folder))

"""ImageClassificationData: images with classes, from folders, files, tables and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import Self

from flash import DataModule, Preprocess
from flash.data.splits import split_rows
from flash.errors import ConfigurationError

from .files import class_files, image_files
from .inputs import ImageInputs
from .preprocess import ImagePreprocess

__all__ = ["ImageClassificationData"]

_STAGES = ("train", "val", "test", "predict")
Folder = str | Path | None


class ImageClassificationData(DataModule):
    """Images with a class each, or with any number of classes."""

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
        **options: Any,
    ) -> Self:
        """Make a data module of folders that have one folder a class."""
        if valid_folder is not None and val_folder is not None:
            raise ConfigurationError("Expected val_folder or valid_folder, its other name, but got both.")
        folders = {"train": train_folder, "val": val_folder or valid_folder, "test": test_folder}
        inputs = {stage: ImageInputs(*class_files(folder)) for stage, folder in folders.items() if folder is not None}
        if predict_folder is not None:
            inputs["predict"] = ImageInputs(image_files(predict_folder))
        return cls._of(inputs, **options)

    @classmethod
    def from_files(
        cls,
        train_files: Sequence[Any] | None = None,
        train_targets: Any = None,
        val_files: Sequence[Any] | None = None,
        val_targets: Any = None,
        test_files: Sequence[Any] | None = None,
        test_targets: Any = None,
        predict_files: Sequence[Any] | None = None,
        **options: Any,
    ) -> Self:
        """Make a data module of files and their classes."""
        pairs = ((train_files, train_targets), (val_files, val_targets), (test_files, test_targets), (predict_files, None))
        return cls._of({s: ImageInputs(*pair) for s, pair in zip(_STAGES, pairs, strict=True) if pair[0] is not None}, **options)

    @classmethod
    def from_images(
        cls,
        train_images: Sequence[Any] | None = None,
        train_targets: Any = None,
        val_images: Sequence[Any] | None = None,
        val_targets: Any = None,
        test_images: Sequence[Any] | None = None,
        test_targets: Any = None,
        predict_images: Sequence[Any] | None = None,
        **options: Any,
    ) -> Self:
        """Make a data module of PIL images, arrays or tensors in memory."""
        return cls.from_files(
            train_images, train_targets, val_images, val_targets, test_images, test_targets, predict_images, **options
        )

    @classmethod
    def _of(
        cls,
        inputs: Mapping[str, ImageInputs],
        *,
        preprocess: Preprocess | None = None,
        batch_size: int = 32,
        augmentation: Any = "none",
        image_size: Any = None,
        transform: Any = None,
        train_transform: Any = None,
        **kwargs: Any,
    ) -> Self:
        if preprocess is None:
            preprocess = ImagePreprocess(augmentation, image_size, transform, train_transform)
        return cls.from_load_data_inputs(
            **{f"{stage}_load_data_input": data for stage, data in inputs.items()},
            preprocess=preprocess,
            batch_size=batch_size,
            **kwargs,
        )

    def _split_train_input(self, train: ImageInputs, val_split: float) -> tuple[Any, Any]:
        if any(isinstance(target, list | tuple | set) or hasattr(target, "shape") for target in train.targets):
            return train, None
        rows = split_rows(len(train.sources), val_split, self.seed, [str(target) for target in train.targets])
        return tuple(train.rows(part.tolist()) for part in rows)  # type: ignore[return-value]

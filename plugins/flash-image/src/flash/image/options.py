"""The options that the constructors of data modules share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from flash import Postprocess, Preprocess
from flash.data.tables import ReadOptions
from flash.errors import ConfigurationError

from .inputs import OnBadSample
from .preprocess import ImagePreprocess
from .transforms import Augmentation

__all__ = ["CsvOptions", "Folder", "ImageOptions", "JsonOptions", "TableOptions", "take_preprocess"]

Folder = str | Path | None
_OF_PREPROCESS = ("augmentation", "image_size", "transform", "train_transform", "data_config", "deterministic")


class ImageOptions(TypedDict, total=False):
    """What every constructor takes besides its data."""

    #: For training: a name in ``flash.image.augmentations``, or a callable; see :class:`ImagePreprocess`.
    augmentation: str | Augmentation
    #: Pixels a side, or ``(height, width)``, in place of the backbone's own.
    image_size: int | Sequence[int] | None
    #: Does everything in all stages: takes a PIL image and gives a normalised tensor.
    transform: Callable[[Any], Any] | None
    #: The same for training alone.
    train_transform: Callable[[Any], Any] | None
    #: Entries of timm's data config that win over the backbone's.
    data_config: Mapping[str, Any] | None
    #: Whether what comes from callables and datasets is alike each time.
    deterministic: bool | None
    #: ``"error"`` raises for an image that cannot be decoded; ``"skip"`` tries all first, and leaves bad ones out.
    on_bad_sample: OnBadSample
    #: That of a trained task, whose classes are to be used, in place of the options above.
    preprocess: Preprocess | None
    postprocess: Postprocess | None
    #: Images in a batch; by default 32.
    batch_size: int
    num_workers: int
    val_split: float | None
    seed: int | None
    sampler: Any
    pin_memory: bool | None
    persistent_workers: bool


class TableOptions(ImageOptions, total=False):
    """What the constructors for tables take besides."""

    #: The folder that paths in the tables start from; by default that of the table, or the current one.
    images_root: Folder
    train_images_root: Folder
    val_images_root: Folder
    test_images_root: Folder
    predict_images_root: Folder


class CsvOptions(TableOptions, ReadOptions, total=False):
    """What :meth:`~flash.image.ImageClassificationData.from_csv` takes besides."""


class JsonOptions(TableOptions, total=False):
    """What :meth:`~flash.image.ImageClassificationData.from_json` takes besides."""

    encoding: str | None
    #: The key that holds the rows, where a file is an object with more in it.
    field: str | None


def take_preprocess(options: dict[str, Any]) -> Any:
    """Take the options that make a preprocess out of all options, or the preprocess itself.

    Raises:
        ConfigurationError: If there are both.

    Example:
        >>> options = {"augmentation": "flip", "batch_size": 8}
        >>> take_preprocess(options).augmentation, options
        ('flip', {'batch_size': 8})
    """
    own = {name: options.pop(name) for name in _OF_PREPROCESS if name in options}
    given: Preprocess | None = options.pop("preprocess", None)
    if given is not None and own:
        raise ConfigurationError(
            f"Expected a preprocess or options that make one, but got both: preprocess and {', '.join(own)}. Leave out "
            "one of the two."
        )
    return ImagePreprocess(**own) if given is None else given

"""Datasets of torch and of Hugging Face as a source of images and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Subset

from flash.data.files import FileInputs
from flash.errors import DataError, MissingColumnError

__all__ = ["dataset_inputs", "is_deterministic"]

_IMAGE_KEYS = ("image", "img", "images", "pixel_values")
_TARGET_KEYS = ("label", "labels", "target", "fine_label")


def dataset_inputs(dataset: Any, input_field: str | None, target_field: str | None, stage: str) -> FileInputs:
    """Images of a dataset, decoded one by one when they are needed, with the classes of all of them.

    Args:
        dataset: Has a length; its elements are ``(image, target)``, or dicts. For prediction also images alone.
        input_field: The key of images in dicts; by default ``image`` or ``img``.
        target_field: The key of targets in dicts; by default ``label``, ``labels`` or ``target``.
        stage: Prediction needs no targets.

    Raises:
        DataError: If the dataset has no length or elements of another kind.
        MissingColumnError: If dicts lack a key.
    """
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise DataError(
            f"Expected a dataset with a length and [index] as {stage} data, but got {type(dataset).__name__}, which is "
            "read from start to end. Make a list of it, or download it as a whole."
        )
    if len(dataset) == 0:
        raise DataError(f"Expected at least one sample in the {stage} dataset, but it is empty.")
    first, deterministic = dataset[0], is_deterministic(dataset)
    if isinstance(first, Mapping):
        image_key = _key(first, input_field, _IMAGE_KEYS, "input_field")
        images = DatasetImages(dataset, image_key)
        if stage == "predict":
            return FileInputs(images, deterministic=deterministic)
        key = _key(first, target_field, _TARGET_KEYS, "target_fields")
        return FileInputs(images, _column(dataset, key), _names(dataset, key), deterministic=deterministic)
    paired = isinstance(first, tuple | list) and len(first) >= 2
    if stage == "predict":
        return FileInputs(DatasetImages(dataset, 0 if paired else None), deterministic=deterministic)
    if not paired:
        raise DataError(
            f"Expected (image, target) or a dict as each sample of the {stage} dataset, but got {type(first).__name__}."
        )
    targets = _targets(dataset, first[1])
    return FileInputs(DatasetImages(dataset, 0), targets, _classes(dataset), deterministic=deterministic)


class DatasetImages(Sequence[Any]):
    """The images of a dataset.

    Args:
        dataset: Gives tuples, dicts or images.
        key: Where the image is in an element; ``None`` if the element is the image.
    """

    def __init__(self, dataset: Any, key: str | int | None) -> None:
        self._dataset = dataset
        self._key = key

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: Any) -> Any:
        # A dataset need not know its end, and a loop over it would not find it.
        if index >= len(self):
            raise IndexError(index)
        element = self._dataset[index]
        return element if self._key is None else element[self._key]


def is_deterministic(dataset: Any) -> bool:
    """Whether it is known that an image of a dataset comes out alike each time: nothing random transforms it.

    Known are lists, Hugging Face's datasets without a transform of their own, and torchvision's without one.
    """
    if isinstance(dataset, Subset):
        return is_deterministic(dataset.dataset)
    if isinstance(dataset, list | tuple):
        return True
    if hasattr(dataset, "features") and hasattr(dataset, "column_names"):
        form = getattr(dataset, "format", None)
        return not isinstance(form, Mapping) or form.get("type") != "custom"
    package = type(dataset).__module__.partition(".")[0]
    return package == "torchvision" and getattr(dataset, "transforms", None) is None


def _key(row: Mapping[str, Any], asked: str | None, usual: Sequence[str], argument: str) -> str:
    if asked is not None:
        if asked not in row:
            raise MissingColumnError(f"Expected a key {asked!r} in the samples, but they have {', '.join(row)}.")
        return asked
    found = [name for name in usual if name in row]
    if not found:
        raise MissingColumnError(
            f"Expected one of the keys {', '.join(usual)} in the samples, but they have {', '.join(row)}. "
            f"Pass {argument}=..."
        )
    return found[0]


def _column(dataset: Any, key: str) -> list[Any]:
    """One value a row, without decoding images where the dataset has columns."""
    if hasattr(dataset, "column_names"):
        return list(dataset[key])
    return [dataset[row][key] for row in range(len(dataset))]


def _names(dataset: Any, key: str) -> Sequence[Any] | None:
    """The names of Hugging Face's ClassLabel, also in a list of them."""
    feature = dataset.features[key] if isinstance(getattr(dataset, "features", None), Mapping) else None
    inner = getattr(feature, "feature", None)
    names: Sequence[Any] | None = getattr(feature, "names", None) or getattr(inner, "names", None)
    return names


def _targets(dataset: Any, first: Any) -> Any:
    """All targets: as the dataset lists them, if the first one agrees, or else out of every sample."""
    if isinstance(dataset, Subset):
        whole = _listed(dataset.dataset)
        listed = None if whole is None else [whole[int(row)] for row in dataset.indices]
    else:
        listed = _listed(dataset)
    if listed is not None and len(listed) == len(dataset) and np.array_equal(listed[0], first):
        return listed
    from tqdm.auto import tqdm

    return [dataset[row][1] for row in tqdm(range(len(dataset)), desc="Reading targets", leave=False)]


def _listed(dataset: Any) -> Any:
    listed = getattr(dataset, "targets", None)
    return listed if isinstance(listed, list | tuple | Tensor | np.ndarray) else None


def _classes(dataset: Any) -> Sequence[Any] | None:
    """The names that torchvision's datasets have."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    names = getattr(dataset, "classes", None)
    return names if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names) else None

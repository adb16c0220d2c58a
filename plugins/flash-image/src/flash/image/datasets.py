"""Torch and Hugging Face datasets as sources of images and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Subset

from flash.data.files import FileInputs
from flash.data.row_streams import RowStream, StreamInputs
from flash.errors import DataError, MissingColumnError

__all__ = ["InMemory", "dataset_inputs", "is_deterministic", "stream_inputs"]

_IMAGE_KEYS = ("image", "img", "images", "pixel_values")
_TARGET_KEYS = ("label", "labels", "target", "fine_label")


def stream_inputs(
    dataset: Any, input_field: str | None, target_fields: str | Sequence[str] | None, stage: str, delimiter: str | None
) -> StreamInputs:
    """Return the images of a dataset without a length, which are read anew in each epoch, with their targets.

    The arguments and errors are those of :func:`dataset_inputs`, and ``delimiter``, which separates classes.
    """
    name = f"the {stage} data"
    first = next(iter(RowStream(dataset, None, name)), None)
    if first is None:
        raise DataError(f"Expected at least one sample in the {stage} dataset, but it is empty.")
    image: str | int | None
    target: str | int | list[str] | None
    names: Sequence[Any] | None = None
    if isinstance(first, Mapping):
        image = _key(first, input_field, _IMAGE_KEYS, "input_field")
        fields = [image]
        target = None
        if stage == "predict":
            pass
        elif target_fields is None or isinstance(target_fields, str):
            target = _key(first, target_fields, _TARGET_KEYS, "target_fields")
            fields.append(target)
            names = _names(dataset, target)
        else:
            names = target = [_key(first, field, _TARGET_KEYS, "target_fields") for field in target_fields]
            fields += target
        rows = RowStream(dataset, fields, name)
    else:
        image, target = (0, 1) if isinstance(first, tuple | list) and len(first) >= 2 else (None, None)
        target = None if stage == "predict" else target
        if stage != "predict" and target is None:
            raise DataError(
                f"Expected (image, target) or a dict as each sample of the {stage} dataset, but got "
                f"{type(first).__name__}."
            )
        names = _classes(dataset) if target is not None else None
        rows = RowStream(dataset, None, name)
    are_indices = isinstance(target, str) and names is not None and not isinstance(first[target], list)
    return StreamInputs(rows, image, target, names=names, delimiter=delimiter, are_indices=are_indices, name=name)


def dataset_inputs(
    dataset: Any, input_field: str | None, target_fields: str | Sequence[str] | None, stage: str
) -> FileInputs:
    """Return the images of a dataset, decoded lazily, with the targets of all samples.

    Args:
        dataset: A dataset with a length, of ``(image, target)`` or dicts; for prediction also of images alone.
        input_field: The key of images in dicts; by default ``image`` or ``img``.
        target_fields: The key of targets in dicts, or a list of keys; by default ``label``, ``labels`` or ``target``.
        stage: The stage; ``"predict"`` needs no targets.

    Raises:
        DataError: If the dataset has no length, or its samples have another form.
        MissingColumnError: If dicts lack a key.
    """
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise DataError(
            f"Expected a dataset with a length and [index] as {stage} data, but got {type(dataset).__name__}, which is "
            "a stream. Convert it to a list, or download it completely."
        )
    if len(dataset) == 0:
        raise DataError(f"Expected at least one sample in the {stage} dataset, but it is empty.")
    first, deterministic = dataset[0], is_deterministic(dataset)
    if isinstance(first, Mapping):
        image_key = _key(first, input_field, _IMAGE_KEYS, "input_field")
        images = DatasetImages(dataset, image_key)
        if stage == "predict":
            return FileInputs(images, deterministic=deterministic)
        if target_fields is not None and not isinstance(target_fields, str):
            keys = [_key(first, name, _TARGET_KEYS, "target_fields") for name in target_fields]
            rows = zip(*(_column(dataset, key) for key in keys), strict=True)
            return FileInputs(images, [np.asarray(row) for row in rows], keys, deterministic=deterministic)
        key = _key(first, target_fields, _TARGET_KEYS, "target_fields")
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


class InMemory(list[Any]):
    """The rows of a stream, with the names of its classes.

    Args:
        stream: The stream, which is read once.
    """

    def __init__(self, stream: Any) -> None:
        super().__init__(RowStream(stream, None, "the data"))
        self.features = getattr(stream, "features", None)
        self.classes = getattr(stream, "classes", None)


class DatasetImages(Sequence[Any]):
    """The images of a dataset, without their targets.

    Args:
        dataset: A dataset of tuples, dicts or images.
        key: The key or index of the image in a sample; ``None`` if the sample is the image.
    """

    def __init__(self, dataset: Any, key: str | int | None) -> None:
        self._dataset = dataset
        self._key = key

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: Any) -> Any:
        # A dataset need not raise IndexError, without which iteration does not stop.
        if index >= len(self):
            raise IndexError(index)
        element = self._dataset[index]
        return element if self._key is None else element[self._key]


def is_deterministic(dataset: Any) -> bool:
    """Return whether a dataset is known to be deterministic: it applies no random transforms.

    That is known of lists, and of Hugging Face and torchvision datasets without transforms.
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
    """Return one value per row; datasets with columns decode no images for it."""
    if hasattr(dataset, "column_names"):
        return list(dataset[key])
    return [dataset[row][key] for row in range(len(dataset))]


def _names(dataset: Any, key: str) -> Sequence[Any] | None:
    """Return the class names of a Hugging Face ``ClassLabel``, or of a list of ``ClassLabel``."""
    feature = dataset.features[key] if isinstance(getattr(dataset, "features", None), Mapping) else None
    inner = getattr(feature, "feature", None)
    names: Sequence[Any] | None = getattr(feature, "names", None) or getattr(inner, "names", None)
    return names


def _targets(dataset: Any, first: Any) -> Any:
    """Return all targets: ``dataset.targets`` if its first one matches, else those read from every sample."""
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
    """Return the class names in ``dataset.classes``, which torchvision's datasets have."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    names = getattr(dataset, "classes", None)
    return names if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names) else None

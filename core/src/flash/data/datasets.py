"""Torch and Hugging Face datasets as sources of samples and targets, for :meth:`FileData.from_datasets`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Subset

from flash.data.inputs import SampleInputs
from flash.data.row_streams import RowStream, StreamInputs
from flash.errors import DataError, MissingColumnError

__all__ = [
    "DatasetSamples",
    "InMemory",
    "dataset_inputs",
    "find_key",
    "first_sample",
    "is_deterministic",
    "stream_inputs",
]

_TARGET_KEYS = ("label", "labels", "target", "fine_label")


def stream_inputs(
    dataset: Any,
    input_field: str | None,
    target_fields: str | Sequence[str] | None,
    stage: str,
    delimiter: str | None,
    *,
    noun: str = "sample",
    keys: Sequence[str] = (),
) -> StreamInputs:
    """Return the sources of a dataset without a length, which are read anew in each epoch, with their targets.

    The arguments and errors are those of :func:`dataset_inputs`, and ``delimiter``, which separates classes.
    """
    name = f"the {stage} data"
    first = next(iter(RowStream(dataset, None, name)), None)
    if first is None:
        raise DataError(f"Expected at least one sample in the {stage} dataset, but it is empty.")
    source: str | int | None
    target: str | int | list[str] | None
    names: Sequence[Any] | None = None
    if isinstance(first, Mapping):
        source = find_key(first, input_field, keys, "input_field")
        fields = [source]
        target = None
        if stage == "predict":
            pass
        elif target_fields is None or isinstance(target_fields, str):
            target = find_key(first, target_fields, _TARGET_KEYS, "target_fields")
            fields.append(target)
            names = _names(dataset, target)
        else:
            names = target = [find_key(first, field, _TARGET_KEYS, "target_fields") for field in target_fields]
            fields += target
        rows = RowStream(dataset, fields, name)
    else:
        source, target = (0, 1) if isinstance(first, tuple | list) and len(first) >= 2 else (None, None)
        target = None if stage == "predict" else target
        if stage != "predict" and target is None:
            raise DataError(
                f"Expected ({noun}, target) or a dict as each sample of the {stage} dataset, but got "
                f"{type(first).__name__}."
            )
        names = _classes(dataset) if target is not None else None
        rows = RowStream(dataset, None, name)
    are_indices = isinstance(target, str) and names is not None and not isinstance(first[target], list)
    return StreamInputs(rows, source, target, names=names, delimiter=delimiter, are_indices=are_indices, name=name)


def dataset_inputs(
    dataset: Any,
    input_field: str | None,
    target_fields: str | Sequence[str] | None,
    stage: str,
    *,
    noun: str = "sample",
    keys: Sequence[str] = (),
) -> SampleInputs:
    """Return the sources of a dataset, read lazily, with the targets of all samples.

    Args:
        dataset: A dataset with a length, of ``(source, target)`` or dicts; for prediction also of sources alone.
        input_field: The key of sources in dicts; by default the first of ``keys`` that is there.
        target_fields: The key of targets in dicts, or a list of keys; by default ``label``, ``labels`` or ``target``.
        stage: The stage; ``"predict"`` needs no targets.
        noun: Noun for a source in messages.
        keys: The usual keys of sources in dicts.

    Raises:
        DataError: If the dataset has no length, or its samples have another form.
        MissingColumnError: If dicts lack a key.

    Example:
        >>> rows = [{"audio": b"...", "label": "yes"}, {"audio": b"...", "label": "no"}]
        >>> dataset_inputs(rows, None, None, "train", noun="recording", keys=("audio",)).targets
        ['yes', 'no']
    """
    first = first_sample(dataset, stage)
    if isinstance(first, Mapping):
        sources = DatasetSamples(dataset, find_key(first, input_field, keys, "input_field"))
        if stage == "predict":
            return SampleInputs(sources)
        if target_fields is not None and not isinstance(target_fields, str):
            names = [find_key(first, name, _TARGET_KEYS, "target_fields") for name in target_fields]
            rows = zip(*(_column(dataset, key) for key in names), strict=True)
            return SampleInputs(sources, [np.asarray(row) for row in rows], names)
        key = find_key(first, target_fields, _TARGET_KEYS, "target_fields")
        return SampleInputs(sources, _column(dataset, key), _names(dataset, key))
    paired = isinstance(first, tuple | list) and len(first) >= 2
    if stage == "predict":
        return SampleInputs(DatasetSamples(dataset, 0 if paired else None))
    if not paired:
        raise DataError(
            f"Expected ({noun}, target) or a dict as each sample of the {stage} dataset, but got "
            f"{type(first).__name__}."
        )
    targets = _targets(dataset, first[1])
    return SampleInputs(DatasetSamples(dataset, 0), targets, _classes(dataset))


class InMemory(list[Any]):
    """The rows of a stream, with the names of its classes.

    Args:
        stream: The stream, which is read once.
    """

    def __init__(self, stream: Any) -> None:
        super().__init__(RowStream(stream, None, "the data"))
        self.features = getattr(stream, "features", None)
        self.classes = getattr(stream, "classes", None)


def first_sample(dataset: Any, stage: str) -> Any:
    """Return the first sample of a dataset with a length, which tells the form of all.

    Args:
        dataset: The dataset.
        stage: The stage, for messages.

    Raises:
        DataError: If the dataset has no length, or no samples.

    Example:
        >>> first_sample([("a.wav", "yes"), ("b.wav", "no")], "train")
        ('a.wav', 'yes')
    """
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise DataError(
            f"Expected a dataset with a length and [index] as {stage} data, but got {type(dataset).__name__}, which is "
            "a stream. Convert it to a list, or download it completely."
        )
    if len(dataset) == 0:
        raise DataError(f"Expected at least one sample in the {stage} dataset, but it is empty.")
    return dataset[0]


class DatasetSamples(Sequence[Any]):
    """The sources of a dataset, without their targets.

    Args:
        dataset: A dataset of tuples, dicts or sources.
        key: The key or index of the source in a sample; ``None`` if the sample is the source.
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


def is_deterministic(dataset: Any, libraries: Collection[str] = ()) -> bool:
    """Return whether a dataset is known to be deterministic: it applies no random transforms.

    That is known of lists, of Hugging Face datasets without transforms, and of those of some libraries.

    Args:
        dataset: The dataset.
        libraries: Packages whose datasets are deterministic if their attribute ``transforms`` is ``None``.
    """
    if isinstance(dataset, Subset):
        return is_deterministic(dataset.dataset, libraries)
    if isinstance(dataset, list | tuple):
        return True
    if hasattr(dataset, "features") and hasattr(dataset, "column_names"):
        form = getattr(dataset, "format", None)
        return not isinstance(form, Mapping) or form.get("type") != "custom"
    package = type(dataset).__module__.partition(".")[0]
    return package in libraries and getattr(dataset, "transforms", None) is None


def find_key(row: Mapping[str, Any], asked: str | None, usual: Sequence[str], argument: str) -> str:
    """Return the key of a part of a sample: the one that was asked for, or the first of the usual ones.

    Args:
        row: The sample.
        asked: The key that the user named; ``None`` to look for a usual one.
        usual: The usual keys.
        argument: The argument that names it, for messages.

    Raises:
        MissingColumnError: If there is no such key.

    Example:
        >>> find_key({"img": 0, "mask": 1}, None, ("image", "img"), "input_field")
        'img'
    """
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
    """Return one value per row; datasets with columns decode no sources for it."""
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
    """Return the class names in ``dataset.classes``, which many datasets of torch have."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    names = getattr(dataset, "classes", None)
    return names if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names) else None

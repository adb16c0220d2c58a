"""LazyAnnotations: the samples of a dataset as annotated images, read one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Subset

from flash.errors import DataError

from .boxes import AnnotatedImage, BoxFormat, read_boxes

__all__ = ["LazyAnnotations", "labels_of"]


class LazyAnnotations(Sequence[Any]):
    """Samples ``(image, {"boxes": ..., "labels": ...})`` of a dataset, as annotated images that are read lazily.

    Args:
        dataset: A dataset with a length, of ``(image, target)`` or of dicts with ``image``, ``boxes`` and ``labels``.
        labels: The names of the classes, in the order of their indices in the dataset; a dataset may also hold names.
        bbox_format: ``"xyxy"`` or ``"xywh"``.

    Example:
        >>> dataset = [(np.zeros((9, 9, 3), np.uint8), {"boxes": [[1, 2, 3, 4]], "labels": [0]})]
        >>> LazyAnnotations(dataset, ["cat"])[0].labels
        ('cat',)
    """

    def __init__(self, dataset: Any, labels: list[Any] | None, bbox_format: BoxFormat = "xyxy") -> None:
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise DataError(f"Expected a dataset with a length and indices, but got {type(dataset).__name__}.")
        self.dataset = dataset
        self.labels = labels
        self.bbox_format = bbox_format

    def with_labels(self, labels: list[Any]) -> LazyAnnotations:
        """Return the same samples with class names, unless they have names already."""
        return self if self.labels is not None else LazyAnnotations(self.dataset, labels, self.bbox_format)

    def take(self, rows: Sequence[int]) -> LazyAnnotations:
        """Return the samples of some rows."""
        return LazyAnnotations(Subset(self.dataset, list(rows)), self.labels, self.bbox_format)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        name = f"sample {index}"
        image, boxes, labels = _parts(self.dataset[index], name)
        values = labels.tolist() if isinstance(labels, Tensor | np.ndarray) else list(labels)
        return AnnotatedImage(
            image,
            read_boxes(boxes, self.bbox_format, name),
            tuple(self._name_of(value, name) for value in values),
            name=name,
        )

    def _name_of(self, label: Any, name: str) -> Any:
        labels = self.labels
        if labels is None or label in labels:
            return label
        if isinstance(label, int) and 0 <= label < len(labels):
            return labels[label]
        raise DataError(
            f"Expected the labels of boxes to be class names, or class indices from 0 to {len(labels) - 1}, but "
            f"{name} has {label!r}. Name all classes in order: labels=[...]."
        )


def labels_of(dataset: Any) -> list[Any] | None:
    """Return the class names in the attributes of a dataset, or ``None`` if it has none."""
    for attribute in ("classes", "labels", "categories"):
        names = getattr(dataset, attribute, None)
        if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
            return list(names)
    return None


def _parts(sample: Any, name: str) -> tuple[Any, Any, Any]:
    if isinstance(sample, Mapping):
        image, target = sample.get("image"), sample
    elif isinstance(sample, tuple | list) and len(sample) == 2:
        image, target = sample
    else:
        image, target = None, None
    if image is None or not isinstance(target, Mapping) or not {"boxes", "labels"} <= set(target):
        raise DataError(
            f"Expected each sample to be (image, {{'boxes': ..., 'labels': ...}}), or a dict with image, boxes and "
            f"labels, but {name} is {_described(sample)}."
        )
    return image, target["boxes"], target["labels"]


def _described(sample: Any) -> str:
    if isinstance(sample, Mapping):
        return f"a dict with {', '.join(map(str, sample)) or 'nothing'}"
    if isinstance(sample, tuple | list):
        return f"a {type(sample).__name__} of {', '.join(type(part).__name__ for part in sample) or 'nothing'}"
    return f"a {type(sample).__name__}"

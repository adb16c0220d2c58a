"""Outputs of segmentation: masks and scores in the size of the image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from flash.core.registry import ComponentRegistry
from flash.errors import ConfigurationError

__all__ = ["best_classes", "resized_scores", "segmentation_outputs"]

#: The outputs of segmentation, by name.
segmentation_outputs = ComponentRegistry("output", "outputs", "image/semantic_segmentation")

# Scores of all classes at each pixel of a photo are gigabytes: of that many they are computed in parts.
_VALUES_AT_ONCE = 1 << 26


def labels(predictions: Tensor, inputs: Any) -> list[npt.NDArray[np.uint8]]:
    """Return a mask per image: the index of the class of each pixel, uint8, shape ``(height, width)`` of the image.

    ``task.labels[index]`` is the name of a class.
    """
    return [best_classes(scores, size).cpu().numpy() for scores, size in _with_sizes(predictions, inputs)]


def classes(predictions: Tensor, task: Any, inputs: Any) -> list[list[Any]]:
    """Return the names of the classes that an image has pixels of, by descending area."""
    return [list(each) for each in areas(predictions, task, inputs)]


def areas(predictions: Tensor, task: Any, inputs: Any) -> list[dict[Any, float]]:
    """Return the fraction of the pixels of each class in an image, by its name, largest first; absent ones left out."""
    found = []
    for mask in labels(predictions, inputs):
        counts = np.bincount(mask.ravel(), minlength=task.num_classes)
        order = [int(place) for place in np.argsort(-counts, kind="stable") if counts[place]]
        names = range(task.num_classes) if task.labels is None else task.labels
        found.append({names[place]: float(counts[place] / mask.size) for place in order})
    return found


def probabilities(predictions: Tensor, inputs: Any) -> list[npt.NDArray[np.float32]]:
    """Return the probability of each class at each pixel, shape ``(classes, height, width)`` of the image."""
    return [
        torch.softmax(resized_scores(scores, size), 0).cpu().numpy()
        for scores, size in _with_sizes(predictions, inputs)
    ]


def logits(predictions: Tensor, inputs: Any) -> list[npt.NDArray[np.float32]]:
    """Return the score of each class at each pixel, shape ``(classes, height, width)`` of the image."""
    return [resized_scores(scores, size).cpu().numpy() for scores, size in _with_sizes(predictions, inputs)]


def _with_sizes(predictions: Any, inputs: Any) -> Iterator[tuple[Tensor, Sequence[int]]]:
    """Yield the scores of each image, and its height and width."""
    is_list = isinstance(predictions, list) and all(isinstance(each, Tensor) and each.ndim == 3 for each in predictions)
    if not is_list and (not isinstance(predictions, Tensor) or predictions.ndim != 4):
        raise ConfigurationError(
            "Expected predictions of shape (batch, classes, rows, columns), but got "
            f"{tuple(predictions.shape) if isinstance(predictions, Tensor) else type(predictions).__name__}. Ask for "
            "output='raw'."
        )
    if isinstance(inputs, Mapping) and "size" in inputs:
        sizes = inputs["size"].tolist()
    else:
        # Images of another loader have the size of the network's own.
        sizes = [(inputs if isinstance(inputs, Tensor) else predictions).shape[-2:]] * len(predictions)
    yield from zip((scores.float() for scores in predictions), sizes, strict=True)


def resized_scores(scores: Tensor, size: Sequence[int]) -> Tensor:
    """Return scores in another size, bilinearly interpolated.

    Args:
        scores: Shape ``(classes, rows, columns)``.
        size: Height and width.

    Example:
        >>> resized_scores(torch.zeros(2, 3, 3), (6, 9)).shape
        torch.Size([2, 6, 9])
    """
    return nn.functional.interpolate(scores[None], list(size), mode="bilinear", align_corners=False)[0]


def best_classes(scores: Tensor, size: Sequence[int]) -> Tensor:
    """Return the class with the highest score at each pixel, uint8, shape ``size``.

    Args:
        scores: Shape ``(classes, rows, columns)``.
        size: Height and width.

    Example:
        >>> best_classes(torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]), (2, 4)).tolist()
        [[0, 0, 1, 1], [0, 0, 1, 1]]
    """
    at_once = max(1, _VALUES_AT_ONCE // max(1, size[0] * size[1]))
    best, places = resized_scores(scores[:at_once], size).max(0)
    for start in range(at_once, len(scores), at_once):
        higher, found = resized_scores(scores[start : start + at_once], size).max(0)
        is_higher = higher > best
        best = torch.where(is_higher, higher, best)
        places = torch.where(is_higher, found + start, places)
    return places.to(torch.uint8)

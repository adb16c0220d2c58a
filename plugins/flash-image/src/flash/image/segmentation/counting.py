"""Numbers of pixels of each class, of masks and of predictions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flash.core.prediction import PredictedBatch, gather_results, predict_batches
from flash.core.structured_prediction import Array
from flash.data.auto_dataset import AutoDataset
from flash.data.stage import Stage

from .masks import IGNORED
from .outputs import best_classes

__all__ = ["UsualMask", "mask_confusion", "predicted_counts", "true_counts"]

_SIDE = 64


def mask_confusion(truth: Tensor, predicted: Tensor, count: int) -> Tensor:
    """Return how many pixels of each class were predicted as each, shape ``(classes, classes)``.

    Args:
        truth: Class indices, negative where a pixel does not count.
        predicted: Class indices, of the same shape.
        count: The number of classes.

    Example:
        >>> mask_confusion(torch.tensor([0, 1, 1, -100]), torch.tensor([0, 0, 1, 1]), 2).tolist()
        [[1, 0], [1, 1]]
    """
    counted = truth >= 0
    pairs = truth[counted].long() * count + predicted[counted].long()
    return torch.bincount(pairs, minlength=count * count).reshape(count, count).cpu()


def _masks(dataset: AutoDataset) -> Iterator[Tensor]:
    """Yield the mask of each sample in its own size, uint8, 255 where a pixel does not count; none is augmented."""
    hooks = dataset.hooks
    known = dataset if hooks.input_spec is not None else dataset.with_input_spec(hooks.preprocess.preview_spec())
    whole = known.subset(range(len(dataset)), Stage.VAL)
    yield from (whole[row][1] for row in range(len(whole)))


def true_counts(dataset: AutoDataset, num_classes: int) -> Array:
    """Return the number of pixels of each class in each mask, shape ``(images, classes)``."""
    counted = (mask[mask != IGNORED] for mask in _masks(dataset))
    return np.stack([torch.bincount(pixels, minlength=num_classes).numpy() for pixels in counted])


def predicted_counts(task: Any, dataset: AutoDataset, batch_size: int, num_workers: int) -> Array:
    """Return how many pixels are predicted as each class, then how many of them rightly, ``(images, 2 * classes)``."""

    def counts_of(batch: PredictedBatch) -> Iterator[Array]:
        for scores, mask in zip(batch.output, batch.targets, strict=True):
            truth = mask.reshape(mask.shape[-2:])
            predicted = best_classes(scores.float(), (truth.shape[0], truth.shape[1]))
            yield _counts(mask_confusion(truth, predicted, task.num_classes))

    batches = predict_batches(task, dataset, batch_size=batch_size, num_workers=num_workers)
    return np.stack(gather_results(batches, counts_of))


def _counts(confusion: Tensor) -> Array:
    return torch.cat([confusion.sum(0), confusion.diagonal()]).numpy()


class UsualMask:
    """Predicts the same mask for every image: the most frequent class of the train masks at each place.

    Masks are compared at 64 x 64 places, whatever their sizes.
    """

    kind = "trivial"

    def __init__(self) -> None:
        self._mask = torch.zeros(_SIDE, _SIDE, dtype=torch.long)
        self._classes = 1

    def fit(self, data: Any) -> UsualMask:
        """Count the classes at each place of the train masks."""
        dataset = data.train_dataset
        self._classes = int(data.num_classes)
        counts = torch.zeros(self._classes, _SIDE, _SIDE)
        for whole in _masks(dataset):
            mask = _resized(whole, (_SIDE, _SIDE)).long()
            counts.scatter_add_(0, mask.clamp(max=self._classes - 1)[None], (mask != IGNORED).float()[None])
        self._mask = counts.argmax(0)
        return self

    def predict(self, dataset: AutoDataset) -> Array:
        """Return the counts of :func:`predicted_counts`, shape ``(images, 2 * classes)``."""
        found = []
        for mask in _masks(dataset):
            guess = _resized(self._mask, (mask.shape[0], mask.shape[1]))
            found.append(_counts(mask_confusion(torch.where(mask == IGNORED, -1, mask.long()), guess, self._classes)))
        return np.stack(found)


def _resized(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a mask in another size, by the nearest pixel."""
    rows, columns = (torch.arange(side) * old // side for side, old in zip(size, mask.shape, strict=True))
    return mask[rows[:, None], columns]

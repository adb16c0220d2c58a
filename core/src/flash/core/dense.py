"""Tasks whose samples have many targets each, such as a class per pixel, and how models of them are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from flash.data.auto_dataset import AutoDataset

__all__ = ["DenseTask"]


class DenseTask:
    """Part of a task that predicts a class for each of many places of a sample, such as the pixels of an image.

    All places of a sample are too many to keep: models are compared by how many places of each class a sample has, and
    how many of them are found. ``flash baseline`` takes such tasks.

    Example:
        >>> import torch
        >>> class Letters(DenseTask):
        ...     @classmethod
        ...     def true_counts(cls, dataset, num_classes):
        ...         return torch.stack([torch.bincount(target, minlength=num_classes) for _, target in dataset])
        >>> Letters.true_counts([("ab", torch.tensor([0, 1])), ("bb", torch.tensor([1, 1]))], 2)
        tensor([[1, 1],
                [0, 2]])
    """

    @classmethod
    def true_counts(cls, dataset: AutoDataset, num_classes: int) -> Tensor:
        """Return how many places of each class each sample has, shape ``(samples, classes)``.

        Args:
            dataset: Samples with targets.
            num_classes: The number of classes.
        """
        raise NotImplementedError(f"Expected {cls.__name__}.true_counts, which counts the places of each class.")

    def predicted_counts(self, dataset: AutoDataset, batch_size: int, num_workers: int = 0) -> Tensor:
        """Predict samples, and return counts of each class, shape ``(samples, 2, classes)``.

        Args:
            dataset: Samples with targets; the task is bound to their data.
            batch_size: Samples per batch.
            num_workers: The number of worker processes.

        Returns:
            How many places are predicted as each class, and how many of these are right.
        """
        raise NotImplementedError(f"Expected {type(self).__name__}.predicted_counts, which counts predicted places.")

    def pictures(self, dataset: AutoDataset, rows: Sequence[int]) -> list[Any]:
        """Return, for each of some samples, the truth beside the prediction: an array ``(height, width, 3)``, uint8."""
        raise NotImplementedError(f"Expected {type(self).__name__}.pictures, which draws truth and prediction.")

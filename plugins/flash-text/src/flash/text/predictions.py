"""Predictions of the samples of a dataset that has targets, in its order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flash.core.prediction import PredictedBatch, predict_batches
from flash.data.auto_dataset import AutoDataset

__all__ = ["predictions_of"]


def predictions_of(
    task: Any,
    dataset: AutoDataset,
    results_of: Callable[[PredictedBatch], Sequence[Any]],
    batch_size: int,
    num_workers: int = 0,
) -> list[Any]:
    """Return a result per sample, in the order of the dataset.

    Args:
        task: The task.
        dataset: The samples, of validation or test data.
        results_of: Returns the results of a batch, one per sample.
        batch_size: Samples per batch.
        num_workers: The number of worker processes.
    """
    found: dict[int, Any] = {}
    for batch in predict_batches(task, dataset, batch_size=batch_size, num_workers=num_workers, by_length=True):
        found.update(zip(batch.rows, results_of(batch), strict=True))
    return [found[row] for row in range(len(dataset))]

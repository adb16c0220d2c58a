"""Comparison of models of texts by the results of each text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flash.core.prediction import PredictedBatch, gather_results, predict_batches
from flash.core.structured_prediction import StructuredTask
from flash.data.auto_dataset import AutoDataset

__all__ = ["TextComparison"]


class TextComparison(StructuredTask):
    """Part of a task of texts that puts a result of each text beside its target."""

    def results_of(self, batch: PredictedBatch) -> Iterable[Any]:
        """Return the results of a batch, one per text."""
        raise NotImplementedError(f"Expected {type(self).__name__}.results_of, the results that are compared.")

    def results_in(self, dataset: AutoDataset, batch_size: int, num_workers: int = 0) -> list[Any]:
        """Return the result of each text of a dataset, in its order.

        Args:
            dataset: Samples with targets; the task is bound to their data.
            batch_size: Samples per batch.
            num_workers: The number of worker processes.
        """
        task: Any = self
        batches = predict_batches(task, dataset, batch_size=batch_size, num_workers=num_workers, by_length=True)
        return gather_results(batches, self.results_of)

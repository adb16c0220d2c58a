"""Targets, outputs and features of the samples of a dataset, in its order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flash import Task
from flash.core.outputs import to_probabilities
from flash.core.prediction import PredictedBatch, predict_batches
from flash.core.regression import RegressionTask
from flash.data.auto_dataset import AutoDataset
from flash.data.columns import Columns
from flash.data.samplers import restore_order

from ._resampling import Array

__all__ = ["features_of", "outputs_of", "targets_of"]


def targets_of(dataset: AutoDataset) -> Array:
    """Return the targets of a dataset, without loading its inputs if their targets are beside them.

    Returns:
        Class indices ``(samples,)``, zeros and ones ``(samples, classes)``, or numbers.

    Example:
        >>> from flash import DataModule
        >>> targets_of(DataModule.from_tensors(torch.zeros(3, 1), torch.tensor([0, 1, 1]), seed=0).train_dataset)
        array([0, 1, 1])
    """
    source = dataset.source
    tree = source.tree if isinstance(source, Columns) else None
    found = tree[-1] if isinstance(tree, tuple) else getattr(source, "targets", None)
    if found is None:
        found = [dataset[row][1] for row in range(len(dataset))]
    if isinstance(found, list | tuple):
        found = torch.stack([torch.as_tensor(each) for each in found])
    return np.asarray(found.cpu() if isinstance(found, Tensor) else found)


def outputs_of(task: Task, dataset: AutoDataset, batch_size: int, num_workers: int = 0) -> Array:
    """Return the predictions of a task: probabilities ``(samples, classes)``, or numbers ``(samples, targets)``."""
    is_regression = isinstance(task, RegressionTask)
    multi_label = bool(getattr(task, "multi_label", False))

    def present(output: Tensor) -> Tensor:
        return output if is_regression else to_probabilities(output, multi_label)

    batches = predict_batches(task, dataset, batch_size=batch_size, num_workers=num_workers, by_length=True)
    return _in_order(batches, present)


def features_of(
    task: Task, dataset: AutoDataset, batch_size: int, num_workers: int, then: Callable[[Tensor], Tensor]
) -> Array:
    """Return the features of the backbone, shape ``(samples, features)``.

    Args:
        task: A task with ``forward_features``.
        dataset: The samples.
        batch_size: The number of samples per batch.
        num_workers: The number of worker processes.
        then: What to apply to the features of a batch.
    """
    options: dict[str, Any] = {"batch_size": batch_size, "num_workers": num_workers, "forward": task.forward_features}
    return _in_order(predict_batches(task, dataset, by_length=True, **options), then)


def _in_order(batches: Iterator[PredictedBatch], present: Callable[[Tensor], Tensor]) -> Array:
    rows: list[int] = []
    results: list[Array] = []
    for batch in batches:
        with torch.inference_mode():
            results += list(present(batch.output).float().cpu().numpy())
        rows += batch.rows
    return np.stack(restore_order(rows, results))

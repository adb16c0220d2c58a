"""Targets, outputs and features of the samples of a dataset, in its order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from flash import Task
from flash.core import evaluation
from flash.core.evaluation import Evaluated
from flash.core.prediction import gather_rows, predict_batches
from flash.data.auto_dataset import AutoDataset

from ._resampling import Array
from .results import row_name

__all__ = ["features_of", "names_of", "outputs_in", "targets_of"]


def names_of(
    dataset: AutoDataset, part: str, rows: Sequence[int], kept: Mapping[str, Sequence[int]] | None = None
) -> list[str]:
    """Return the names of samples: their ids, and rows of the data that a person passed as ``row_name`` names them.

    Args:
        dataset: The samples of a part.
        part: The name of the part.
        rows: Their places in it.
        kept: Of each part that rows were left out of, those that were not.

    Example:
        >>> from flash import DataModule
        >>> data = DataModule.from_load_data_inputs(list("abcdef"), list("ab"), test_split=0.5, seed=0)
        >>> names_of(data.test_dataset, "test", [0, 1]), names_of(data.val_dataset, "val", [1])
        (['row 2', 'row 3'], ['row 1 of the val data'])
    """
    source = dataset.source_rows
    whose = part if source is None else source.stage.value
    places = (kept or {}).get(whose)
    return [
        row_name(each if places is None else places[each], whose) if isinstance(each, int) else str(each)
        for each in dataset.ids_of(rows)
    ]


def targets_of(dataset: AutoDataset) -> Array:
    """Return the targets of a dataset, as :func:`flash.core.evaluation.targets_of`, as an array."""
    return evaluation.targets_of(dataset).numpy()


def outputs_in(evaluated: Evaluated) -> Array:
    """Return probabilities ``(samples, classes)``, or numbers ``(samples, targets)``."""
    found = evaluated.outputs if evaluated.probabilities is None else evaluated.probabilities
    assert found is not None
    return found.numpy().reshape(len(evaluated), -1)


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
    batches = predict_batches(task, dataset, by_length=True, **options)
    found = gather_rows(batches, lambda batch: {"features": then(batch.output).float()})["features"]
    assert found is not None
    return found.numpy()

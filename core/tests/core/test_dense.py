"""Dense tasks: what a task says of its places."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from flash import Task
from flash.core.dense import DenseTask


class Letters(DenseTask, Task):
    """A task of which only the counts of the truth are known."""

    @classmethod
    def true_counts(cls, dataset: Any, num_classes: int) -> Tensor:
        return torch.stack([torch.bincount(target, minlength=num_classes) for target in dataset])


def test_a_task_counts_the_places_of_each_class_of_a_sample() -> None:
    found = Letters.true_counts([torch.tensor([0, 2, 2]), torch.tensor([1])], 3)
    assert found.tolist() == [[1, 0, 2], [0, 1, 0]]


def test_what_a_dense_task_does_not_count_is_an_error() -> None:
    task: Any = Letters(nn.Linear(2, 1))
    with pytest.raises(NotImplementedError, match="predicted_counts"):
        task.predicted_counts([], 1)
    with pytest.raises(NotImplementedError, match="pictures"):
        task.pictures([], [])

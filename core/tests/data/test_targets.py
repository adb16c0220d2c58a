"""Targets that are numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from flash.data.targets import NumberTargets
from flash.errors import DataError


@pytest.mark.parametrize("targets", [[1, 2.0, "3"], (1, 2, 3), torch.tensor([1, 2, 3])])
def test_one_number_per_sample_is_a_vector(targets: Any) -> None:
    learned = NumberTargets.learn(targets)
    assert learned.mean == [2.0]
    assert learned.encode(targets, "val").tolist() == [1, 2, 3]


def test_several_numbers_per_sample_are_a_matrix() -> None:
    learned = NumberTargets.learn([[1, 5], [3, 5]])
    assert learned.facts(torch.zeros(2)) == {"num_targets": 2, "target_mean": [2, 5], "target_std": [1, 1]}
    assert learned.encode([[1, 2]], "val").tolist() == [[1, 2]]
    assert NumberTargets.from_serializable(learned.to_serializable()) == learned
    with pytest.raises(
        DataError, match="Expected 2 numbers as the target of each sample of the val data, .* but got 1"
    ):
        learned.encode([1, 2], "val")


def test_what_is_missing_or_no_number_says_so() -> None:
    with pytest.raises(DataError, match="a target for every sample of the train data, but 2 of 3 have none. Drop"):
        NumberTargets.learn([1, None, float("nan")])
    for wrong in (["1", "loud"], [[1, 2], [3]]):
        with pytest.raises(DataError, match="Expected numbers as targets of the train data, as many in each sample"):
            NumberTargets.learn(wrong)

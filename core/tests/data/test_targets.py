"""Targets that are numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
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
    learned = NumberTargets.learn([[1, 5], [3, 9]])
    assert learned.facts(torch.zeros(2)) == {"num_targets": 2, "target_mean": [2, 7], "target_std": [1, 2]}
    assert learned.encode([[1, 2]], "val").tolist() == [[1, 2]]
    assert NumberTargets.from_serializable(learned.to_serializable()) == learned
    with pytest.raises(
        DataError, match="Expected 2 numbers as the target of each sample of the val data, .* but got 1"
    ):
        learned.encode([1, 2], "val")


@pytest.mark.parametrize(
    "rows",
    [
        [["1", 2.5], ["3", 4.5]],
        [("1", "2.5"), ("3", "4.5")],
        [np.array(["1", "2.5"]), np.array(["3", "4.5"])],
        [np.array([1, 2.5], dtype=object), np.array([3, 4.5], dtype=object)],
        [torch.tensor([1, 2.5]), torch.tensor([3, 4.5])],
        np.array([[1, 2.5], [3, 4.5]]),
        np.array([[1, 2.5], [3, 4.5], None], dtype=object)[:-1],  # as in a column of a data frame
    ],
)
def test_rows_of_numbers_are_the_same_in_any_container(rows: Any) -> None:
    learned = NumberTargets.learn(rows)
    assert (learned.mean, learned.std) == ([2, 3.5], [1, 1])
    assert learned.encode(rows, "train").tolist() == [[1, 2.5], [3, 4.5]]


def test_what_is_missing_or_no_number_says_so() -> None:
    with pytest.raises(DataError, match="a target for every sample of the train data, but 2 of 3 have none. Drop"):
        NumberTargets.learn([1, None, float("nan")])
    with pytest.raises(DataError, match="a target for every sample of the train data, but 1 of 2 have none. Drop"):
        NumberTargets.learn([np.array([1, 2.0]), np.array([1, None])])
    for wrong in (["1", "loud"], [[1, 2], [3]], ["1_000", 2], [{"pitch": 1}, {"pitch": 2}]):
        with pytest.raises(DataError, match="Expected numbers as targets of the train data, as many in each sample"):
            NumberTargets.learn(wrong)


def test_words_are_an_error_that_leads_to_classification_in_every_stage() -> None:
    advice = "For classes use PitchNames."
    with pytest.raises(DataError, match=r"of the train data, .* but got 'loud'. For classes use PitchNames\.$"):
        NumberTargets.learn(["loud", "1"], advice=advice)
    with pytest.raises(DataError, match=r"of the val data, .* but got 'loud'. For classes use PitchNames\.$"):
        NumberTargets.learn([1, 2]).encode(["loud", "1"], "val", advice)
    with pytest.raises(DataError, match=r"but got indices of 3 classes, such as 'low'. For classes use PitchNames\.$"):
        NumberTargets.learn([0, 1, 2], ["low", "mid", "high"], advice)


@pytest.mark.parametrize("value", [float("inf"), 1e39, "-1e39", 10**400])
def test_a_number_that_is_not_finite_says_so(value: Any) -> None:
    with pytest.raises(DataError, match="Expected finite numbers up to 3e38 as targets of the train data, but got"):
        NumberTargets.learn([1.0, value])


def test_a_number_that_never_changes_is_an_error_that_names_its_column() -> None:
    with pytest.raises(DataError, match="Expected different numbers as targets, but all samples of the train data"):
        NumberTargets.learn([7, 7])
    with pytest.raises(DataError, match="different numbers as targets in column 'q', but all samples .* have 5. There"):
        NumberTargets.learn([[1, 5], [3, 5]], ["p", "q"])

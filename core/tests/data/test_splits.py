"""Splits of whatever ``load_data`` takes, before anything is learned from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset, WeightedRandomSampler

from flash import DataModule, Preprocess
from flash.data.auto_dataset import AutoDataset
from flash.data.columns import Columns
from flash.data.splits import classes_of, count_inputs, split_inputs, split_rows, take_rows
from flash.data.stage import Stage
from flash.data.tables import Table
from flash.errors import ConfigurationError, DataError


class Squares(Dataset[int]):
    targets = [0] * 6 + [1] * 4  # never changed

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> int:
        return index**2


def listed(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: listed(part) for name, part in data.items()}
    if isinstance(data, tuple):
        return tuple(map(listed, data))
    if isinstance(data, Columns):
        return listed(data.tree)
    return data.tolist() if hasattr(data, "tolist") else data


@pytest.mark.parametrize(
    ("data", "taken"),
    [
        (torch.tensor([3, 4, 5]), [3, 5]),
        (np.array([3, 4, 5]), [3, 5]),
        ([3, 4, 5], [3, 5]),
        (range(3, 6), [3, 5]),
        ((3.0, 4.0, 5.0), [3.0, 5.0]),
        (([3, 4, 5], torch.tensor([0, 1, 2])), ([3, 5], [0, 2])),
        (([3, 4, 5], None, [0, 1, 2]), ([3, 5], None, [0, 2])),
        ({"left": [3, 4, 5], "right": np.zeros(3)}, {"left": [3, 5], "right": [0, 0]}),
        (Columns((torch.arange(3), torch.arange(3))), ([0, 2], [0, 2])),
    ],
)
def test_rows_of_every_kind_of_data_can_be_taken(data: Any, taken: Any) -> None:
    assert count_inputs(data) == 3
    assert listed(take_rows(data, [0, 2])) == taken


def test_rows_of_tables_and_datasets_can_be_taken() -> None:
    assert take_rows(Table({"a": [1, 2, 3]}), [2, 0])["a"] == [3, 1]
    assert count_inputs(Table({"a": [1, 2, 3], "b": [1, 2, 3]})) == 3
    assert list(take_rows(Squares(), [2, 3])) == [4, 9]


def test_frames_and_datasets_of_other_libraries_are_asked_in_their_own_way() -> None:
    class Polars(list[int]):
        def get_columns(self) -> None: ...

        def __getitem__(self, rows: Any) -> Any:
            return f"rows {rows.tolist()}"

    class HuggingFace(list[int]):
        column_names = ("a",)

        def select(self, rows: Any) -> Any:
            return f"selected {rows.tolist()}"

    class Pandas(list[int]):
        @property
        def iloc(self) -> Any:
            return _Located()

    class _Located:
        def __getitem__(self, rows: Any) -> Any:
            return f"located {rows.tolist()}"

    class Own:
        def __len__(self) -> int:
            return 4

        def take(self, rows: Any) -> Any:
            return f"taken {rows}"

    assert take_rows(Polars([1, 2]), [0]) == "rows [0]"
    assert take_rows(HuggingFace([1, 2]), [0]) == "selected [0]"
    assert take_rows(Pandas([1, 2]), [0]) == "located [0]"
    assert take_rows(Own(), [0, 1]) == "taken [0, 1]"


@pytest.mark.parametrize("data", ["train.csv", b"bytes", iter([1]), 7])
def test_what_has_no_rows_says_so(data: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected train data with a length and rows.* or override split"):
        split_inputs(data, 0.5, 0)


def test_what_has_a_length_and_no_rows_says_so() -> None:
    with pytest.raises(ConfigurationError, match="whose rows can be taken by their number, .* but got set"):
        split_inputs({1, 2, 3}, 0.5, 0)


def test_parts_of_different_lengths_say_so() -> None:
    with pytest.raises(DataError, match=r"Expected parts with one number of rows .* but got \[3, 2\]. Pass one target"):
        split_inputs(([1, 2, 3], [1, 2]), 0.5, 0)


@pytest.mark.parametrize(
    ("data", "classes"),
    [
        (([1, 2], [0, 1]), [0, 1]),
        (([1, 2], ["a", None], None), ["a", None]),
        (([1, 2], np.array(["a", "b"])), ["a", "b"]),
        (([1, 2], [["x"], []]), [["x"], []]),
        (([1, 2], [0.5, 1.5]), None),
        (([1, 2], np.full((2, 3), 0.5)), None),
        (([1, 2], np.array([[1, 1, 0], [0, 0, 1.0]])), [[0, 1], [2]]),
        (([1, 2], torch.tensor([[1, 1, 0], [0, 0, 1]])), [[0, 1], [2]]),
        (([1, 2], [[1, 1, 0], (0, 0, 1)]), [[0, 1], [2]]),
        ([(1, "a"), (2, "b")], ["a", "b"]),
        ([1, 2], None),
        ("text", None),
    ],
)
def test_classes_are_found_where_the_data_has_them(data: Any, classes: Any) -> None:
    assert classes_of(data) == classes


def test_classes_of_datasets_are_found_without_loading_samples() -> None:
    assert classes_of(Squares()) == Squares.targets
    targets = torch.tensor([0, 1, 1])
    assert classes_of(TensorDataset(torch.zeros(3), targets)) is targets
    assert classes_of(Columns((torch.zeros(3), targets))) is targets
    assert classes_of(TensorDataset(torch.zeros(3), torch.zeros(3))) is None


def test_each_of_several_classes_of_a_row_keeps_a_train_row() -> None:
    classes = [["common"], ["common", "rare"], ["common"], ["common"], [], ["rare"]]
    for seed in range(20):
        train, val = split_rows(6, 0.5, seed, classes)
        assert len(val) == 3
        left = {label for row in train for label in classes[row]}
        assert {label for row in val for label in classes[row]} <= left


def test_classes_that_are_missing_or_of_several_types_are_split_too() -> None:
    train, val = split_rows(8, 0.25, 0, ["a", None, 1, 1, "a", None, 1, "a"])
    assert sorted([*train, *val]) == list(range(8))


# ---------------------------------------------------------------------- in data modules


class Learning(Preprocess):
    """Learns the mean of the train rows, and which classes they have."""

    seen: Any = None

    def load_data(self, data: Any, dataset: AutoDataset) -> Any:
        inputs, targets = data
        if self.training:
            self.seen = sorted(inputs.tolist())
            facts: Any = dataset
            facts.class_counts = torch.bincount(targets).tolist()
        return Columns((inputs, targets))


def test_nothing_is_learned_from_rows_that_are_split_off() -> None:
    preprocess = Learning()
    data = (torch.arange(20.0), torch.tensor([0] * 12 + [1] * 8))
    dm = DataModule.from_load_data_inputs(data, preprocess=preprocess, val_split=0.25, seed=0)
    train = sorted(dm.train_dataset[row][0].item() for row in range(len(dm.train_dataset)))
    assert preprocess.seen == train
    assert dm.facts["class_counts"] == [9, 6]
    assert len(dm.val_dataset) == 5


def test_a_preprocess_can_split_its_own_inputs() -> None:
    class Numbers(Preprocess):
        def split(self, data: int, fraction: float, seed: int) -> tuple[Any, Any]:
            return data - 2, 2

        def load_data(self, data: int) -> Any:
            return list(range(data))

    dm = DataModule.from_load_data_inputs(10, preprocess=Numbers(), val_split=0.2)
    assert (len(dm.train_dataset), len(dm.val_dataset)) == (8, 2)


def test_a_sampler_that_was_made_for_all_rows_is_refused_with_a_split() -> None:
    made = WeightedRandomSampler([1.0] * 10, 10)
    for constructor in (
        lambda sampler: DataModule(Squares(), val_split=0.2, sampler=sampler),
        lambda sampler: DataModule.from_load_data_inputs(range(10), val_split=0.2, sampler=sampler),
    ):
        with pytest.raises(ConfigurationError, match="a sampler that is made of the train rows.*WeightedRandomSampler"):
            constructor(made)
        dm = constructor(lambda dataset: WeightedRandomSampler([1.0] * len(dataset), len(dataset)))
        sampler: Any = dm.train_dataloader().sampler
        assert len(sampler) == 8


def test_data_that_is_loaded_already_is_not_split() -> None:
    dataset = AutoDataset(list(range(10)), Stage.TRAIN, Preprocess())
    with pytest.raises(ConfigurationError, match="Expected train data that is not loaded yet.*from_load_data_inputs"):
        DataModule(dataset, val_split=0.2)


def test_an_empty_list_of_classes_is_no_classes() -> None:
    data = (torch.arange(10), torch.tensor([0] * 9 + [1]))
    chosen = {split_inputs(data, 0.1, seed, ())[1][1].item() for seed in range(40)}
    assert chosen == {0, 1}
    # With classes, the only row of one stays in train.
    assert {split_inputs(data, 0.1, seed)[1][1].item() for seed in range(40)} == {0}

"""Splits of whatever ``load_data`` takes, before anything is learned from it."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset, WeightedRandomSampler

from flash import DataModule, Preprocess
from flash.data.auto_dataset import AutoDataset
from flash.data.columns import Columns
from flash.data.samples import SampleData, SamplePreprocess
from flash.data.splits import (
    classes_of,
    count_inputs,
    draw_stratified,
    split_folds,
    split_inputs,
    split_rows,
    take_rows,
    times_of,
)
from flash.data.stage import Stage
from flash.data.tables import Table
from flash.data.targets import NumberTargets
from flash.errors import ConfigurationError, DataError, MissingColumnError


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


# ---------------------------------------------------------------------- classes with one row


def test_targets_that_are_all_different_are_taken_for_classes_only_by_who_knows_that_they_are() -> None:
    data = (list(range(6)), list("abcdef"))
    train, val = split_inputs(data, 0.34, 0)
    assert (len(train[0]), len(val[0])) == (4, 2)
    with pytest.raises(DataError, match="each row has all rows of a class. Add rows of these classes, or pass valid"):
        split_inputs(data, 0.34, 0, classes=data[1])


def test_a_class_with_one_row_stays_in_train() -> None:
    for seed in range(20):
        train, val = split_rows(6, 0.34, seed, list("aabcde"))
        assert sorted([*train, *val]) == list(range(6))
        assert [*val] in ([0], [1])


class Letters(SamplePreprocess):
    """Samples that are texts, with classes."""


class LetterData(SampleData):
    preprocess_cls = Letters


class Numbers(SamplePreprocess):
    targets_cls = NumberTargets


class NumberData(SampleData):
    preprocess_cls = Numbers


def test_samples_with_one_row_a_class_are_not_split_while_numbers_are() -> None:
    with pytest.raises(DataError, match="Expected classes with rows for both training and validation"):
        LetterData.from_lists(list("uvwxyz"), list("abcdef"), val_split=0.34)
    dm = NumberData.from_lists(list("uvwxyz"), [1, 2, 3, 4, 5, 6], val_split=0.34)
    assert (len(dm.train_dataset), len(dm.val_dataset)) == (4, 2)


@pytest.mark.parametrize("data_class", [LetterData, NumberData])
def test_a_missing_target_is_found_before_the_split(data_class: type[SampleData]) -> None:
    targets = [1, 2, 1, 2, 1, 2, 1, None]
    for seed in range(4):
        with pytest.raises(DataError, match="Expected a target for every sample of the train data, but 1 of 8"):
            data_class.from_lists(list("stuvwxyz"), targets, val_split=0.5, seed=seed)


def test_classes_of_one_name_in_several_types_are_stratified_as_one() -> None:
    targets = np.array([1, 1, 1, 1, 2, 2, 2, 2], dtype=object)
    targets[1::2] = targets[1::2].astype(float)
    dm = LetterData.from_lists(list("abcdefgh"), targets, val_split=0.25, seed=0)
    assert sorted(int(target) for _, target in dm.val_dataset) == [0, 1]


# ---------------------------------------------------------------------- groups


GROUPS = [f"patient {row // 5}" for row in range(60)]
CLASSES = [int(row % 3 == 0) for row in range(60)]


def sides(train: Any, val: Any, groups: Any) -> tuple[set[Any], set[Any]]:
    return {groups[row] for row in train}, {groups[row] for row in val}


@pytest.mark.parametrize("classes", [None, CLASSES])
def test_rows_of_a_group_are_never_divided(classes: Any) -> None:
    for seed in range(10):
        train, val = split_rows(60, 0.25, seed, classes, GROUPS)
        assert sorted([*train, *val]) == list(range(60))
        assert len(val) == 15
        in_train, in_val = sides(train, val, GROUPS)
        assert not in_train & in_val


def test_the_seed_decides_the_split_of_groups() -> None:
    first, again, other = (split_rows(60, 0.2, seed, CLASSES, GROUPS)[1].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_classes_are_about_as_frequent_on_both_sides_where_groups_allow_it() -> None:
    # Each patient has rows of one class: 6 of 30 have the rare one.
    groups = [row // 4 for row in range(120)]
    classes = [int(group % 5 == 0) for group in groups]
    for seed in range(10):
        _, val = split_rows(120, 1 / 3, seed, classes, groups)
        assert len(val) == 40
        assert sum(classes[row] for row in val) == 8


def test_every_class_keeps_a_train_row_with_groups() -> None:
    groups = ["a"] * 4 + ["b"] * 2 + ["c"] * 2
    classes = ["x", "x", "y", "z", "x", "y", "x", "y"]  # only group a has z
    for seed in range(10):
        train, val = split_rows(8, 0.5, seed, classes, groups)
        assert {classes[row] for row in train} == {"x", "y", "z"}
        assert "a" not in {groups[row] for row in val}


def test_a_group_that_is_larger_than_the_split_is_taken_whole() -> None:
    train, val = split_rows(10, 0.1, 0, groups=["a"] * 5 + ["b"] * 5)
    assert (len(train), len(val)) == (5, 5)


def test_groups_that_cannot_be_split_say_so() -> None:
    with pytest.raises(DataError, match="Expected at least 2 groups to .* all 4 rows have the group 'a'. Leave"):
        split_rows(4, 0.5, 0, groups=["a"] * 4)
    with pytest.raises(DataError, match="but each group has all rows of a class. Add rows of these classes"):
        split_rows(4, 0.5, 0, ["x", "x", "y", "y"], groups=["a", "a", "b", "b"])


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        (["a"] * 3, "Expected one group per train row, but got 3 groups and 8 rows"),
        ([*"abcdefg", None], "Expected a group for every train row, but 1 of 8 have none. Drop these rows, or give"),
        ("patient", "Expected one group per train row, since the train data is no table with a column 'patient'"),
    ],
)
def test_wrong_groups_say_so(groups: Any, sentence: str) -> None:
    with pytest.raises((DataError, ConfigurationError), match=sentence):
        LetterData.from_lists(list("abcdefgh"), [0, 1] * 4, val_split=0.5, groups=groups)


def test_groups_without_a_split_say_so() -> None:
    for constructor in (DataModule, DataModule.from_load_data_inputs):
        with pytest.raises(ConfigurationError, match="together with val_split or test_split, but got groups al"):
            constructor(Squares(), groups=["a"] * 10)


def test_a_function_tells_the_group_of_a_source() -> None:
    names = [f"{patient}_{scan}" for patient in "abcd" for scan in range(3)]
    dm = LetterData.from_lists(names, [0, 1, 0] * 4, val_split=0.25, groups=lambda name: name.split("_")[0], seed=0)
    assert len({name[0] for name, _ in dm.val_dataset}) == 1
    assert len(dm.val_dataset) == 3
    with pytest.raises(ConfigurationError, match=r"the train data \(range\) has no sources, such as paths, that a"):
        DataModule.from_load_data_inputs(range(4), val_split=0.5, groups=str)


@pytest.mark.parametrize("constructor", ["from_data_frame", "from_csv"])
def test_a_column_of_the_table_has_the_groups(constructor: str, tmp_path: Path) -> None:
    columns = {"text": [f"{group} {row}" for row, group in enumerate(GROUPS)], "y": CLASSES, "patient": GROUPS}
    source: Any = columns
    if constructor == "from_csv":
        source = tmp_path / "train.csv"
        rows = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
        source.write_text("\n".join(rows))
    dm = getattr(LetterData, constructor)("text", "y", source, val_split=0.25, groups="patient", seed=0)
    in_train, in_val = ({text.rsplit(" ", 1)[0] for text, _ in data} for data in (dm.train_dataset, dm.val_dataset))
    assert not in_train & in_val
    assert len(dm.val_dataset) == 15
    with pytest.raises(MissingColumnError, match="Expected a column 'patent' in .* Did you mean 'patient'?"):
        getattr(LetterData, constructor)("text", "y", source, val_split=0.25, groups="patent")


def test_a_split_of_ones_own_without_groups_says_so() -> None:
    class Own(Preprocess):
        def split(self, data: Any, fraction: float, seed: int) -> tuple[Any, Any]:
            return data[:2], data[2:]

    with pytest.raises(ConfigurationError, match="a preprocess whose split takes groups, but Own.split does not"):
        DataModule.from_load_data_inputs([1, 2, 3, 4], preprocess=Own(), val_split=0.5, groups=[0, 0, 1, 1])


def test_an_empty_list_of_classes_is_no_classes() -> None:
    data = (torch.arange(10), torch.tensor([0] * 9 + [1]))
    chosen = {split_inputs(data, 0.1, seed, ())[1][1].item() for seed in range(40)}
    assert chosen == {0, 1}
    # With classes, the only row of one stays in train.
    assert {split_inputs(data, 0.1, seed)[1][1].item() for seed in range(40)} == {0}


# ---------------------------------------------------------------------- test rows, and splits by time


def test_test_rows_are_taken_before_validation_rows() -> None:
    rows = TensorDataset(torch.arange(100))
    dm = DataModule(rows, test_split=0.2, val_split=0.25, seed=0)
    parts = [[int(x) for (x,) in part] for part in (dm.train_dataset, dm.val_dataset, dm.test_dataset)]
    assert [len(part) for part in parts] == [60, 20, 20]
    assert sorted(parts[0] + parts[1] + parts[2]) == list(range(100))
    # What is tested does not depend on what is validated.
    alone = DataModule(rows, test_split=0.2, seed=0)
    assert [int(x) for (x,) in alone.test_dataset] == parts[2]


def test_test_rows_of_each_class_are_taken() -> None:
    dm = LetterData.from_lists(list("abcdefghij") * 4, ["no", "yes"] * 20, test_split=0.5, val_split=0.5, seed=0)
    for part, count in ((dm.train_dataset, 5), (dm.val_dataset, 5), (dm.test_dataset, 10)):
        assert [int(target) for _, target in part].count(1) == count


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"test_split": 0.0}, "Expected test_split to be a fraction between 0 and 1, such as 0.1, but got 0.0"),
        ({"test_split": 0.5, "test_dataset": Squares()}, "Expected test_split or test data, but got both"),
        ({"times": [0] * 10}, "Expected times together with val_split or test_split, but got times alone"),
        (
            {"test_split": 0.5, "val_split": 0.5, "groups": ["a"] * 10},
            "Expected groups as the name of a column or a function, since test_split and val_split take rows away",
        ),
        (
            {"val_split": 0.5, "groups": ["a", "b"] * 5, "times": range(10)},
            "Expected groups or times to split by, but got both",
        ),
    ],
)
def test_splits_that_contradict_each_other_say_so(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        DataModule(Squares(), **options)


def test_the_latest_rows_are_for_validation() -> None:
    dm = DataModule(Squares(), val_split=0.3, times=[5, 1, 9, 3, 7, 2, 8, 4, 6, 0])
    assert list(dm.val_dataset) == [4, 16, 36]


def test_rows_of_one_time_are_on_one_side() -> None:
    for wanted, latest in ((0.5, 4), (0.1, 4), (0.9, 8)):
        assert len(split_rows(10, wanted, 0, times=[1, 1, 2, 2, 2, 2, 3, 3, 3, 3])[1]) == latest
    with pytest.raises(DataError, match="Expected at least 2 times to split off the latest rows, but all 4 rows have"):
        split_rows(4, 0.5, 0, times=[7] * 4)


@pytest.mark.parametrize("constructor", ["from_data_frame", "from_csv"])
def test_columns_of_groups_and_times_are_split_along(constructor: str, tmp_path: Path) -> None:
    days = [f"2024-{month:02}-{day:02}" for month in (3, 1, 2) for day in (1, 2, 3, 4)]
    columns = {"text": days, "y": [0, 1] * 6, "day": days, "month": [day[:7] for day in days]}
    source: Any = columns
    if constructor == "from_csv":
        source = tmp_path / "train.csv"
        rows = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
        source.write_text("\n".join(rows))
    make = getattr(LetterData, constructor)
    dm = make("text", "y", source, test_split=0.25, val_split=0.25, times="day")
    found = [[text for text, _ in part] for part in (dm.train_dataset, dm.val_dataset, dm.test_dataset)]
    in_order = sorted(days)
    assert [sorted(part) for part in found] == [in_order[:7], in_order[7:9], in_order[9:]]
    dm = make("text", "y", source, test_split=0.33, val_split=0.5, groups="month", seed=0)
    months = [{text[:7] for text, _ in part} for part in (dm.train_dataset, dm.val_dataset, dm.test_dataset)]
    assert sorted(map(len, months)) == [1, 1, 1]
    assert len(set.union(*months)) == 3


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1970-01-01", "1970-01-02T00:00:01"], [0.0, 86401.0]),
        (["1970-01-01T01:00:00+01:00", "1970-01-01 00:00:01Z"], [0.0, 1.0]),
        (["10", "9.5"], [10.0, 9.5]),
        (np.array(["1970-01-01T00:00:00.5", "1970-01-02"], dtype="datetime64[ms]"), [0.5, 86400.0]),
        ([datetime.date(1970, 1, 2), datetime.datetime(1970, 1, 1, 0, 1)], [86400.0, 60.0]),
    ],
)
def test_times_are_numbers_and_dates(values: Any, expected: list[float]) -> None:
    assert times_of(range(2), values) == expected


def test_what_is_no_time_says_so() -> None:
    with pytest.raises(DataError, match="Expected a number or a date such as 2024-05-31 .* but got 'May 3'"):
        times_of(range(2), ["2024-05-31", "May 3"])
    with pytest.raises(DataError, match="Expected a time for every train row, but 1 of 2 have none"):
        times_of(range(2), [1, None])


def test_a_split_of_ones_own_without_times_says_so() -> None:
    class Own(Preprocess):
        def split(self, data: Any, fraction: float, seed: int) -> tuple[Any, Any]:
            return data[:2], data[2:]

    with pytest.raises(ConfigurationError, match="a preprocess whose split takes times, but Own.split does not"):
        DataModule.from_load_data_inputs([1, 2, 3, 4], preprocess=Own(), test_split=0.5, times=[0, 0, 1, 1])


class TestTablesInParts:
    """Splits of tables that are read part by part."""

    def test_each_class_has_its_share_in_every_order(self) -> None:
        classes = np.repeat([0, 1, 2], [700, 290, 10])
        for order in (classes, np.random.default_rng(0).permutation(classes)):
            flags = draw_stratified(np.array_split(order, 7), np.bincount(order), 0.2, seed=0)
            assert np.bincount(order[flags]).tolist() == [140, 58, 2]

    def test_each_row_is_as_likely_as_any_other(self) -> None:
        parts = [np.zeros(5, dtype=np.int64), np.zeros(15, dtype=np.int64)]
        drawn = sum(draw_stratified(parts, np.array([20]), 0.25, seed).astype(int) for seed in range(2000))
        # 500 times each, with a standard deviation of 19.
        assert drawn.sum() == 5 * 2000
        assert 420 < drawn.min() <= drawn.max() < 580

    def test_the_seed_decides(self) -> None:
        parts, counts = [np.zeros(50, dtype=np.int64)], np.array([50])
        first, again, other = (draw_stratified(parts, counts, 0.5, seed).tolist() for seed in (0, 0, 1))
        assert first == again
        assert first != other

    @pytest.mark.parametrize("classes", [[0], [0, 1, 2]])
    def test_classes_of_one_row_cannot_be_split(self, classes: list[int]) -> None:
        with pytest.raises(DataError, match="Expected at least two rows of a class to split validation data off"):
            draw_stratified([np.array(classes)], np.bincount(classes), 0.5, seed=0)


@pytest.mark.parametrize("classes", [None, ["a", "b", "b"] * 11, [["a"], ["a", "b"], []] * 11])
def test_each_row_is_in_one_of_the_folds(classes: Any) -> None:
    folds = split_folds(33, 4, 0, classes)
    assert sorted(np.concatenate(folds).tolist()) == list(range(33))
    assert {len(fold) for fold in folds} == {8, 9}
    assert all(np.array_equal(fold, np.sort(fold)) for fold in folds)


def test_classes_are_as_frequent_in_each_fold() -> None:
    classes = np.array([0] * 60 + [1] * 30 + [2] * 10)
    counts = [np.bincount(classes[fold]).tolist() for fold in split_folds(100, 5, 0, classes)]
    assert counts == [[12, 6, 2]] * 5


def test_no_group_is_in_two_folds() -> None:
    groups = [f"group {row // 3}" for row in range(60)]
    folds = [{groups[row] for row in fold} for fold in split_folds(60, 4, 0, ["a", "b"] * 30, groups)]
    assert sum(map(len, folds)) == len(set(groups))


def test_the_seed_decides_the_folds() -> None:
    one, other, third = split_folds(30, 3, 0), split_folds(30, 3, 0), split_folds(30, 3, 1)
    assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))
    assert not all(np.array_equal(*pair) for pair in zip(one, third, strict=True))


@pytest.mark.parametrize("folds", [1, 0, -2, True, 2.0, "3"])
def test_a_number_of_folds_is_an_integer_above_one(folds: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected folds to be an integer above 1, but got"):
        split_folds(10, folds, 0)


def test_there_are_as_many_rows_and_groups_as_folds() -> None:
    with pytest.raises(DataError, match="Expected at least one of the rows for each of 5 folds, but got 4 rows"):
        split_folds(4, 5, 0)
    with pytest.raises(DataError, match="Expected at least one of the groups for each of 3 folds, but got 2 groups"):
        split_folds(6, 3, 0, groups=[1, 1, 1, 2, 2, 2])

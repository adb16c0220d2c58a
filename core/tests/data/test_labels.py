"""Class labels are learned from train targets alone, and every target has one meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from flash.data.labels import ClassLabels, class_indices, indicated_classes
from flash.errors import DataError


@pytest.mark.parametrize(
    ("targets", "labels", "codes"),
    [
        (["b", "a", "b"], ["a", "b"], [1, 0, 1]),
        ([3, 1, 1], [1, 3], [1, 0, 0]),
        ([True, False], [False, True], [1, 0]),
        (np.array([2.0, 0.0]), [0, 2], [1, 0]),
        (torch.tensor([5, 7, 5]), [5, 7], [0, 1, 0]),
        (np.array(["x", "y"]), ["x", "y"], [0, 1]),
        (["10", "9"], ["10", "9"], [0, 1]),
        ([b"y", b"x"], ["x", "y"], [1, 0]),
        (np.array([b"y", b"x"]), ["x", "y"], [1, 0]),
        (np.array([0.1, 0.25], np.float32), [0.1, 0.25], [0, 1]),
        (torch.tensor([0.1, 0.25]), [0.1, 0.25], [0, 1]),
        ([np.float32(0.1), 0.25], [0.1, 0.25], [0, 1]),
        (list(torch.tensor([2, 1])), [1, 2], [1, 0]),
    ],
)
def test_one_class_a_sample_becomes_its_place(targets: Any, labels: list[Any], codes: list[int]) -> None:
    classes = ClassLabels.learn(targets)
    assert classes.labels == labels
    assert not classes.multi_label
    assert classes.encode(targets, "train").tolist() == codes


@pytest.mark.parametrize(
    "targets",
    [[["a", "b"], ["b"], []], [("a", "b"), ("b",), ()], [{"a", "b"}, {"b"}, set()]],
    ids=["list", "tuple", "set"],
)
def test_several_classes_a_sample_become_zeros_and_ones(targets: Any) -> None:
    classes = ClassLabels.learn(targets)
    assert (classes.labels, classes.multi_label) == (["a", "b"], True)
    assert classes.encode(targets, "train").tolist() == [[1, 1], [0, 1], [0, 0]]


@pytest.mark.parametrize("rows", [np.eye(3), torch.eye(3).int(), list(torch.eye(3))], ids=["numpy", "tensor", "list"])
def test_rows_of_zeros_and_ones_stay_what_they_are(rows: Any) -> None:
    classes = ClassLabels.learn(rows, names=["a", "b", "c"])
    assert (classes.labels, classes.multi_label) == (["a", "b", "c"], True)
    assert classes.encode(rows, "val").tolist() == np.eye(3).tolist()


ROWS = [[1, 1, 0], [0, 1, 1], [0, 0, 0]]
CONTAINERS = {
    "lists": lambda rows: [list(row) for row in rows],
    "tuples": lambda rows: tuple(tuple(row) for row in rows),
    "array": np.array,
    "tensor": torch.tensor,
    "arrays": lambda rows: [np.array(row) for row in rows],
    "objects": lambda rows: np.array([*map(list, rows), None], dtype=object)[:-1],
    "floats": lambda rows: [[float(value) for value in row] for row in rows],
}
ALIKE = pytest.mark.parametrize("hold", CONTAINERS.values(), ids=CONTAINERS)


@ALIKE
def test_rows_of_zeros_and_ones_are_read_alike_whatever_holds_them(hold: Any) -> None:
    classes = ClassLabels.learn(hold(ROWS))
    assert (classes.labels, classes.multi_label, classes.indicators) == ([0, 1, 2], True, True)
    assert classes.encode(hold(ROWS), "test").tolist() == ROWS


@ALIKE
@pytest.mark.parametrize("stage", ["train", "val"])
def test_rows_of_fractions_are_an_error_whatever_holds_them(hold: Any, stage: str) -> None:
    soft = hold([[0.1, 0.9, 0], [0, 0.7, 0.6], [0.5, 0, 0.4]])
    sentence = rf"zeros and ones, for every sample of the {stage} data, but got fractions: \[0.1.*Round such soft"
    with pytest.raises(DataError, match=sentence):
        ClassLabels.learn(soft if stage == "train" else hold(ROWS)).encode(soft, stage)


@ALIKE
def test_rows_of_one_number_can_be_read_in_two_ways(hold: Any) -> None:
    sentence = r"either a row of zeros and ones for one class, or a list of one class.*in an array, targets\[:, 0\]"
    with pytest.raises(DataError, match=sentence):
        ClassLabels.learn(hold([[0], [1], [1]]))


@ALIKE
def test_rows_of_other_whole_numbers_are_lists_of_classes(hold: Any) -> None:
    classes = ClassLabels.learn(hold([[0, 2], [2, 5]]))
    assert (classes.labels, classes.indicators) == ([0, 2, 5], False)
    with pytest.raises(DataError, match=r"list of different classes, or a row of zeros and ones.*but got \[0, 2, 0\]"):
        ClassLabels.learn(hold([[0, 1, 0], [0, 2, 0]]))


def test_rows_of_zeros_and_ones_may_be_written_in_words() -> None:
    assert ClassLabels.learn([["1", "1", "0"], ["0", "0", "1"]]).labels == [0, 1, 2]
    classes = ClassLabels.learn([[True, False], [False, True]])
    assert classes.encode([["true", "FALSE"], ["0.0", 1]], "val").tolist() == [[1, 0], [0, 1]]


def test_rows_of_unequal_length_are_lists_of_classes_or_an_error() -> None:
    assert ClassLabels.learn([[0], [1], [0, 1]]).encode([[1, 0]], "val").tolist() == [[1, 1]]
    sentence = r"sample of the train data, but got \[1, 1, 0\]. Give all rows the same number of zeros and ones"
    with pytest.raises(DataError, match=sentence):
        ClassLabels.learn([[1, 1, 0], [0, 1]])
    with pytest.raises(DataError, match=r"sample of the val data, but got \[1, 1, 0\]. Give all rows"):
        ClassLabels.learn([[0], [1], [0, 1]]).encode([[1, 1, 0]], "val")


def test_fractions_written_as_text_can_be_read_in_two_ways() -> None:
    sentence = r"but got \['0.1', '0.9'\], which is either a row of fractions or a list of classes that are called so"
    with pytest.raises(DataError, match=sentence):
        ClassLabels.learn([["0.1", "0.9"], ["1", "0"]])
    assert ClassLabels.learn([["0.1"], ["0.1", "1.10"]]).labels == ["0.1", "1.10"]


def test_lists_of_places_of_names_are_no_rows_of_zeros_and_ones() -> None:
    names = ["a", "b", "c"]
    assert ClassLabels.learn([[0, 1], [1, 0]], names).encode([[0, 2]], "val").tolist() == [[1, 0, 1]]
    assert ClassLabels.learn([[0], [1]], names).encode([[2]], "val").tolist() == [[0, 0, 1]]
    assert ClassLabels.learn([[0], [1]], ["a"]).encode([[1]], "val").tolist() == [[1]]
    with pytest.raises(DataError, match=r"a row of 4 zeros and ones, one per class.*train data, but got \[1, 1, 0\]"):
        ClassLabels.learn(ROWS, [*names, "d"])


@ALIKE
def test_the_classes_of_rows_of_zeros_and_ones_are_the_places_of_the_ones(hold: Any) -> None:
    assert indicated_classes(hold(ROWS)) == [[0, 1], [1, 2], []]
    assert indicated_classes(hold([[0, 2], [1, 0]])) is None


def test_numbers_with_names_are_the_places_of_the_names() -> None:
    classes = ClassLabels.learn([2, 0], names=["ants", "bees", "wasps"])
    assert classes.labels == ["ants", "bees", "wasps"]
    assert classes.encode([1, 2], "val").tolist() == [1, 2]
    assert ClassLabels.learn([[0, 2], []], names=["a", "b", "c"]).encode([[1]], "val").tolist() == [[0, 1, 0]]


def test_names_of_classes_without_samples_are_kept() -> None:
    assert ClassLabels.learn(["a", "c"], names=["a", "b", "c"]).encode(["c"], "val").tolist() == [2]


def test_counts_are_those_of_the_train_targets() -> None:
    classes = ClassLabels.learn(["a", "c", "a"], names=["a", "b", "c"])
    assert classes.facts(classes.encode(["a", "c", "a"], "train"))["class_counts"] == [2, 0, 1]
    several = ClassLabels.learn([["a"], ["a", "b"]])
    assert several.facts(several.encode([["a"], ["a", "b"]], "train"))["class_counts"] == [2, 1]


def test_plain_data_brings_it_back() -> None:
    classes = ClassLabels.learn([["a"], ["b"]])
    assert ClassLabels.from_serializable(classes.to_serializable()) == classes


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [
        (["a", None], "Expected a target for every sample of the train data, but 1 of 2 have none. Drop these"),
        (["a", float("nan")], "Expected a target for every sample of the train data, but 1 of 2 have none"),
        (["a", "a"], "Expected at least two classes in the train data, but got 'a'. Check the targets"),
        ([[], []], "Expected at least two classes in the train data, but got none"),
        ([number / 30 for number in range(30)], "Expected classes as targets, but got 30 different numbers with"),
        ([["a"], "a"], r"one class per sample or a list of classes in every sample.*Write a single class as \['a'\]"),
        (["[1, 0]", "[0, 1]"], r"but got text of lists, such as '\[0, 1\]'.*Read it with ast.literal_eval"),
        ([{"a": 1}, {"b": 1}], "but got a dict: {'a': 1}. Pass one of its values"),
        ([[["a"], ["b"]], [["a"]]], r"but got lists in a list: \[\['a'\], \['b'\]\]. Flatten it"),
    ],
)
def test_train_targets_that_cannot_be_classes_are_an_error(targets: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        ClassLabels.learn(targets)


def test_numbers_beyond_their_names_are_an_error() -> None:
    with pytest.raises(DataError, match="among those of the train data .0, 1., but got 2 in 1 samples"):
        ClassLabels.learn([0, 2], names=["a", "b"])


def test_unseen_labels_are_an_error_that_names_one() -> None:
    sentence = "Expected targets in the val data that are among those of the train data .'a', 'b'., but got 'c' in 2"
    with pytest.raises(DataError, match=sentence):
        ClassLabels.learn(["a", "b"]).encode(["c", "a", "c"], "val")


def test_a_list_where_train_had_one_class_is_an_error() -> None:
    with pytest.raises(DataError, match=r"Expected one class per sample in the test data.*but got \['a'\]"):
        ClassLabels.learn(["a", "b"]).encode([["a"]], "test")
    with pytest.raises(DataError, match="Expected a list of classes per sample in the test data.*but got 'a'"):
        ClassLabels.learn([["a"], ["b"]]).encode(["a"], "test")


def test_a_class_is_known_however_it_is_stored() -> None:
    assert ClassLabels.learn(["001", "1.10"]).encode(["1.10", "001"], "val").tolist() == [1, 0]
    assert ClassLabels.learn([0, 1]).encode(["1", "0"], "val").tolist() == [1, 0]
    assert ClassLabels.learn(["no", "1"]).encode([1, "no"], "val").tolist() == [0, 1]
    assert ClassLabels.learn([True, False]).encode(["true", "False", 1], "val").tolist() == [1, 0, 1]
    assert "true" in class_indices(["1"])
    assert "false" not in class_indices(["1"])
    assert "true" not in class_indices(["1", "2"])
    with pytest.raises(DataError, match="but got '2' in 1 samples"):
        ClassLabels.learn([0, 1]).encode(["2"], "val")


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(("one", "other"), [(1, "1"), ("a", " a"), ("a ", "a"), (True, "true"), ("True", "TRUE")])
def test_classes_that_are_written_alike_are_asked_about(one: Any, other: Any, several: bool) -> None:
    targets = [[one], [other, "b"]] if several else [one, other]
    with pytest.raises(DataError, match="Expected each class written in one way, .* both of .*: .str.target..strip"):
        ClassLabels.learn(targets)


def test_classes_of_older_checkpoints_that_are_written_alike_stay_apart() -> None:
    assert ClassLabels([1, "1"]).encode([1, "1"], "val").tolist() == [0, 1]


def test_bytes_that_are_no_text_say_so() -> None:
    with pytest.raises(DataError, match=r"Expected classes that are text, but got the bytes b'\\xff'. Decode them"):
        ClassLabels.learn([b"\xff", b"a"])


@pytest.mark.parametrize("target", [None, float("nan"), ["x", None], "", "  ", ["x", ""]])
def test_a_class_that_is_missing_is_counted_also_in_a_list(target: object) -> None:
    other = ["y"] if isinstance(target, list) else "y"
    with pytest.raises(DataError, match="Expected a target for every sample of the train data, but 1 of 2 have none"):
        ClassLabels.learn([target, other])


HALF = "\ud800"


@pytest.mark.parametrize("targets", [["a", HALF, "b"], [["a"], [HALF, "b"], []], [{"a"}, {"b", HALF}]])
def test_a_label_with_half_of_a_character_is_an_error_in_any_stage(targets: list[Any]) -> None:
    with pytest.raises(DataError, match=r"in the targets of the train data, but '.*\(number 1, counted from 0\)"):
        ClassLabels.learn(targets)
    classes = ClassLabels(["a", "b"], multi_label=not isinstance(targets[0], str))
    with pytest.raises(DataError, match="in the targets of the val data"):
        classes.encode(targets, "val")


@pytest.mark.parametrize("write", [float, str, lambda number: f" {number} "])
def test_measurements_are_no_classes_however_they_are_written(write: Any) -> None:
    values = [write(number / 7) for number in range(1, 31)]
    with pytest.raises(DataError, match="got 30 different numbers with fractions, such as .* For numbers use Pitch"):
        ClassLabels.learn(values, advice="For numbers use Pitch.")
    assert ClassLabels.learn([write(number / 7) for number in (1, 2, 3)]).num_classes == 3
    assert ClassLabels.learn([*values, "v1"]).num_classes == 31


def test_rows_of_fractions_lead_to_regression() -> None:
    rows = [[0.5, 2.5], [1.5, 0.25]]
    for names in (None, ["low", "high"]):
        with pytest.raises(DataError, match=r"but got fractions: .* For numbers use Pitch\.$"):
            ClassLabels.learn(rows, names, advice="For numbers use Pitch.")
    with pytest.raises(DataError, match=r"a row of 2 zeros and ones, .* but got \[7, 9\]. For numbers use Pitch\.$"):
        ClassLabels.learn([[7, 9], [1, 2]], ["low", "high"], advice="For numbers use Pitch.")

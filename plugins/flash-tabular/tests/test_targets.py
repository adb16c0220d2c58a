"""Targets: labels become class numbers, numbers stay numbers, and what cannot be a target is refused."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from flash.errors import DataError, MissingColumnError
from flash.tabular.targets import Targets, _labels_of, learn_targets, targets_from_serializable


def learn(values: Any, kind: str = "classification") -> Targets:
    return learn_targets(pd.DataFrame({"y": values}), ["y"], kind, several=False)


def encode(targets: Targets, values: Any) -> Any:
    return targets.encode(pd.DataFrame({"y": values}), "val").tolist()


# ---------------------------------------------------------------------- one class per row


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["no", "yes", "no"], ["no", "yes"]),
        ([1, 0, 1], [0, 1]),
        ([1.0, 0.0, 1.0], [0, 1]),
        ([0.5, 1.5, 0.5], [0.5, 1.5]),
        ([10, 9, 100], [9, 10, 100]),
        ([True, False, True], [False, True]),
        (pd.array([1, 0, 1], dtype="Int64"), [0, 1]),
        (pd.array(["b", "a", "b"], dtype="string"), ["a", "b"]),
        (pd.Series(["b", "a", "b"], dtype=pd.CategoricalDtype(["z", "b", "a"])), ["a", "b"]),
        (pd.Series([2, "a", 1], dtype=object), [1, 2, "a"]),
        (pd.to_datetime(["2024-01-01", "2023-01-01", "2024-01-01"]), ["2023-01-01 00:00:00", "2024-01-01 00:00:00"]),
    ],
    ids=str,
)
def test_labels_are_the_values_as_they_stand_in_the_table_sorted(values: Any, labels: list[Any]) -> None:
    targets = learn(values)
    facts = targets.facts(targets.encode(pd.DataFrame({"y": values}), "train"))
    assert facts["labels"] == labels
    assert [type(label) for label in facts["labels"]] == [type(label) for label in labels]
    assert facts["num_classes"] == len(labels)


def test_class_counts_are_those_of_the_train_rows() -> None:
    targets = learn(["b", "a", "b"])
    y = targets.encode(pd.DataFrame({"y": ["b", "a", "b"]}), "train")
    assert y.tolist() == [1, 0, 1]
    assert targets.facts(y)["class_counts"] == [1, 2]


@pytest.mark.parametrize("values", [[0, 1], [0.0, 1.0], pd.array([0, 1], dtype="Int64"), [False, True]], ids=str)
def test_a_class_is_the_same_whether_stored_as_int_or_float(values: Any) -> None:
    assert encode(learn([0, 1, 2]), values) == [0, 1]


def test_a_label_that_the_train_rows_lack_is_an_error_that_shows_it() -> None:
    message = r"column 'y' of the val table that are among those of the train rows \(0, 1\), but got 2 in 1 rows"
    with pytest.raises(DataError, match=message):
        encode(learn([0, 1]), [1, 2])


@pytest.mark.parametrize("values", [["0", "1"], [0, 1], [False, True], ["false", "True"]], ids=str)
@pytest.mark.parametrize("known", [["0", "1"], [0, 1], [False, True], ["false", "true"]], ids=str)
def test_a_class_is_the_same_however_it_is_stored(known: list[Any], values: list[Any]) -> None:
    assert encode(learn(known), values) == [0, 1]


def test_measurements_in_text_are_no_classes() -> None:
    with pytest.raises(DataError, match=r"'y', but it has 30 different numbers with fractions"):
        learn([str(number / 7) for number in range(30)])


@pytest.mark.parametrize("values", [[1, 1], ["a", "a"], [True, True]])
def test_one_class_only_is_an_error_that_names_the_column(values: list[Any]) -> None:
    with pytest.raises(DataError, match=r"at least two classes in the target column 'y' of the train table, but got"):
        learn(values)


def test_measurements_are_no_classes() -> None:
    with pytest.raises(DataError, match=r"'y', but it has 30 different numbers with fractions.*TabularRegressionData"):
        learn(np.arange(30) / 7)


def test_many_whole_numbers_are_classes() -> None:
    assert len(learn(np.arange(30.0)).facts(torch.arange(30))["labels"]) == 30


@pytest.mark.parametrize("kind", ["classification", "regression"])
@pytest.mark.parametrize("values", [[1, None, 2], [None, None], pd.array([1, pd.NA], dtype="Int64")], ids=str)
def test_a_row_without_a_target_is_an_error_that_says_how_to_drop_it(values: Any, kind: str) -> None:
    with pytest.raises(DataError, match=r"column 'y' is missing in \d of \d.*frame.dropna\(subset=\['y'\]\)"):
        learn(values, kind)


def test_a_row_without_a_target_in_validation_is_an_error_that_names_the_table() -> None:
    with pytest.raises(DataError, match=r"Expected a target in every row of the val table, but column 'y'"):
        encode(learn([0, 1]), [0, None])


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_target_column_that_is_missing_is_named(kind: str) -> None:
    with pytest.raises(MissingColumnError, match=r"train table to have the column 'z', but it has only 'y'"):
        learn_targets(pd.DataFrame({"y": [0, 1]}), ["z"], kind, several=False)


# ---------------------------------------------------------------------- several classes a row


def labels_table(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"p": [0, 1, 1], "q": [1.0, 0.0, 0.0], "r": [True, False, False], **columns})


def test_columns_of_zeros_and_ones_are_labels() -> None:
    frame = labels_table()
    targets = learn_targets(frame, ["p", "q", "r"], "classification", several=True)
    y = targets.encode(frame, "train")
    assert y.tolist() == [[0, 1, 1], [1, 0, 0], [1, 0, 0]]
    facts = targets.facts(y)
    assert (facts["labels"], facts["multi_label"], facts["class_counts"]) == (["p", "q", "r"], True, [2, 1, 1])


@pytest.mark.parametrize("values", [[0, 1, 2], [0, 1, 0.5], [0, 1, -1]])
def test_another_number_than_0_and_1_is_an_error_that_names_its_column(values: list[float]) -> None:
    frame = labels_table(q=values)
    targets = learn_targets(frame, ["p", "q"], "classification", several=True)
    with pytest.raises(DataError, match=r"zeros and ones in the multi-label target column 'q'.*target_fields='q'"):
        targets.encode(frame, "train")


def test_text_is_no_label_of_several() -> None:
    frame = labels_table(q=["a", "b", "c"])
    targets = learn_targets(frame, ["p", "q"], "classification", several=True)
    with pytest.raises(DataError, match=r"Expected numbers in column 'q' of the train table, but got 'a'"):
        targets.encode(frame, "train")


# ---------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    "values",
    [
        [1, 3],
        [1.0, 3.0],
        ["1", "3"],
        pd.array([1, 3], dtype="Int64"),
        pd.Series([1, 3], dtype="category"),
        [decimal.Decimal(1), decimal.Decimal(3)],
    ],
    ids=str,
)
def test_numbers_of_any_type_are_targets_with_their_mean_and_spread(values: Any) -> None:
    targets = learn(values, "regression")
    assert encode(targets, values) == [[1.0], [3.0]]
    assert targets.facts(torch.empty(0)) == {"num_targets": 1, "target_mean": [2.0], "target_std": [1.0]}


def test_a_target_that_never_changes_is_an_error_that_shows_it() -> None:
    with pytest.raises(DataError, match=r"different numbers as targets in column 'y', but all samples.*have 7"):
        learn([7, 7], "regression")


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
def test_a_target_that_is_not_finite_is_an_error_that_shows_it(value: float) -> None:
    with pytest.raises(DataError, match=r"Expected finite numbers up to 3e38 in the target column 'y'.*but got"):
        learn([1.0, value], "regression")


@pytest.mark.parametrize("values", [["a", "b"], pd.to_datetime(["2024-01-01", "2024-02-01"])], ids=["text", "dates"])
def test_text_and_dates_are_no_numbers_and_the_error_leads_to_classification(values: Any) -> None:
    with pytest.raises(DataError, match=r"numbers in column 'y' of the train table.*For classes use TabularClassific"):
        learn(values, "regression")


def test_a_large_target_keeps_its_mean_and_spread() -> None:
    targets = learn([3e38, -3e38], "regression")
    assert targets.facts(torch.empty(0))["target_std"] == [3e38]


# ---------------------------------------------------------------------- serializable values


@pytest.mark.parametrize(
    ("kind", "fields"), [("classification", ["p"]), ("classification", ["p", "q"]), ("regression", ["p", "q"])]
)
def test_targets_are_the_same_after_a_way_through_serializable_values(kind: str, fields: list[str]) -> None:
    frame = labels_table()
    targets = learn_targets(frame, fields, kind, several=len(fields) > 1)
    again = targets_from_serializable(targets.to_serializable())
    assert again == targets
    assert torch.equal(again.encode(frame, "val"), targets.encode(frame, "val"))
    assert again.summary() == targets.summary()


def test_values_of_numpy_in_a_column_of_objects_are_pythons_own() -> None:
    values = _labels_of(pd.Series([np.int64(1), np.float64(2.0), "x"], dtype=object))
    assert values == [1, 2, "x"]
    assert [type(value) for value in values] == [int, int, str]


@pytest.mark.parametrize("fields", ["y", ["y"]])
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_rows_in_a_cell_are_an_error_that_asks_for_columns(kind: str, fields: Any) -> None:
    frame = pd.DataFrame({"y": [[1, 1, 0], [0, 1, 1]]})
    names = [fields] if isinstance(fields, str) else fields
    with pytest.raises(DataError, match=r"target column 'y' of the train.*got \[1, 1, 0\]. Give each place of"):
        learn_targets(frame, names, kind, not isinstance(fields, str))


def test_rows_written_as_text_are_no_classes() -> None:
    with pytest.raises(DataError, match=r"Expected classes as targets, but got text of lists, such as '\[0, 1\]'"):
        learn_targets(pd.DataFrame({"y": ["[1, 0]", "[0, 1]"]}), ["y"], "classification", False)


@pytest.mark.parametrize("values", [[True, False], [1.0, 0.0], ["true", "FALSE"], ["1", "0"]])
def test_zeros_and_ones_of_several_classes_are_one_value_however_they_are_stored(values: list[Any]) -> None:
    targets = learn_targets(pd.DataFrame({"y": values}), ["y"], "classification", True)
    assert targets.encode(pd.DataFrame({"y": values}), "val").tolist() == [[1], [0]]


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_half_a_character_in_a_target_is_an_error_in_any_stage(kind: str) -> None:
    frame = pd.DataFrame({"y": pd.Series(["a", "\ud800", "b"], dtype=object)})
    with pytest.raises(DataError, match=r"in the target column 'y' of the train table, but '\\ud800' \(number 1"):
        learn_targets(frame, ["y"], kind, several=False)
    learned = learn_targets(pd.DataFrame({"y": [1, 2, 3]}), ["y"], kind, several=False)
    with pytest.raises(DataError, match="in the target column 'y' of the val table"):
        learned.encode(frame, "val")


@pytest.mark.parametrize(("one", "other"), [(1, "1"), ("a", " a"), ("True", "TRUE")])
def test_classes_that_are_written_alike_are_asked_about(one: Any, other: Any) -> None:
    with pytest.raises(DataError, match="Expected each class written in one way, but got both of .* as targets. If"):
        learn_targets(pd.DataFrame({"y": pd.Series([one, other], dtype=object)}), ["y"], "classification", False)


@pytest.mark.parametrize("blank", ["", " \t"])
def test_a_blank_target_is_missing(blank: str) -> None:
    with pytest.raises(DataError, match="column 'y' is missing in 1 of 3. Drop these rows from the table"):
        learn_targets(pd.DataFrame({"y": ["a", blank, "b"]}), ["y"], "classification", False)


def test_classes_of_few_bits_are_named_as_they_are_written() -> None:
    frame = pd.DataFrame({"y": np.array([0.1, 2.5, 0.1], np.float32)})
    targets = learn_targets(frame, ["y"], "classification", False)
    assert targets.facts(targets.encode(frame, "train"))["labels"] == [0.1, 2.5]
    assert targets.encode(pd.DataFrame({"y": [2.5, 0.1]}), "val").tolist() == [1, 0]

"""Samples with targets of any domain: from lists and tables of all kinds, also to predict."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from flash import Task
from flash.data.auto_dataset import AutoDataset
from flash.data.inputs import SampleInputs, with_article
from flash.data.samples import SampleData, SamplePreprocess
from flash.data.stage import Stage
from flash.data.targets import NumberTargets
from flash.errors import ConfigurationError, DataError, MissingColumnError, UnknownArgumentError

WORDS, MOODS = ["sun", "rain", "sunny", "rainy"], ["good", "bad", "good", "bad"]


class WordPreprocess(SamplePreprocess):
    """Words as their lengths."""

    noun = "word"

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def load_sample(self, sample: Any, dataset: AutoDataset) -> Any:
        word, target = sample
        length = torch.tensor([self.scale * len(word)])
        return length if target is None else (length, target)


class WordData(SampleData):
    preprocess_cls = WordPreprocess
    default_batch_size = 2


def table() -> dict[str, list[Any]]:
    return {"word": WORDS, "mood": MOODS, "tags": ["a,b", "", "b", "a"], "yes": [1, 0, 1, 0], "no": [0, 1, 0, 1]}


def write_csv(name: str, columns: dict[str, list[Any]]) -> str:
    with Path(name).open("w", newline="") as file:
        csv.writer(file).writerows([list(columns), *zip(*columns.values(), strict=True)])
    return name


def test_every_constructor_makes_the_same_samples() -> None:
    columns = table()
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    Path("t.json").write_text(json.dumps(rows))
    write_csv("t.csv", columns)
    made = [
        WordData.from_lists(WORDS, MOODS),
        WordData.from_csv("word", "mood", "t.csv"),
        WordData.from_json("word", "mood", "t.json"),
        WordData.from_data_frame("word", "mood", columns),
    ]
    for data in made:
        assert data.labels == ["bad", "good"]
        assert data.batch_size == 2
        samples = [data.train_dataset[row] for row in range(4)]
        assert [(float(length), int(target)) for length, target in samples] == [(3, 1), (4, 0), (5, 1), (5, 0)]


@pytest.mark.parametrize("target_fields", ["tags", ["yes", "no"]])
def test_a_sample_may_have_several_classes(target_fields: Any) -> None:
    delimiter: dict[str, Any] = {"delimiter": ","} if target_fields == "tags" else {}
    data = WordData.from_data_frame("word", target_fields, table(), **delimiter)
    assert data.multi_label
    assert data.train_dataset[0][1].tolist() == ([1, 1] if target_fields == "tags" else [1, 0])
    assert data.train_dataset[1][1].tolist() == ([0, 0] if target_fields == "tags" else [0, 1])


def test_a_delimiter_that_separates_nothing_is_refused() -> None:
    write_csv("t.csv", table())
    with pytest.raises(ConfigurationError, match="delimiter=';' in column 'mood'.*if ';' separates the columns, pass"):
        WordData.from_csv("word", "mood", "t.csv", delimiter=";")
    with pytest.raises(ConfigurationError, match="one column of targets with the delimiter ',', but target"):
        WordData.from_data_frame("word", ["yes", "no"], table(), delimiter=",")


def test_a_task_predicts_what_its_data_came_from() -> None:
    write_csv("t.csv", table())
    data = WordData.from_csv("word", "mood", "t.csv", scale=2.0)
    task = Task.from_data(data, model=nn.Identity())
    for raw in (WORDS, tuple(WORDS), iter(WORDS), "t.csv", Path("t.csv"), table()):
        assert [float(each) for each in task.predict(raw)] == [6, 8, 10, 10]


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ("sun", r"Expected words to predict: a list or a table, but got str. For a single one, pass \[it\]"),
        (3, "Expected words to predict: a list or a table, but got int"),
        (["sun", None], "Expected a word in every row of the predict data, but row 1 .counted from 0. has none"),
        (["sun", float("nan")], "Expected a word in every row of the predict data, but row 1 .counted from 0. has no"),
        ({"word": ["sun"]}, r"Expected a list of words, since the task was not trained on a table.*table\['word'\]"),
    ],
)
def test_what_cannot_be_predicted_is_an_error(raw: Any, sentence: str) -> None:
    data = WordData.from_lists(WORDS, MOODS)
    with pytest.raises(DataError, match=sentence):
        Task.from_data(data, model=nn.Identity()).predict(raw)


def test_options_of_the_preprocess_and_of_the_class_are_taken_and_others_are_not() -> None:
    data = WordData.from_lists(WORDS, MOODS, scale=3.0, batch_size=4, seed=1)
    assert (data.preprocess.scale, data.batch_size) == (3.0, 4)
    with pytest.raises(UnknownArgumentError, match=r"WordData.from_lists.*'scales'.*Did you mean 'scale'"):
        WordData.from_lists(WORDS, MOODS, scales=3.0)
    with pytest.raises(ConfigurationError, match="options that make one, but got both: preprocess and scale"):
        WordData.from_lists(WORDS, MOODS, scale=3.0, preprocess=WordPreprocess())


def test_targets_are_needed_and_named() -> None:
    with pytest.raises(DataError, match="Expected target_fields to name the column of targets, but got none"):
        WordData.from_data_frame("word", None, table())
    with pytest.raises(MissingColumnError, match="'moods'"):
        WordData.from_data_frame("word", "moods", table())
    dataset_inputs = SampleInputs(WORDS)
    with pytest.raises(DataError, match="a target for every word of the train data, but got none. Name target_fields"):
        WordData.from_load_data_inputs(dataset_inputs)


def test_a_trained_preprocess_serves_other_data() -> None:
    trained = WordData.from_lists(WORDS, MOODS).preprocess
    data = WordData.from_lists(test_data=["snow"], test_targets=["bad"], preprocess=trained)
    assert int(data.test_dataset[0][1]) == 0
    with pytest.raises(DataError, match="among those of the train data .'bad', 'good'., but got 'new'"):
        WordData.from_lists(test_data=["snow"], test_targets=["new"], preprocess=trained)


class Centered(SamplePreprocess):
    """number_data.preprocess_cls less the mean of the train data."""

    noun = "number"

    def learn(self, sources: Any) -> dict[str, float]:
        return {"mean": sum(sources) / len(sources)}

    def make_samples(self, sources: Any, targets: Any, stage: Stage) -> Any:
        return super().make_samples([each - self.learned["mean"] for each in sources], targets, stage)

    def load_sample(self, sample: Any, dataset: AutoDataset) -> Any:
        number, target = sample
        return torch.tensor([number]) if target is None else (torch.tensor([number]), target)


class CenteredData(SampleData):
    preprocess_cls = Centered


def test_what_is_learned_of_train_samples_serves_all_stages_and_travels() -> None:
    data = CenteredData.from_lists([1.0, 3.0], ["a", "b"], [7.0], ["a"], predict_data=[5.0])
    assert [float(each.squeeze()) for each in (data.val_dataset[0][0], data.predict_dataset[0])] == [5, 3]
    assert data.preprocess is not None
    state = data.preprocess.state_dict()
    assert state["learned"] == {"mean": 2.0}
    fresh = Centered()
    fresh.load_state_dict(state)
    again = CenteredData.from_lists([11.0, 13.0], ["a", "b"], preprocess=fresh)
    assert float(again.train_dataset[0][0]) == 9
    assert fresh.agrees_with(data.preprocess)


def test_other_statistics_do_not_fit_and_none_predict_nothing() -> None:
    data, other = (CenteredData.from_lists([first, 3.0], ["a", "b"]) for first in (1.0, 2.0))
    task = Task.from_data(data, model=nn.Identity())
    assert other.preprocess is not None
    assert not data.preprocess.agrees_with(other.preprocess)
    with pytest.raises(DataError, match="this data module learned other statistics or labels"):
        task.use_data(other)
    with pytest.raises(DataError, match="Expected statistics that were learned from train data, but there are none"):
        _ = AutoDataset([1.0], Stage.PREDICT, Centered())


def test_a_column_of_another_name_fits_what_was_learned() -> None:
    one, other = (WordData.from_data_frame(name, "mood", {name: WORDS, "mood": MOODS}) for name in ("word", "text"))
    assert other.preprocess is not None
    assert one.preprocess.agrees_with(other.preprocess)


def test_arrays_to_predict_stay_arrays() -> None:
    array: Any = torch.zeros(3, 2)
    assert SamplePreprocess().sources_to_predict(array) is array


@pytest.mark.parametrize("single", [3, "sun", np.array(3.0), torch.tensor(3)])
def test_one_value_in_place_of_one_per_sample_is_refused(single: Any) -> None:
    with pytest.raises(DataError, match="Expected a word or target per sample, in a list, but got .* alone"):
        WordData.from_lists(single, ["good"])
    with pytest.raises(DataError, match="Expected a word or target per sample, in a list, but got .* alone"):
        WordData.from_lists(["sun"], single)
    with pytest.raises(DataError, match="Expected words to predict: a list or a table, but got"):
        WordPreprocess().sources_to_predict(single)


def test_a_noun_has_its_article() -> None:
    assert [with_article(noun) for noun in ("image", "word")] == ["an image", "a word"]


def test_each_stage_may_have_a_root_of_its_own(notes: list[str], number_data: Any) -> None:
    columns = {"file": ["1.txt", "2.txt"], "mood": ["a", "b"]}
    data = number_data.from_data_frame("file", "mood", columns, columns, train_root="notes", val_notes_root="notes")
    assert [float(data.val_dataset[row][0]) for row in range(2)] == [1, 2]


def test_results_are_known_by_their_files(notes: list[str], number_data: Any) -> None:
    data = number_data.from_files(["notes/1.txt", "notes/2.txt"], ["a", "b"], batch_size=2)
    task = Task.from_data(data, model=nn.Identity())
    assert task.predict(["notes/2.txt"], output=lambda predictions, ids: ids) == ["notes/2.txt"]
    assert data.train_dataset.id_of(1) == "notes/2.txt"


def test_other_forms_of_inputs_are_told_apart(notes: list[str], number_data: Any) -> None:
    dataset = AutoDataset("notes/1.txt", Stage.PREDICT, number_data.preprocess_cls())
    assert len(dataset) == 1
    with pytest.raises(DataError, match="Expected notes to predict: a path, a folder, a list or a table, but got int"):
        AutoDataset(3, Stage.PREDICT, number_data.preprocess_cls())


class LengthPreprocess(WordPreprocess):
    targets_cls = NumberTargets
    advice = "For classes use WordData."


class LengthData(SampleData):
    preprocess_cls = LengthPreprocess


def test_numbers_are_targets_with_their_statistics_and_lead_to_classes_where_they_are_words() -> None:
    dm = LengthData.from_data_frame("word", ["yes", "n"], {**table(), "n": ["1", "2.5", "3", "5.5"]}, batch_size=4)
    assert dm.facts == {
        "num_targets": 2,
        "target_mean": [0.5, 3.0],
        "target_std": [0.5, pytest.approx((10.5 / 4) ** 0.5)],
    }
    _, y = next(iter(dm.train_dataloader()))
    assert sorted(y.tolist()) == [[0, 2.5], [0, 5.5], [1, 1], [1, 3]]
    with pytest.raises(
        DataError, match=r"Expected numbers .* of the train data, .* 'good'. For classes use WordData\."
    ):
        LengthData.from_lists(WORDS, MOODS)
    with pytest.raises(DataError, match=r"Expected numbers .* of the val data, .* 'good'. For classes use WordData\."):
        LengthData.from_lists(WORDS, [3, 4, 5, 5], WORDS, MOODS)


def test_a_split_of_numbers_is_not_by_their_values() -> None:
    words, lengths = [f"{'a' * n}" for n in range(1, 21)], [1] * 10 + list(range(11, 21))
    found = {number for seed in range(8) for number in _val_lengths(words, lengths, seed)}
    # By classes, no number that is there once would ever validate.
    assert len(found & {*range(11, 21)}) > 5


def _val_lengths(words: list[str], lengths: list[int], seed: int) -> list[int]:
    data = LengthData.from_lists(words, lengths, val_split=0.3, seed=seed)
    dataset: Any = data.val_dataset
    return [int(target) for _, target in (dataset[row] for row in range(len(dataset)))]


def test_parts_of_a_sample_may_be_in_as_many_columns_as_the_domain_says() -> None:
    class Both(WordPreprocess):
        max_input_fields = 2

        def load_sample(self, sample: Any, dataset: AutoDataset) -> Any:
            (first, second), target = sample
            length = torch.tensor([float(len(first) + len(second))])
            return length if target is None else (length, target)

    class BothData(SampleData):
        preprocess_cls = Both

    columns = {**table(), "other": ["a", "bb", "c", "dd"]}
    dm = BothData.from_data_frame(["word", "other"], "mood", columns, predict_data_frame=columns)
    train, new = dm.train_dataset, dm.predict_dataset
    assert [float(train[row][0]) for row in range(4)] == [4, 6, 6, 7]
    assert [float(new[row]) for row in range(4)] == [4, 6, 6, 7]
    assert dm.preprocess is not None
    assert dm.preprocess.state_dict()["input_field"] == ["word", "other"]
    assert WordData.from_data_frame(["word"], "mood", columns).labels == ["bad", "good"]
    with pytest.raises(ConfigurationError, match=r"one column, that of the words, but got \['word', 'other'\]. Join"):
        WordData.from_data_frame(["word", "other"], "mood", columns)
    with pytest.raises(
        ConfigurationError, match=r"one column, that of the words, or a list of at most 2, but got \[\]"
    ):
        BothData.from_data_frame([], "mood", columns)

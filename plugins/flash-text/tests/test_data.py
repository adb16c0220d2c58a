"""TextClassificationData: every way in gives the same samples, and bad data is refused with a sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from flash import Trainer
from flash.data.recognition import RawData
from flash.errors import ConfigurationError, DataError, MissingColumnError
from flash.text import TextClassificationData, TextClassifier, TextRegressionData
from flash.text.samples import TokenizerConfig

Data = TextClassificationData
TEXTS = ["a great film", "a weak plot", "lovely", "boring music"]
LABELS = ["positive", "negative", "positive", "negative"]
TAGS = [["short", "loud"], [], ["loud"], ["new wave"]]


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"review": TEXTS, "sentiment": LABELS, **columns})


def words(texts: list[str]) -> list[list[int]]:
    """A token for each word: its number of letters."""
    return [[len(word) for word in text.split()] for text in texts]


def ready(data: TextClassificationData, tokenizer: Any = words, max_length: int = 9) -> TextClassificationData:
    data.connect(TokenizerConfig(tokenizer, max_length))
    return data


def samples(dataset: Any) -> list[tuple[list[int], Any]]:
    return [(ids.tolist(), target.tolist()) for ids, target in (dataset[row] for row in range(len(dataset)))]


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = table.to_dict("records")
    return [{str(name): None if value is np.nan else value for name, value in row.items()} for row in rows]


def from_frame(table: pd.DataFrame, folder: Path, **options: Any) -> TextClassificationData:
    return Data.from_data_frame("review", "sentiment", train_data_frame=table, **options)


def from_csv(table: pd.DataFrame, folder: Path, **options: Any) -> TextClassificationData:
    table.to_csv(folder / "train.csv", index=False)
    return Data.from_csv("review", "sentiment", train_file=folder / "train.csv", **options)


def from_json(table: pd.DataFrame, folder: Path, **options: Any) -> TextClassificationData:
    table.to_json(folder / "train.json", orient="records")
    return Data.from_json("review", "sentiment", train_file=str(folder / "train.json"), **options)


def from_lines(table: pd.DataFrame, folder: Path, **options: Any) -> TextClassificationData:
    table.to_json(folder / "train.jsonl", orient="records", lines=True)
    return Data.from_json("review", "sentiment", train_file=folder / "train.jsonl", **options)


def from_parquet(table: pd.DataFrame, folder: Path, **options: Any) -> TextClassificationData:
    pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    table.to_parquet(folder / "train.parquet")
    return Data.from_parquet("review", "sentiment", train_file=folder / "train.parquet", **options)


def from_lists(table: pd.DataFrame, folder: Path, **options: Any) -> TextClassificationData:
    return Data.from_lists(table["review"].tolist(), table["sentiment"].tolist(), **options)


def from_series(table: pd.DataFrame, folder: Path, **options: Any) -> TextClassificationData:
    return Data.from_lists(table["review"], table["sentiment"], **options)


def from_rows(table: pd.DataFrame, folder: Path, **options: Any) -> TextClassificationData:
    return Data.from_datasets("review", "sentiment", train_dataset=records(table), **options)


def from_hugging_face(table: pd.DataFrame, folder: Path, **options: Any) -> TextClassificationData:
    datasets = pytest.importorskip("datasets", reason="the extra 'datasets' is not installed")
    dataset = datasets.Dataset.from_list(records(table))
    return Data.from_datasets("review", "sentiment", train_dataset=dataset, **options)


def from_stream(table: pd.DataFrame, folder: Path, **options: Any) -> TextClassificationData:
    datasets = pytest.importorskip("datasets", reason="the extra 'datasets' is not installed")
    stream = datasets.Dataset.from_list(records(table)).to_iterable_dataset()
    return Data.from_datasets("review", "sentiment", train_dataset=stream, in_memory=True, **options)


WAYS = [from_frame, from_csv, from_json, from_lines, from_parquet, from_lists, from_series]
ALL_WAYS = [*WAYS, from_rows, from_hugging_face, from_stream]


class TestWaysIn:
    @pytest.mark.parametrize("make", ALL_WAYS)
    def test_each_gives_the_same_samples(self, make: Callable[..., Any], tmp_path: Path) -> None:
        data = ready(make(frame(), tmp_path))
        assert samples(data.train_dataset) == [([1, 5, 4], 1), ([1, 4, 4], 0), ([6], 1), ([6, 5], 0)]
        assert (data.labels, data.num_classes, data.multi_label) == (["negative", "positive"], 2, False)
        assert data.facts["class_counts"] == [2, 2]

    @pytest.mark.parametrize("make", [from_frame, from_json, from_lines, from_parquet, from_lists, from_rows])
    def test_lists_of_classes_are_several_labels(self, make: Callable[..., Any], tmp_path: Path) -> None:
        data = ready(make(frame(sentiment=TAGS), tmp_path))
        assert data.multi_label
        assert data.labels == ["loud", "new wave", "short"]
        assert [target for _, target in samples(data.train_dataset)] == [[1, 0, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0]]

    @pytest.mark.parametrize("make", [from_frame, from_csv, from_json, from_rows, from_hugging_face])
    def test_a_delimiter_separates_several_labels(self, make: Callable[..., Any], tmp_path: Path) -> None:
        joined = ["short, loud", "", "loud", "new wave"]
        data = ready(make(frame(sentiment=joined), tmp_path, delimiter=","))
        assert data.labels == ["loud", "new wave", "short"]
        assert [target for _, target in samples(data.train_dataset)] == [[1, 0, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0]]

    def test_without_a_delimiter_a_label_is_what_is_written(self, tmp_path: Path) -> None:
        labels = ["new wave, loud", "new wave", "new wave, loud", "new wave"]
        data = from_csv(frame(sentiment=labels), tmp_path)
        assert data.labels == ["new wave", "new wave, loud"]
        assert not data.multi_label

    def test_columns_of_zeros_and_ones_are_several_labels(self) -> None:
        table = frame(loud=[1, 0, 1, 0], new=[0, 0, 1, 1])
        data = ready(Data.from_data_frame("review", ["loud", "new"], train_data_frame=table))
        assert data.labels == ["loud", "new"]
        assert [target for _, target in samples(data.train_dataset)] == [[1, 0], [0, 0], [1, 1], [0, 1]]

    def test_a_dataset_of_hugging_face_names_its_classes(self) -> None:
        datasets = pytest.importorskip("datasets", reason="the extra 'datasets' is not installed")
        features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["b", "a"])})
        dataset = datasets.Dataset.from_dict({"text": TEXTS, "label": [0, 1, 0, 1]}, features=features)
        data = ready(Data.from_datasets("text", "label", train_dataset=dataset))
        assert data.labels == ["b", "a"]
        assert [target for _, target in samples(data.train_dataset)] == [0, 1, 0, 1]

    def test_each_stage_has_its_own_texts(self) -> None:
        data = ready(
            Data.from_lists(
                TEXTS, LABELS, ["a b"], ["negative"], ["c"], ["positive"], ["d", "e e"], preprocess=None, batch_size=2
            )
        )
        assert samples(data.val_dataset) == [([1, 1], 0)]
        assert samples(data.test_dataset) == [([1], 1)]
        assert [data.predict_dataset[row].tolist() for row in range(2)] == [[1], [1, 1]]

    def test_texts_to_predict_need_no_targets(self, tmp_path: Path) -> None:
        table = frame().drop(columns="sentiment")
        data = Data.from_data_frame(
            "review", "sentiment", train_data_frame=frame(), predict_data_frame=table, batch_size=2
        )
        assert len(data.predict_dataset) == 4

    def test_validation_rows_are_split_off_by_class(self) -> None:
        targets = ["a"] * 40 + ["b"] * 10
        data = Data.from_lists([f"t {n}" for n in range(50)], targets, val_split=0.2, seed=0)
        assert (len(data.train_dataset), len(data.val_dataset)) == (40, 10)
        assert data.facts["class_counts"] == [32, 8]

    def test_validation_rows_are_split_off_where_there_are_several_labels(self) -> None:
        data = Data.from_lists([f"t {n}" for n in range(10)], [["a"], ["b"]] * 5, val_split=0.2, seed=0)
        assert (len(data.train_dataset), len(data.val_dataset)) == (8, 2)


class TestBatches:
    def test_a_batch_is_as_wide_as_its_longest_text(self) -> None:
        data = ready(Data.from_lists(TEXTS, LABELS, batch_size=4, seed=0))
        inputs, targets = next(iter(data.train_dataloader()))
        assert inputs["input_ids"].shape == inputs["attention_mask"].shape == (4, 3)
        assert targets.shape == (4,)

    def test_train_batches_are_of_texts_of_similar_length(self) -> None:
        texts = ["x " * n for n in np.random.default_rng(0).permutation(np.arange(1, 65))]
        data = ready(Data.from_lists(texts, [0, 1] * 32, batch_size=8, seed=0), max_length=99)
        widths = [int(inputs["attention_mask"].sum(1).min()) for inputs, _ in data.train_dataloader()]
        longest = [inputs["input_ids"].shape[1] for inputs, _ in data.train_dataloader()]
        assert all(one - other == 7 for one, other in zip(sorted(longest), sorted(widths), strict=True))

    @pytest.mark.process
    def test_workers_give_the_same_batches(self) -> None:
        def batches(workers: int) -> list[Any]:
            data = ready(Data.from_lists(TEXTS, LABELS, batch_size=2, seed=0, num_workers=workers))
            return [(inputs["input_ids"].tolist(), y.tolist()) for inputs, y in data.train_dataloader()]

        assert batches(1) == batches(0)

    def test_before_a_task_came_there_are_no_tokens(self) -> None:
        data = Data.from_lists(TEXTS, LABELS)
        assert data.train_dataset[0] == (TEXTS[0], 1)
        with pytest.raises(DataError, match="Expected a task, whose backbone has the tokenizer"):
            next(iter(data.train_dataloader()))


class TestTokenization:
    @pytest.fixture
    def counted(self) -> tuple[Any, list[int]]:
        calls: list[int] = []

        def tokenizer(texts: list[str]) -> list[list[int]]:
            calls.append(len(texts))
            return words(texts)

        return tokenizer, calls

    @pytest.mark.train
    def test_each_text_is_tokenized_once(self, counted: Any, trainer: Callable[..., Trainer], letters: Any) -> None:
        tokenizer, calls = counted
        data = Data.from_lists(TEXTS, LABELS, TEXTS[:2], LABELS[:2], batch_size=2)
        task = TextClassifier.from_data(data, backbone=letters["backbone"], tokenizer=tokenizer, max_length=9)
        trainer(max_epochs=3).fit(task, data)
        assert sum(calls) == 6

    def test_another_task_has_its_own_tokens(self, letters: Any, trainer: Callable[..., Trainer]) -> None:
        data = Data.from_lists(TEXTS, LABELS, batch_size=2)
        for tokenizer in (words, letters["tokenizer"]):
            task = TextClassifier.from_data(data, **{**letters, "tokenizer": tokenizer})
            trainer().fit(task, data)
            assert data.train_dataset[2][0].tolist() == tokenizer(["lovely"])[0]

    def test_texts_that_were_cut_are_counted_once(self, caplog: pytest.LogCaptureFixture) -> None:
        data = ready(Data.from_lists(TEXTS, LABELS, TEXTS[:2], LABELS[:2], batch_size=2), max_length=2)
        with caplog.at_level(logging.WARNING, "flash.text"):
            for _ in range(2):
                list(data.train_dataloader())
                list(data.val_dataloader())
        assert caplog.messages == [
            "2 of 4 train texts were truncated to 2 tokens (max_length).",
            "2 of 2 val texts were truncated to 2 tokens (max_length).",
        ]

    def test_nothing_is_said_where_nothing_was_cut(self, caplog: pytest.LogCaptureFixture) -> None:
        list(ready(Data.from_lists(TEXTS, LABELS)).train_dataloader())
        assert not caplog.messages


class TestRefusals:
    @pytest.mark.parametrize("make", [from_frame, from_json, from_lists, from_rows, from_hugging_face, from_stream])
    def test_missing_texts_are_counted(self, make: Callable[..., Any], tmp_path: Path) -> None:
        with pytest.raises(DataError, match="of the train data, but 2 of 4 have none, the first of them row 1"):
            make(frame(review=["a", None, "c", None]), tmp_path)

    @pytest.mark.parametrize("make", WAYS)
    def test_missing_targets_are_counted(self, make: Callable[..., Any], tmp_path: Path) -> None:
        with pytest.raises(DataError, match="Expected a target for every sample of the train data, but 1 of 4"):
            make(frame(sentiment=["a", None, "b", "a"]), tmp_path)

    def test_an_unseen_label_is_named(self) -> None:
        with pytest.raises(DataError, match="in the val data that are among those of the train data .* but got 'odd'"):
            Data.from_lists(TEXTS, LABELS, ["a"], ["odd"])

    @pytest.mark.parametrize("make", [from_csv, from_json, from_parquet, from_rows, from_hugging_face, from_stream])
    def test_a_missing_column_says_which_there_are(self, make: Callable[..., Any], tmp_path: Path) -> None:
        with pytest.raises(MissingColumnError, match="a column 'sentiment' in .*, but it has 'review', 'st"):
            make(frame().rename(columns={"sentiment": "stars"}), tmp_path)

    def test_an_unknown_argument_is_refused_before_a_file_is_read(self) -> None:
        with pytest.raises(
            ConfigurationError, match=r"Data\.from_csv takes, but got 'delimitr'\. Did you mean 'delimiter'"
        ):
            Data.from_csv("review", "sentiment", train_file="nowhere.csv", delimitr=",")

    def test_a_delimiter_of_columns_is_not_taken_for_one_of_classes(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("review;sentiment\ngood;p\nbad;n\n")
        with pytest.raises(ConfigurationError, match="separated by delimiter=';' in column 'sentiment'.*pass sep=';'"):
            Data.from_csv("review", "sentiment", train_file=tmp_path / "t.csv", delimiter=";")
        assert Data.from_csv("review", "sentiment", train_file=tmp_path / "t.csv", sep=";").labels == ["n", "p"]

    def test_an_empty_table_says_so(self) -> None:
        with pytest.raises(DataError, match=r"the train data frame to have rows and columns, but it has shape \(0,"):
            Data.from_data_frame("review", "sentiment", train_data_frame=frame()[:0])

    def test_an_empty_list_says_so(self) -> None:
        with pytest.raises(DataError, match="Expected"):
            Data.from_lists([], [])

    def test_an_empty_stream_says_so(self) -> None:
        rows: Iterator[dict[str, Any]] = iter([])
        with pytest.raises(DataError, match="Expected at least one row in the train data, but there is none."):
            Data.from_datasets("review", "sentiment", train_dataset=rows)

    def test_several_datasets_in_one_say_which(self) -> None:
        with pytest.raises(DataError, match=r"but got several: 'train', 'test'. Pass one of them: dataset\['train'\]"):
            Data.from_datasets("review", "sentiment", train_dataset={"train": [], "test": []})

    def test_one_text_is_no_list(self) -> None:
        with pytest.raises(DataError, match="a text or target per sample, in a list, but got 'a great film' alone"):
            Data.from_lists("a great film", ["positive"])

    def test_each_text_has_one_target(self) -> None:
        with pytest.raises(DataError, match="Expected one target per sample, but got 4 samples and 3 targets."):
            Data.from_lists(TEXTS, LABELS[:3])

    def test_targets_need_texts(self) -> None:
        with pytest.raises(DataError, match="Expected val texts together with val_targets"):
            Data.from_lists(TEXTS, LABELS, val_targets=LABELS)

    def test_texts_to_train_on_need_targets(self) -> None:
        with pytest.raises(DataError, match="Expected train texts together with train_targets"):
            Data.from_lists(TEXTS)

    def test_a_delimiter_is_for_one_column(self) -> None:
        with pytest.raises(ConfigurationError, match="Expected one column of targets with the delimiter ','"):
            Data.from_data_frame("review", ["a", "b"], train_data_frame=frame(a=1, b=0), delimiter=",")

    def test_columns_of_something_else_than_zeros_and_ones_say_so(self) -> None:
        with pytest.raises(DataError, match="Expected a row of 2 zeros and ones"):
            Data.from_data_frame("review", ["a", "b"], train_data_frame=frame(a=2, b=0))

    def test_a_table_of_another_kind_says_so(self) -> None:
        with pytest.raises(DataError, match=r"Expected a table: .* a data frame of pandas, .* but got set\."):
            Data.from_data_frame("review", "sentiment", train_data_frame={"review"})  # type: ignore[arg-type]  # on purpose

    def test_an_empty_cell_is_a_missing_text(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("review,sentiment\ngood,1\n,0\n")
        with pytest.raises(DataError, match="a text in each row of the train data, but 1 of 2 have none, the first"):
            Data.from_csv("review", "sentiment", train_file=tmp_path / "t.csv")

    def test_rows_that_are_no_dicts_say_so(self) -> None:
        with pytest.raises(DataError, match="Expected rows that are dicts in the train data, but got a tuple."):
            Data.from_datasets("review", "sentiment", train_dataset=[("a", "b")])

    def test_no_file_says_so(self) -> None:
        with pytest.raises(DataError, match="Expected at least one file"):
            Data.from_csv("review", "sentiment")

    def test_data_to_test_on_waits_for_the_classes_of_a_task(self) -> None:
        data = Data.from_lists(test_data=TEXTS, test_targets=LABELS)
        with pytest.raises(DataError, match="Expected classes that were learned from train data"):
            _ = data.test_dataset


def test_odd_texts_are_texts(letters: Any) -> None:
    odd = ["", " ", "😀", "שלום", "x" * 100_000, "\0"]
    data = Data.from_lists(odd, [0, 1] * 3, batch_size=6, seed=0)
    task = TextClassifier.from_data(data, **letters)
    inputs, _ = next(iter(data.train_dataloader()))
    assert inputs["input_ids"].shape == (6, 50)
    assert torch.isfinite(task(inputs)).all()


def test_numbers_are_read_as_texts() -> None:
    data = ready(Data.from_lists([12, 3.5], [0, 1]))
    assert [ids for ids, _ in samples(data.train_dataset)] == [[2], [3]]


@pytest.mark.parametrize(
    ("columns", "certainty"),
    [
        ({"review": ["a fine film", "a very long bore"]}, 0.8),
        (
            {"id": [1, 2], "review": ["one of the best films of this year", "an hour and a half of pure boredom"]},
            0.8,
        ),
        ({"id": [1, 2], "name": ["Ms Ada Lovelace", "Mr Alan Turing"]}, 0.2),
        ({"town": ["Rome", "Oslo"]}, None),
        ({"one": ["a fine film", "a very long bore"], "two": ["a fine film", "a very long bore"]}, None),
    ],
)
def test_a_column_of_free_text_is_recognized(columns: Any, certainty: float | None) -> None:
    raw = RawData.of({**columns, "label": ["good", "bad"]})
    found = TextClassificationData.recognize(raw, "label")
    assert (found and found.certainty) == certainty
    if found is not None:
        assert found.why.startswith("the column ")
        assert getattr(TextClassificationData, found.constructor)(**found.arguments).labels == ["bad", "good"]
        assert TextRegressionData.recognize(raw, "label").certainty < found.certainty
    assert TextClassificationData.recognize(raw) is None

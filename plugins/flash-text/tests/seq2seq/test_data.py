"""The data modules: pairs of texts in many forms, tokenized once, and what is refused."""

from __future__ import annotations

import importlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from flash.data.recognition import RawData
from flash.errors import ConfigurationError, DataError, MissingColumnError
from flash.text import SummarizationData, TranslationData, TranslationTask
from flash.text.seq2seq.data import Seq2SeqData

ROWS = [{"en": "red tea", "de": "roter Tee"}, {"en": "NA", "de": "007"}, {"en": "1.10", "de": "nichts, wirklich"}]
FRAME = pd.DataFrame(ROWS)


def texts_of(dataset: Any) -> list[tuple[str, str]]:
    """The pairs of a dataset."""
    samples = dataset[0].pairs
    return list(zip(dataset.source.sources, samples.references, strict=True))


# ---------------------------------------------------------------------- constructors


@pytest.mark.parametrize("data", [SummarizationData, TranslationData])
def test_every_constructor_makes_the_same_pairs(data: type[Seq2SeqData], t5: str) -> None:
    pytest.importorskip("pyarrow")
    FRAME.to_csv("pairs.csv", index=False)
    FRAME.to_parquet("pairs.parquet")
    Path("pairs.json").write_text(json.dumps({"rows": ROWS}))
    english, german = FRAME["en"].tolist(), FRAME["de"].tolist()
    made = [
        data.from_data_frame("en", "de", train_data_frame=FRAME),
        data.from_csv("en", "de", train_file="pairs.csv"),
        data.from_json("en", "de", train_file="pairs.json", field="rows"),
        data.from_parquet("en", "de", train_file="pairs.parquet"),
        data.from_lists(english, german),
        data.from_datasets("en", "de", train_dataset=ROWS),
        data.from_datasets("en", "de", train_dataset=(row for row in ROWS)),
    ]
    task = TranslationTask(t5)
    for datamodule in made:
        datamodule.connect(task.input_spec)
        assert texts_of(datamodule.train_dataset) == list(zip(english, german, strict=True))


def test_datasets_of_the_library_datasets_serve_streaming_or_not(t5: str) -> None:
    datasets = pytest.importorskip("datasets")
    whole = datasets.Dataset.from_list(ROWS)
    task = TranslationTask(t5)
    for dataset in (whole, whole.to_iterable_dataset()):
        dm = TranslationData.from_datasets("en", "de", train_dataset=dataset, val_dataset=dataset)
        dm.connect(task.input_spec)
        assert [target for _, target in texts_of(dm.val_dataset)] == [row["de"] for row in ROWS]


def test_rows_to_predict_need_no_target(t5: str) -> None:
    FRAME[["en"]].to_csv("texts.csv", index=False)
    dm = TranslationData.from_csv("en", "de", predict_file="texts.csv")
    task = TranslationTask(t5, max_new_tokens=3)
    task.use_data(dm)
    assert len(dm.predict_dataset) == 3
    assert task.predict("texts.csv") == task.predict(FRAME) == task.predict(FRAME["en"].tolist())


def test_a_part_of_the_train_pairs_can_serve_validation(t5: str, texts: Callable[..., list[str]]) -> None:
    sources = texts(20)
    dm = TranslationData.from_lists(sources, sources, val_split=0.2, seed=0)
    TranslationTask.from_data(dm, backbone=t5)
    assert (len(dm.train_dataset), len(dm.val_dataset)) == (16, 4)
    (x, targets) = next(iter(dm.val_dataloader()))
    assert all(text in sources for text in targets["texts"])
    assert len(x["input_ids"]) == 4


# ---------------------------------------------------------------------- tokens


@pytest.mark.train
def test_each_text_is_tokenized_once_whatever_is_done_with_it(
    t5: str, texts: Callable[..., list[str]], trainer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = importlib.import_module("flash.text.seq2seq.samples")
    calls: list[int] = []
    real = module.tokenize

    def noted(*args: Any) -> Any:
        calls.append(len(args[1]))
        return real(*args)

    monkeypatch.setattr(module, "tokenize", noted)
    dm = TranslationData.from_lists(texts(20), texts(20), texts(5), texts(5), batch_size=4, seed=0)
    task = TranslationTask.from_data(dm, backbone=t5, max_new_tokens=2)
    trainer(max_epochs=3).fit(task, dm)
    trainer().validate(task, datamodule=dm, verbose=False)
    assert sorted(calls) == [5, 5, 20, 20]


def test_another_task_gets_the_texts_in_its_own_tokens(t5: str, folders: dict[str, str]) -> None:
    dm = TranslationData.from_lists(["red tea"], ["sun"])
    first = TranslationTask.from_data(dm, backbone=t5)
    assert len(dm.train_dataset[0].source) == 3
    second = TranslationTask.from_data(dm, backbone=folders["bart"], prefix="summarize : ")
    assert len(dm.train_dataset[0].source) == 5
    first.use_data(dm)
    assert len(dm.train_dataset[0].source) == 3
    assert second.prefix == "summarize : "


def test_texts_that_are_cut_are_counted(t5: str, caplog: pytest.LogCaptureFixture) -> None:
    dm = TranslationData.from_lists(["red tea sun", "red", "sea oak elm"], ["fox", "fox owl ice ash", "owl"])
    TranslationTask.from_data(dm, backbone=t5, max_source_length=3, max_target_length=4)
    with caplog.at_level(logging.WARNING, "flash.text"):
        sample = dm.train_dataset[0]
    assert "2 of 3 train texts were truncated to 3 tokens." in caplog.messages
    assert "1 of 3 train targets were truncated to 4 tokens." in caplog.messages
    # The end is not what is cut off.
    assert sample.source.tolist()[-1] == 1


def test_batches_are_padded_to_their_longest_texts_and_labels_are_masked(t5: str) -> None:
    dm = TranslationData.from_lists(["red", "red tea sun"], ["sea oak", "elm"], batch_size=2, seed=0)
    TranslationTask.from_data(dm, backbone=t5)
    x, targets = next(iter(dm.train_dataloader()))
    order = x["attention_mask"].sum(1).argsort()
    assert x["input_ids"][order].tolist() == [[4, 1, 0, 0], [4, 5, 6, 1]]
    assert x["attention_mask"][order].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert targets["labels"][order].tolist() == [[7, 8, 1], [9, 1, -100]]
    assert "texts" not in targets


def test_train_batches_are_of_similar_lengths(t5: str, texts: Callable[..., list[str]]) -> None:
    sources = texts(400, longest=20)
    dm = TranslationData.from_lists(sources, sources, batch_size=10, seed=0)
    TranslationTask.from_data(dm, backbone=t5)
    padding = [1 - x["attention_mask"].float().mean().item() for x, _ in dm.train_dataloader()]
    assert sum(padding) / len(padding) < 0.05
    labels = torch.cat([(y["labels"] == -100).flatten() for _, y in dm.train_dataloader()])
    assert labels.float().mean() < 0.05


def test_metrics_get_the_targets_as_they_were_given(t5: str) -> None:
    dm = TranslationData.from_lists(["red", "tea"], ["red", "tea"], ["red"], ["  Ein Wort,  unbekannt! "])
    TranslationTask.from_data(dm, backbone=t5)
    _, targets = next(iter(dm.val_dataloader()))
    assert targets["texts"] == ["  Ein Wort,  unbekannt! "]


# ---------------------------------------------------------------------- what is refused


def test_a_missing_column_is_named_with_those_that_there_are() -> None:
    with pytest.raises(MissingColumnError, match="a column 'fr' in the train data frame, but it has 'en', 'de'."):
        TranslationData.from_data_frame("en", "fr", train_data_frame=FRAME)
    with pytest.raises(MissingColumnError, match="Expected a column 'fr' in the val data"):
        TranslationData.from_datasets("fr", "de", train_dataset=None, val_dataset=ROWS)


def test_a_missing_target_is_counted() -> None:
    with pytest.raises(DataError, match="the targets of the train data, but 1 of 2 have none, the first of them row 1"):
        TranslationData.from_lists(["red", "tea"], ["sun", None])


def test_a_missing_text_is_counted() -> None:
    with pytest.raises(DataError, match="Expected a text in each row of the train data, but 1 of 2 have none"):
        TranslationData.from_lists(["red", float("nan")], ["sun", "sea"])


@pytest.mark.parametrize("empty", ["", "  \n"])
def test_an_empty_target_is_counted(empty: str) -> None:
    sentence = "Expected a target text in each row of the val data, but 2 of 3 are empty, the first of them row 0"
    with pytest.raises(DataError, match=sentence):
        TranslationData.from_lists(["red"], ["red"], ["red", "tea", "sun"], [empty, "sun", empty])


def test_an_empty_cell_of_a_csv_file_is_a_missing_target() -> None:
    FRAME.assign(de=["Tee", "", ""]).to_csv("pairs.csv", index=False)
    with pytest.raises(DataError, match="the targets of the train data, but 2 of 3 have none, the first of them row 1"):
        TranslationData.from_csv("en", "de", train_file="pairs.csv")


def test_train_data_without_targets_is_refused() -> None:
    with pytest.raises(DataError, match="train texts together with train_targets, but got texts without targets"):
        SummarizationData.from_lists(["a long text"])
    with pytest.raises(DataError, match="Expected target_fields to name the column of targets, but got none"):
        SummarizationData.from_data_frame("en", train_data_frame=FRAME)


def test_texts_and_targets_of_different_number_are_refused() -> None:
    with pytest.raises(DataError, match="Expected one target per sample, but got 2 samples and 1 targets."):
        TranslationData.from_lists(["red", "tea"], ["sun"])


def test_several_target_columns_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="Expected target_fields to name one column"):
        TranslationData.from_data_frame("en", ["de", "en"], train_data_frame=FRAME)


def test_no_file_at_all_is_refused() -> None:
    with pytest.raises(DataError, match="Expected at least one file: train_file, val_file, test_file or predict_file."):
        TranslationData.from_csv("en", "de")


def test_data_that_has_met_no_task_says_so() -> None:
    dm = TranslationData.from_lists(["red"], ["sun"])
    assert dm.train_dataset[0] == ("red", "sun")
    with pytest.raises(DataError, match="Make the task first, with from_data"):
        next(iter(dm.train_dataloader()))


def test_a_missing_target_text_is_found_before_the_split() -> None:
    for seed in range(4):
        with pytest.raises(DataError, match="in each row of the targets of the train data, but 1 of 4 have none"):
            SummarizationData.from_lists(list("abcd"), ["a", "b", None, "d"], val_split=0.5, seed=seed)


def test_a_person_is_shown_source_and_target_texts_before_and_after_tokenization(t5: str) -> None:
    data = TranslationData.from_data_frame("en", "de", train_data_frame=FRAME, predict_data_frame=FRAME)
    for _ in range(2):
        assert data.train_dataset.display([2, 0]) == ["1.10", "red tea"]
        assert data.train_dataset.display_targets([2, 0]) == ["nichts, wirklich", "roter Tee"]
        assert data.predict_dataset.display([1]) == ["NA"]
        assert data.predict_dataset.display_targets([1]) is None
        TranslationTask.from_data(data, backbone=t5)


def test_predicted_texts_are_drawn_beside_the_true_ones(t5: str) -> None:
    pytest.importorskip("matplotlib")
    data = TranslationData.from_data_frame("en", "de", train_data_frame=FRAME, val_data_frame=FRAME)
    task = TranslationTask.from_data(data, backbone=t5)
    figure = task.plot_predictions(data, count=2)
    expected = task.predict(["red tea", "NA"])
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == [
        f"{text or '(nothing)'}, truth {true}" for text, true in zip(expected, ("roter Tee", "007"), strict=True)
    ]
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["red tea", "NA"]
    shown = {axes.texts[0].get_text(): axes.get_title("left") for axes in data.show_batch().axes}
    assert shown == {row["en"]: row["de"] for row in ROWS}


def test_a_table_of_two_texts_is_recognized_if_it_is_asked_for() -> None:
    table = {"en": ["good day", "no"], "de": ["guten Tag", "nein"], "id": [1, 2]}
    found = TranslationData.recognize(RawData.of(table), "de")
    assert found is not None
    assert (found.arguments["input_field"], found.why) == ("en", "the columns en and de have texts")
    # Less than any other task: a text as target may be a class.
    assert found.certainty < 0.05
    assert TranslationData.recognize(RawData.of(table), "id") is None
    assert TranslationData.recognize(RawData.of(table)) is None
    assert TranslationData.recognize(RawData.of({"en": [1, 2], "de": ["guten Tag", "nein"]}), "de") is None
    both = {
        "id": ["row one", "row two"],
        "text": [f"a fine film of {row} parts" for row in range(2)],
        "title": ["a", "b"],
    }
    found = SummarizationData.recognize(RawData.of(both), "title")
    assert found is not None
    assert found.arguments["input_field"] == "text"

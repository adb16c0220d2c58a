"""QuestionAnsweringTask: it learns to find answers, in contexts of any length, and says where there is none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import flash
from flash.core.prediction import preprocess_of
from flash.data.stage import Stage
from flash.errors import ConfigurationError, DataError
from flash.testing import DataModuleConformance, TaskConformance
from flash.text import QuestionAnsweringData, QuestionAnsweringTask
from flash.text.answering.metrics import AnswerScore
from flash.text.answering.outputs import best_answers
from flash.text.answering.samples import AnswerTokenizerConfig, Passage
from flash.text.hub import load_tokenizer

MakeTrainer = Callable[..., flash.Trainer]
Quiz = Callable[..., Any]
SIZES = {"train": 48, "val": 16, "test": 7, "predict": 7}


@pytest.fixture
def data(quiz: Quiz) -> QuestionAnsweringData:
    return QuestionAnsweringData.from_lists(*quiz(48), *quiz(12, seed=1), batch_size=8, seed=0)


@pytest.fixture
def task(data: QuestionAnsweringData, bert: str) -> QuestionAnsweringTask:
    return QuestionAnsweringTask.from_data(data, backbone=bert, dropout=0.0)


@pytest.mark.train
def test_the_question_decides_which_part_is_the_answer(
    quiz: Quiz, bert: str, trainer: MakeTrainer, tmp_path: Path
) -> None:
    data = QuestionAnsweringData.from_lists(*quiz(500), *quiz(100, seed=1), batch_size=16, seed=0)
    task = QuestionAnsweringTask.from_data(data, backbone=bert, pretrained=False, learning_rate=3e-3, dropout=0.0)
    run = trainer(max_epochs=12)
    run.fit(task, data)
    assert float(run.callback_metrics["val_exact_match"]) > 0.8
    assert float(run.callback_metrics["val_f1"]) > 0.85
    pairs, answers = quiz(100, seed=2)
    found = task.predict(pairs)
    right = [one["text"] == answer["text"][0] for one, answer in zip(found, answers, strict=True)]
    assert np.mean(right) > 0.8
    for one, answer, (_, context) in zip(found, answers, pairs, strict=True):
        assert context[one["start"] : one["end"]] == one["text"]
        assert one["text"] != answer["text"][0] or one["start"] == answer["answer_start"][0]
    run.save_checkpoint(tmp_path / "task.ckpt")
    loaded: Any = flash.Task.load_from_checkpoint(tmp_path / "task.ckpt")
    assert loaded.predict(pairs, output="texts") == task.predict(pairs, output="texts")


def test_spans_are_the_tokens_of_the_answer_in_each_window(bert: str, quiz: Quiz) -> None:
    pairs, answers = quiz(6, longest=60)
    data = QuestionAnsweringData.from_lists(pairs, answers, batch_size=6)
    task = QuestionAnsweringTask.from_data(data, backbone=bert, overlap=20)
    dataset: Any = data.train_dataset
    tokenizer: Any = task.tokenizer
    several = 0
    for row in range(6):
        sample = dataset[row]
        several += len(sample.windows) > 1
        assert all(window.shape[-1] <= 64 for window in sample.windows)
        inside = [(number, *span) for number, span in enumerate(sample.spans.tolist()) if any(span)]
        assert inside
        for number, first, last in inside:
            ids = sample.windows[number][0][first : last + 1]  # With the segments in a second row.
            assert tokenizer.decode(ids).replace(" ##", "") == answers[row]["text"][0]
    assert several > 2


def test_windows_are_those_of_transformers(bert: str, quiz: Quiz) -> None:
    pairs, answers = quiz(1, longest=60)
    data = QuestionAnsweringData.from_lists(pairs, answers)
    task = QuestionAnsweringTask.from_data(data, backbone=bert, overlap=10)
    sample: Any = data.train_dataset[0]
    tokenizer: Any = task.tokenizer
    options = {"truncation": "only_second", "max_length": 64, "stride": 10, "return_overflowing_tokens": True}
    expected = tokenizer(*pairs[0], **options)
    assert [window[0].tolist() for window in sample.windows] == expected["input_ids"]


class TestBestAnswers:
    def passage(self) -> Passage:
        offsets = np.array([[0, 3], [4, 7], [8, 11]], dtype=np.int32)
        return Passage("one two six", [6, 4], [2, 1], [offsets, offsets[2:]])

    def logits(self, *spans: tuple[int, int, float]) -> Any:
        logits = torch.zeros(10, 2)
        for start, end, value in spans:
            logits[start, 0] = logits[end, 1] = value
        return logits

    def test_the_best_span_of_all_windows_is_the_answer(self) -> None:
        found = best_answers(self.logits((2, 3, 5.0)), self.passage(), 3, 30, False)
        assert (found[0]["text"], found[0]["start"], found[0]["end"]) == ("one two", 0, 7)
        assert len(found) == 3
        assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)
        assert sum(one["score"] for one in found) == pytest.approx(1)
        assert best_answers(self.logits((7, 7, 5.0)), self.passage(), 1, 30, False)[0]["text"] == "six"

    def test_an_answer_ends_behind_its_start_and_is_not_longer_than_allowed(self) -> None:
        assert best_answers(self.logits((4, 2, 5.0)), self.passage(), 1, 30, False)[0]["text"] in ("one", "six")
        assert best_answers(self.logits((2, 4, 5.0)), self.passage(), 1, 2, False)[0]["text"] != "one two six"

    def test_no_answer_counts_only_where_there_may_be_none(self) -> None:
        logits = self.logits((0, 0, 9.0), (6, 6, 9.0))
        assert best_answers(logits, self.passage(), 1, 30, True)[0] == {"text": "", "start": 0, "end": 0, "score": 1.0}
        assert best_answers(logits, self.passage(), 1, 30, False)[0]["text"]
        # Every window has to say that there is none.
        assert best_answers(self.logits((0, 0, 9.0), (7, 7, 2.0)), self.passage(), 1, 30, True)[0]["text"] == "six"


@pytest.mark.train
def test_questions_without_answers_are_learned(quiz: Quiz, bert: str, trainer: MakeTrainer) -> None:
    data = QuestionAnsweringData.from_lists(*quiz(500, without=True), batch_size=16, seed=0)
    task = QuestionAnsweringTask.from_data(data, backbone=bert, pretrained=False, learning_rate=3e-3, dropout=0.0)
    assert task.unanswerable
    trainer(max_epochs=10).fit(task, data)
    pairs, answers = quiz(90, seed=2, without=True)
    found = task.predict(pairs, output="texts")
    right = [bool(text) == bool(answer["text"]) for text, answer in zip(found, answers, strict=True)]
    assert np.mean(right) > 0.85


def test_a_file_of_squad_is_predicted(bert: str, tmp_path: Path) -> None:
    asked = [{"question": "of", "answers": [{"text": "great", "answer_start": 2}]}]
    content = {"data": [{"paragraphs": [{"context": f"a great {word}", "qas": asked} for word in ("film", "plot")]}]}
    (tmp_path / "squad.json").write_text(json.dumps(content))
    task = QuestionAnsweringTask.from_data(QuestionAnsweringData.from_squad(tmp_path / "squad.json"), backbone=bert)
    assert task.predict(tmp_path / "squad.json") == task.predict([("of", "a great film"), ("of", "a great plot")])


def test_outputs_have_names(task: QuestionAnsweringTask, quiz: Quiz) -> None:
    assert task.available_outputs() == ["answers", "n_best", "raw", "texts"]
    pairs, _ = quiz(3)
    best = task.predict(pairs, output="n_best")
    assert [len(found) for found in best] == [5] * 3
    assert [found[0]["text"] for found in best] == task.predict(pairs, output="texts")
    assert not any(one["text"] == "" for found in best for one in found)


def test_predictions_are_written_to_a_file(
    task: QuestionAnsweringTask, quiz: Quiz, trainer: MakeTrainer, tmp_path: Path
) -> None:
    pairs, _ = quiz(5)
    predict = QuestionAnsweringData.from_lists(predict_data=pairs, batch_size=2)
    trainer().predict(task, predict, to=tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["prediction"]["text"] for row in rows] == task.predict(pairs, output="texts")


def test_the_exported_network_has_the_logits_of_the_task(
    task: QuestionAnsweringTask, data: QuestionAnsweringData
) -> None:
    task.use_data(data)
    task.eval()
    portable = task.exported_encoder(preprocess_of(task).stage_hooks(Stage.PREDICT, task.input_spec).portable())
    assert portable.encoder == "flash.text.encoder"
    assert portable.inputs is not None
    (part,) = task.exported_parts(portable.inputs).values()
    x, _ = next(iter(data.val_dataloader()))
    start, end = part.module(*(x[name] for name in portable.inputs))
    torch.testing.assert_close(torch.stack([start, end], -1), task.token_logits(x))


def test_scores_are_those_of_squad() -> None:
    scores = {name: AnswerScore(name) for name in ("exact_match", "f1")}
    for metric in scores.values():
        metric.update(["The London!", "Rome and Paris", "", "x"], [["london"], ["Paris", "Oslo"], [], []])
    assert float(scores["exact_match"].compute()) == 0.5
    assert float(scores["f1"].compute()) == pytest.approx((1 + 0.5 + 1 + 0) / 4)


@pytest.mark.parametrize("options", [{"n_best": 0}, {"max_answer_length": True}, {"overlap": 64}, {"overlap": -1}])
def test_numbers_out_of_range_are_refused(options: dict[str, Any], bert: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Expected {next(iter(options))} to be "):
        QuestionAnsweringTask(bert, **options)


def test_a_question_leaves_room_for_its_context(task: QuestionAnsweringTask) -> None:
    with pytest.raises(DataError, match="Expected questions that leave room for their contexts in"):
        task.predict([("film " * 80, "a long story " * 40)])


def test_a_function_is_no_tokenizer_that_knows_places(letters: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="which knows the places of tokens in a text, to find answers"):
        QuestionAnsweringTask(**letters).predict([("a", "b")])


class Asked:
    @pytest.fixture
    def constructor(self) -> Callable[..., Any]:
        return QuestionAnsweringData.from_lists

    @pytest.fixture
    def parts(self, quiz: Quiz) -> Mapping[str, Mapping[str, Any]]:
        parts: dict[str, dict[str, Any]] = {}
        for seed, (stage, count) in enumerate(SIZES.items()):
            pairs, answers = quiz(count, seed)
            parts[stage] = {f"{stage}_data": pairs, f"{stage}_targets": answers}
        del parts["predict"]["predict_targets"]
        return parts

    @pytest.fixture
    def bad_parts(self, quiz: Quiz) -> Mapping[str, Mapping[str, Any]]:
        pairs, answers = quiz(8)
        return {
            "an answer is missing": {"train_data": pairs, "train_targets": answers[:-1]},
            "there is no context": {"train_data": ["who"] * 8, "train_targets": answers},
            "there is nothing": {"train_data": [], "train_targets": []},
        }


class TestQuestionData(Asked, DataModuleConformance):
    @pytest.fixture(autouse=True)
    def _tokenizer(self, checkpoints: dict[str, Path]) -> None:
        self.tokenizer = load_tokenizer(checkpoints["bert"])

    @pytest.fixture
    def constructor(self) -> Callable[..., Any]:
        def make(**arguments: Any) -> QuestionAnsweringData:
            data = QuestionAnsweringData.from_lists(**arguments)
            data.connect(AnswerTokenizerConfig(self.tokenizer, max_length=64, overlap=16))
            return data

        return make

    def samples_of(self, batch: Any) -> list[Any]:
        x, targets = batch if isinstance(batch, tuple | list) else (batch, None)
        counts = x["window_counts"].tolist()
        ids = [
            [row[mask.bool()].tolist() for row, mask in zip(rows, masks, strict=True)]
            for rows, masks in zip(x["input_ids"].split(counts), x["attention_mask"].split(counts), strict=True)
        ]
        return ids if targets is None else list(zip(ids, targets["spans"].split(counts), strict=True))


class TestQuestionTask(Asked, TaskConformance):
    epochs = 30

    @pytest.fixture
    def make_task(self, checkpoints: dict[str, Path]) -> Callable[..., Any]:
        return lambda data: QuestionAnsweringTask.from_data(
            data, backbone=checkpoints["bert"], learning_rate=3e-3, dropout=0.0
        )

    @pytest.fixture
    def raw_inputs(self, parts: Any) -> Any:
        return parts["predict"]["predict_data"]

    @pytest.fixture
    def bad_inputs(self) -> Mapping[str, Any]:
        return {"a text is missing": [("who", None)], "there is none": [], "they are single texts": ["a film"]}

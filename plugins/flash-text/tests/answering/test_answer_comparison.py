"""Comparison of models of question answering: scores of each question, and the models without a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flash.text import QuestionAnsweringData
from flash.text.answering.metrics import AnswerScore, answer_scores
from flash.text.answering.recipes import near_words, same_place
from flash.text.answering.task import QuestionAnsweringTask

TRUE = [["Tower", "the Tower of London"], [], ["in 1843"], ["Ada"]]
FOUND = ["Tower of London!", "", "1843", "Babbage"]


def test_means_of_scores_are_the_metrics_of_all_questions() -> None:
    rows = answer_scores(FOUND, TRUE)
    for metric in QuestionAnsweringTask.statistics_metrics():
        whole = AnswerScore(metric.name)  # type: ignore[arg-type]  # one of both
        whole.update(FOUND, TRUE)
        value = float(metric.prepare(np.zeros((4, 1)), rows)(np.ones((1, 4)))[0])
        assert value == pytest.approx(float(whole.compute()))
    # Of several answers the best one counts.
    assert rows[:2].tolist() == [[1, 1], [1, 1]]


def test_statistics_of_a_network_are_those_of_its_predictions(bert: str, quiz: Any) -> None:
    (pairs, answers), (val_pairs, val_answers) = quiz(12), quiz(9, seed=1, without=True)
    data = QuestionAnsweringData.from_lists(pairs, answers, val_pairs, val_answers, batch_size=4)
    task = QuestionAnsweringTask.from_data(data, backbone=bert, pretrained=False)
    task.use_data(data)
    dataset = data.val_dataset.with_input_spec(task.input_spec)
    texts = task.predict(val_pairs, output="texts")
    expected = answer_scores(texts, [each["text"] for each in val_answers])
    assert task.predicted_statistics(dataset, batch_size=2).tolist() == expected.tolist()
    assert task.describe_predictions(dataset, [3, 1], []) == [texts[3] or "(no answer)", texts[1] or "(no answer)"]
    truth = QuestionAnsweringTask.true_statistics(data.val_dataset)
    assert truth.tolist() == [[len(each["text"])] for each in val_answers]
    described = QuestionAnsweringTask.describe_targets(data.val_dataset, [0, 1], [])
    assert described == ["(no answer)", val_answers[1]["text"][0]]


PLACES = [("Who?", "Ada Byron wrote notes."), ("Who was it?", "Jane Roe came late."), ("Who?", "Tim Lee read.")]
NAMES = ["Ada Byron", "Jane Roe", "Tim Lee"]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [(NAMES, NAMES[0]), (["notes", "late", "read"], "."), (["", "", "Tim Lee"], "")],
)
def test_the_trivial_model_answers_with_the_place_that_is_best_in_training(answers: list[str], expected: str) -> None:
    data = QuestionAnsweringData.from_lists(PLACES, answers, PLACES[:1], answers[:1])
    model: Any = same_place(data).fit(data)
    if expected == ".":  # The full stop is the last word, and one word is the usual length: no place is better.
        assert model.predict(data.val_dataset)[0, 0] == 0
    else:
        assert model.answer(*PLACES[0]) == expected
        assert model.predict(data.val_dataset).tolist() == [[1, 1]]
    assert model.kind == "trivial"


def test_the_words_near_those_of_the_question_are_an_answer() -> None:
    pairs = [
        ("Where was Ada born?", "Ada was born in London. Charles worked at the engine all day."),
        ("What did Charles build?", "Many people slept. Charles build engines. Others were in town."),
    ]
    answers = ["in London", "build engines"]
    data = QuestionAnsweringData.from_lists(pairs, answers, pairs, answers)
    model = near_words(data).fit(data)
    assert model.describe_predictions(data.val_dataset, [0], []) == ["in London"]
    assert model.answer("Where was Grace born?", "Grace was born in Rome, they say in the town.") == "in Rome"
    assert model.answer("nothing", "nothing") == ""

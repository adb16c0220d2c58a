"""Importance of words: that of a prediction without the word, computed by predicting the shorter text."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from flash.core.classification import ClassificationTask
from flash.core.occlusion import piece_importance
from flash.data.pieces import Span
from flash.errors import ConfigurationError
from flash.text import (
    TextClassificationData,
    TextClassifier,
    TextEmbedder,
    TextRegressionData,
    TextRegressor,
    TranslationData,
    TranslationTask,
)
from flash.text.samples import TokenizerConfig

TEXTS = ["the film was great , really", "an awful plot", "weak"]
KINDS = ["positive", "negative", "negative"]


def without(text: str, place: int) -> str:
    words = text.split()
    return " ".join(words[:place] + words[place + 1 :])


def test_a_word_is_as_important_as_the_prediction_of_the_text_without_it_says(bert: str) -> None:
    data = TextClassificationData.from_lists(TEXTS, KINDS, TEXTS, KINDS, batch_size=4)
    task = TextClassifier.from_data(data, backbone=bert)
    found = piece_importance(task, data, rows=[0, 1, 2])
    for text, each in zip(TEXTS, found, strict=True):
        (whole,) = task.predict([text], output="probabilities")
        place = max(range(2), key=whole.__getitem__)
        assert (each.name, each.value) == (task.labels[place], pytest.approx(whole[place]))
        texts = [without(text, word) for word in range(len(text.split()))]
        left = [probabilities[place] for probabilities in task.predict(texts, output="probabilities")]
        assert each.values == pytest.approx([whole[place] - one for one in left], abs=1e-5)
        assert [text[word.start : word.stop] for word in each.places] == text.split()


def test_words_of_both_texts_of_a_pair_are_left_out_of_their_own(bert: str) -> None:
    pairs = [("who was great", "the actor"), ("where", "here or there")]
    data = TextRegressionData.from_lists(pairs, [1.0, 7.0], pairs, [1.0, 7.0])
    task = TextRegressor.from_data(data, backbone=bert)
    (found,) = piece_importance(task, data, rows=[1])
    assert found.shown == {"text 1": "where", "text 2": "here or there"}
    assert found.places == [*(Span(0, 5, "text 1"), Span(0, 4, "text 2"), Span(5, 7, "text 2"), Span(8, 13, "text 2"))]
    (whole,) = task.predict([pairs[1]])
    changed = [("", pairs[1][1]), *(("where", without(pairs[1][1], word)) for word in range(3))]
    assert found.values == pytest.approx([whole - each for each in task.predict(changed)], abs=1e-4)
    assert found.is_number
    assert found.value == pytest.approx(whole)


def test_a_pair_has_no_more_pieces_than_asked_for() -> None:
    pairs = [("a b c d e f g h", "i j"), ("k", "l")]
    dataset = TextClassificationData.from_lists(pairs, ["x", "y"]).train_dataset
    for most in range(2, 12):
        assert 2 <= len(dataset.pieces(0, most).places) <= most


class Balance(ClassificationTask):
    """Scores by how often a text says great, and awful."""

    input_spec = TokenizerConfig(
        lambda texts: [[{"great": 2, "awful": 3}.get(word, 1) for word in text.split()] for text in texts], 99
    )

    def forward(self, x: Any) -> Tensor:
        score = (x["input_ids"] == 2).sum(1) - (x["input_ids"] == 3).sum(1)
        return torch.stack([-score, score], 1).float()


def test_words_are_shaded_by_their_importance_orange_for_and_blue_against() -> None:
    pytest.importorskip("matplotlib")
    text = "great but awful and great"
    data = TextClassificationData.from_lists(["x", text], ["negative", "positive"], [text], ["positive"], seed=0)
    figure: Any = Balance(labels=["negative", "positive"]).plot_importance(data)
    axes, scale = figure.axes
    assert [word.get_text() for word in axes.texts] == text.split()
    assert axes.get_title("left") == "positive 88%, truth positive"
    assert (axes.get_title("right"), scale.get_xlabel()) == ("row 0", "drop of the probability without the piece")
    red, _, blue = zip(*(each.get_facecolor()[:3] for each in axes.patches), strict=True)
    assert [one > other for one, other in zip(red, blue, strict=True)] == [True, False, False, False, True]
    assert red[1] == blue[1] == red[3] == 1.0
    assert red[2] < blue[2]
    # Each word is inside of its box.
    figure.draw_without_rendering()
    for word, box in zip(axes.texts, axes.patches, strict=True):
        inner, outer = word.get_window_extent(), box.get_window_extent()
        assert outer.x0 <= inner.x0 + 1
        assert inner.x1 <= outer.x1 + 1


def test_rows_choose_the_samples_and_pairs_without_rows_have_two_bars(bert: str) -> None:
    pytest.importorskip("matplotlib")
    pairs = [("a film", "great"), ("a plot", "awful"), ("an end", "weak")]
    data = TextClassificationData.from_lists(pairs, KINDS, pairs, KINDS)
    task = TextClassifier.from_data(data, backbone=bert)
    names = [label.get_text() for label in task.plot_importance(data, repeats=1).axes[0].get_yticklabels()]
    assert sorted(names) == ["text 1", "text 2"]
    figure = task.plot_importance(data, rows=[2, 0])
    assert [axes.get_title("right") for axes in figure.axes[:-1]] == ["row 2", "row 0"]
    words = [word.get_text() for word in figure.axes[0].texts]
    assert words == ["text 1:", "an", "end", "text 2:", "weak"]


def test_tasks_whose_results_are_no_classes_and_no_numbers_say_what_to_do(bert: str, checkpoints: Any) -> None:
    pytest.importorskip("matplotlib")
    data = TextClassificationData.from_lists(TEXTS, KINDS, TEXTS, KINDS)
    with pytest.raises(
        ConfigurationError,
        match=r"this TextEmbedder predicts something else. See its results with task.plot_predictions\(data\), or",
    ):
        TextEmbedder(bert).plot_importance(data)
    texts = TranslationData.from_lists(TEXTS, TEXTS, TEXTS, TEXTS)
    task = TranslationTask.from_data(texts, backbone=str(checkpoints["t5"]))
    with pytest.raises(
        ConfigurationError, match=r"those of this TranslationData are one whole. See its results with task"
    ):
        task.plot_importance(texts)
    with pytest.raises(ConfigurationError, match="this TranslationTask predicts something else. See its results with"):
        task.plot_importance(texts, rows=[0])

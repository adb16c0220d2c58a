"""Importance of the pieces of single samples: of the one word that decides, computed by hand, and of no other."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import flash
from flash.core.classification import ClassificationTask
from flash.core.occlusion import piece_importance
from flash.core.regression import RegressionTask
from flash.data.pieces import Pieces, without_words, words_of
from flash.errors import ConfigurationError, DataError


class Sentences(flash.Preprocess):
    """Texts with their targets, that a third party divides into words."""

    def pieces(self, samples: Any, row: int, most: int) -> Pieces:
        sample = samples[row]
        text = sample if self.predicting else sample[0]
        words = words_of(text, most)

        def without(left_out: Sequence[Collection[int]]) -> list[Any]:
            texts = [without_words(text, words, out) for out in left_out]
            return texts if self.predicting else [(each, sample[1]) for each in texts]

        return Pieces(text, words, without)


TEXTS = ["a good film", "bad, bad and good", "long"]


def data(targets: Sequence[Any] = (1, 0, 0), **options: Any) -> flash.DataModule:
    pairs = list(zip(TEXTS, targets, strict=True))
    options = {"val_load_data_input": pairs, "predict_load_data_input": TEXTS, "preprocess": Sentences(), **options}
    return flash.DataModule.from_load_data_inputs(train_load_data_input=pairs, **options)


def balance(texts: Sequence[str]) -> Tensor:
    return torch.tensor([float(text.count("good") - text.count("bad")) for text in texts])


class Judge(ClassificationTask):
    """Scores by how often texts say good, and bad."""

    def forward(self, texts: Any) -> Tensor:
        return torch.stack([torch.zeros(len(texts)), balance(texts)], 1)


def sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-score))


def test_the_drop_of_the_predicted_classs_probability_is_that_by_hand() -> None:
    good, bad, whole = piece_importance(Judge(labels=["minus", "plus"]), data(), rows=[0, 1, 2])
    assert (good.name, good.row, good.shown, good.meaning) == ("plus", 0, "a good film", "drop of the probability")
    assert good.value == pytest.approx(sigmoid(1))
    assert good.values == pytest.approx([0, sigmoid(1) - sigmoid(0), 0], abs=1e-6)
    # One "good" less makes it more negative: the word speaks against the prediction.
    assert bad.name == "minus"
    assert bad.value == pytest.approx(sigmoid(1))
    assert bad.values == pytest.approx([sigmoid(1) - 0.5, sigmoid(1) - 0.5, 0, sigmoid(1) - sigmoid(2)], abs=1e-6)
    assert whole.values == [0]
    assert [None if each.truth is None else int(each.truth) for each in (good, bad, whole)] == [1, 0, 0]


def test_another_class_can_be_explained() -> None:
    task = Judge(labels=["minus", "plus"])
    for target in ("minus", 0):
        (found,) = piece_importance(task, data(), rows=[0], target=target)
        assert found.name == "minus"
        assert found.value == pytest.approx(1 - sigmoid(1))
        assert found.values == pytest.approx([0, sigmoid(0) - sigmoid(1), 0], abs=1e-6)


def test_of_several_labels_the_most_probable_one_is_explained() -> None:
    class Labels(ClassificationTask):
        def forward(self, texts: Any) -> Tensor:
            score = balance(texts)
            return torch.stack([-score - 9, 2 * score], 1)

    task = Labels(labels=["sad", "fine"], multi_label=True)
    (found,) = piece_importance(task, data([[0.0, 1.0]] * 3, preprocess=Pairs()), rows=[0])
    assert found.name == "fine"
    assert found.value == pytest.approx(sigmoid(2))
    assert found.values == pytest.approx([0, sigmoid(2) - sigmoid(0), 0], abs=1e-6)


class Pairs(Sentences):
    """Targets of several values."""

    def to_tensor_transform(self, sample: Any) -> Any:
        return (sample[0], torch.tensor(sample[1]))


def test_a_number_drops_by_what_a_word_adds() -> None:
    class Counts(RegressionTask):
        def forward(self, texts: Any) -> Tensor:
            return torch.stack([7 * balance(texts), -balance(texts)], 1)

    dm = data([[0.0, 1.0]] * 3, preprocess=Pairs())
    (first,) = piece_importance(Counts(2), dm, rows=[1])
    assert (first.values, first.value, first.is_number, first.meaning) == (
        [-7, -7, 0, 7],
        -7,
        True,
        "drop of the number",
    )
    (second,) = piece_importance(Counts(2), dm, rows=[1], target=1)
    assert (second.values, second.value, second.name) == ([1, 1, 0, -1], 1, "1")


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_it_is_the_same_whatever_the_batches_and_without_targets(batch_size: int) -> None:
    task = Judge(labels=["minus", "plus"])
    (one,) = piece_importance(task, data(), rows=[1])
    (other,) = piece_importance(task, data(batch_size=batch_size), "predict", rows=[1])
    assert (one.values, one.name) == (other.values, other.name)
    assert other.truth is None


def test_longer_samples_have_no_more_pieces_than_asked_for() -> None:
    (found,) = piece_importance(Judge(2), data(), rows=[1], most=2)
    assert [TEXTS[1][place.start : place.stop] for place in found.places] == ["bad, bad", "and good"]


def test_train_samples_are_not_augmented() -> None:
    class Noisy(Sentences):
        def train_pre_tensor_transform(self, sample: Any) -> Any:
            return "bad " * int(torch.randint(9, (1,))), sample[1]

    (found,) = piece_importance(Judge(2), data(preprocess=Noisy()), "train", rows=[0])
    assert found.values == pytest.approx([0, sigmoid(1) - 0.5, 0], abs=1e-6)


def test_long_work_shows_a_bar_and_short_work_none(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    piece_importance(Judge(2), data(), rows=[0, 1], progress=True)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("flash.core.occlusion._LONG", 0.0)
    piece_importance(Judge(2), data(), rows=[0, 1], progress=True)
    assert "7/7" in capsys.readouterr().err
    piece_importance(Judge(2), data(), rows=[0, 1])
    assert capsys.readouterr().err == ""


def test_the_task_is_left_in_its_mode() -> None:
    task = Judge(2)
    piece_importance(task.train(), data(), rows=[0])
    assert task.training


def test_what_has_no_importance_is_an_error() -> None:
    class Vectors(flash.Task):
        def forward(self, texts: Any) -> Tensor:
            return balance(texts).unsqueeze(1).expand(-1, 8)

    with pytest.raises(
        ConfigurationError,
        match=r"predicts classes or numbers, .* this Vectors predicts something else. See .*plot_predictions\(data\)",
    ):
        piece_importance(Vectors(), data(["x", "y", "z"]), rows=[0])
    table = flash.DataModule.from_tensors(val_data=torch.randn(4, 2), val_targets=torch.tensor([0, 1, 0, 1]))
    with pytest.raises(ConfigurationError, match="Expected samples that are divided into pieces, .* Leave rows out"):
        piece_importance(ClassificationTask(2, model=nn.Identity()), table, rows=[0])
    task = Judge(labels=["minus", "plus"])
    for target in ("maybe", 2, -1, True):
        with pytest.raises(ConfigurationError, match="Expected target to be among 'minus', 'plus', but got"):
            piece_importance(task, data(), rows=[0], target=target)
    with pytest.raises(ConfigurationError, match="Expected target to be among '0', '1', but got 'minus'"):
        piece_importance(Judge(2), data(), rows=[0], target="minus")
    for rows, got in (([3], "3"), ([], "none")):
        with pytest.raises(
            DataError, match=f"Expected indices of val samples, from 0 to 2, but got {got}. Choose some"
        ):
            piece_importance(task, data(), rows=rows)
    with pytest.raises(ConfigurationError, match="Expected rows to be a list of whole numbers from 0, but got -1"):
        piece_importance(task, data(), rows=[-1])
    with pytest.raises(ConfigurationError, match="Expected most to be a whole number of at least 1, but got 0"):
        piece_importance(task, data(), rows=[0], most=0)

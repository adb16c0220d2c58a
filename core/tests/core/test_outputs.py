"""Outputs of classifiers: one result per sample, of scores of one shape."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import flash
from flash.core.classification import ClassificationTask
from flash.core.outputs import regression_outputs
from flash.errors import ConfigurationError, UnknownNameError


class Pixels(ClassificationTask):
    """A classifier of each pixel, whose predictions are of shape ``(batch, classes, height, width)``."""

    def __init__(self, multi_label: bool = False) -> None:
        super().__init__(labels=["ground", "sky"], multi_label=multi_label, model=nn.Conv2d(1, 2, 1))


class Parts(ClassificationTask):
    """A classifier that returns a dict."""

    def __init__(self) -> None:
        super().__init__(labels=["ground", "sky"], model=nn.Linear(1, 2))

    def forward(self, x: Any) -> Any:
        return {"scores": self.model(x)}  # type: ignore[misc]  # there is a model


@pytest.mark.parametrize("output", ["labels", "classes", "probabilities"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_scores_that_are_not_one_per_class_are_an_error_that_says_what_to_ask_for(
    output: str, multi_label: bool
) -> None:
    """The last dimension is no dimension of classes then."""
    with pytest.raises(
        ConfigurationError,
        match=rf"shape \(batch, classes\) for the output '{output}', but got shape \(3, 2, 4, 4\).*raw",
    ):
        Pixels(multi_label).predict(torch.zeros(3, 1, 4, 4), output=output)


def test_predictions_that_are_no_tensor_are_an_error_that_names_their_type() -> None:
    with pytest.raises(ConfigurationError, match=r"for the output 'labels', but got a dict\. Ask for output='raw'"):
        Parts().predict(torch.zeros(3, 1))


def test_the_raw_output_and_a_function_take_predictions_of_any_shape() -> None:
    task = Pixels()
    assert [each.shape for each in task.predict(torch.zeros(3, 1, 4, 4), output="raw")] == [(2, 4, 4)] * 3
    masks = task.predict(torch.zeros(3, 1, 4, 4), output=lambda predictions: predictions.argmax(1))
    assert [each.shape for each in masks] == [(4, 4)] * 3


def test_scores_are_shown_as_asked_for() -> None:
    task = ClassificationTask(labels=["ground", "sky"], model=nn.Identity())
    scores = torch.tensor([[0.0, 2.0], [1.0, -1.0]])
    assert task.predict(scores, output="labels") == ["sky", "ground"]
    assert task.predict(scores, output="classes") == [1, 0]
    assert task.predict(scores, output="logits") == scores.tolist()
    assert task.predict(scores, output="probabilities")[1] == pytest.approx([0.8808, 0.1192], abs=1e-4)


def test_several_classes_are_shown_where_a_sample_may_have_several() -> None:
    task = ClassificationTask(labels=["ground", "sky"], multi_label=True, model=nn.Identity())
    scores = torch.tensor([[1.0, 2.0], [-1.0, -1.0]])
    assert task.predict(scores, output="labels") == [["ground", "sky"], []]
    assert task.predict(scores, output="classes") == [[0, 1], []]


@pytest.mark.parametrize(("shape", "expected"), [((2,), [1.0, 2.0]), ((2, 1), [1.0, 2.0]), ((1, 2), [[1.0, 2.0]])])
def test_values_are_one_number_per_sample_or_a_list(shape: tuple[int, ...], expected: list[Any]) -> None:
    class Number(flash.Task):
        outputs = regression_outputs
        default_output = "values"

    assert Number(nn.Identity()).predict(torch.tensor([1.0, 2.0]).reshape(shape)) == expected


def test_a_callable_presents_predictions(linear: Any) -> None:
    assert linear().predict(torch.zeros(2, 3), output=lambda batch: ["x"] * len(batch)) == ["x", "x"]


def test_an_unknown_output_is_an_error_that_lists_them(linear: Any) -> None:
    with pytest.raises(UnknownNameError, match="raw"):
        linear().predict(torch.zeros(2, 3), output="labels")


def test_something_else_as_an_output_is_an_error(linear: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected an output's name, such as 'raw', or a callable, but got 3"):
        linear().predict(torch.zeros(2, 3), output=3)


def test_the_vocabulary_of_outputs_is_listed() -> None:
    assert flash.Task.available_outputs() == ["raw"]
    assert ClassificationTask.available_outputs() == ["classes", "labels", "logits", "probabilities", "raw"]

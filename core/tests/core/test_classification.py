"""Classifiers: scores of one class or of several labels, presented as asked for, and weights of classes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import flash
from flash.core.classification import ClassificationTask
from flash.errors import ConfigurationError


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ("labels", str),
        ("classes", int),
        ("probabilities", list),
        ("logits", list),
        ("raw", torch.Tensor),
        (None, str),
    ],
)
def test_every_output_of_a_classifier(output: Any, kind: type, trainer_options: dict[str, Any]) -> None:
    task = ClassificationTask(labels=["ants", "bees"], model=nn.Linear(3, 2))
    x = torch.randn(4, 3)
    flat = task.predict(x, output=output)
    assert [type(result) for result in flat] == [kind] * 4
    dm = flash.DataModule.from_tensors(predict_data=x, batch_size=4)
    (batch,) = flash.Trainer(**trainer_options).predict(task, datamodule=dm, output=output) or [None]
    assert str(batch) == str(flat)


def test_probabilities_add_up_to_one() -> None:
    task = ClassificationTask(num_classes=3, model=nn.Linear(3, 3))
    assert sum(task.predict(torch.randn(1, 3), output="probabilities")[0]) == pytest.approx(1)


def test_several_labels_a_sample() -> None:
    model = nn.Linear(2, 2, bias=False)
    model.weight.data = torch.eye(2)
    task = ClassificationTask(labels=["dog", "cat"], multi_label=True, model=model)
    x = torch.tensor([[5.0, 5.0], [5.0, -5.0], [-5.0, -5.0]])
    assert task.predict(x) == [["dog", "cat"], ["dog"], []]
    assert task.predict(x, output="classes") == [[0, 1], [0], []]


@pytest.mark.parametrize("arguments", [{}, {"num_classes": 1}, {"num_classes": True}, {"labels": ["one"]}])
def test_a_classifier_without_two_classes_is_an_error(arguments: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected num_classes of at least 2, or labels"):
        ClassificationTask(**arguments)


def test_labels_that_do_not_match_the_classes_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match="Expected one label per class, but got 2 labels for 3 classes"):
        ClassificationTask(num_classes=3, labels=["a", "b"])


def test_class_weights_count_in_the_loss() -> None:
    logits, y = torch.zeros(2, 2), torch.tensor([0, 1])
    logits[0, 0] = 2.0
    plain = ClassificationTask(num_classes=2).compute_loss(logits, y)
    weighted = ClassificationTask(num_classes=2, class_weights=[0.0, 1.0]).compute_loss(logits, y)
    assert weighted > plain
    balanced = ClassificationTask(num_classes=2, class_weights="balanced", class_counts=[30, 10])
    assert balanced.class_weights.tolist() == pytest.approx([40 / 60, 2.0])


def test_soft_targets_that_are_sure_have_the_loss_of_class_indices() -> None:
    torch.manual_seed(0)
    logits, y = torch.randn(6, 3), torch.tensor([0, 1, 2, 2, 1, 2])
    soft = nn.functional.one_hot(y, 3).float()
    for weights in (None, [1.0, 2.0, 5.0]):
        task = ClassificationTask(num_classes=3, class_weights=weights)
        torch.testing.assert_close(task.compute_loss(logits, soft), task.compute_loss(logits, y))
        assert task.loss_weight(soft) == task.loss_weight(y)
        mixed = 0.75 * soft + 0.25 * soft.flip(0)
        # As it is in the paper of mixup: the losses of both classes, weighted.
        both = 0.75 * task.compute_loss(logits, y) + 0.25 * task.compute_loss(logits, y.flip(0))
        torch.testing.assert_close(task.compute_loss(logits, mixed), both)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], r"Expected 2 class weights, one per class, but got shape \(1,\)"),
        ("balanced", "'balanced' together with class_counts"),
        ("heavy", "but got 'heavy'"),
        ({0: 1.0, 1: 2.0}, "Expected class_weights with one number for each label"),
    ],
)
def test_wrong_class_weights_are_an_error(weights: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ClassificationTask(num_classes=2, class_weights=weights)


def test_class_weights_may_be_given_by_label() -> None:
    task = ClassificationTask(labels=["ham", "spam"], class_weights={"spam": 3.0, "ham": 1.0}, model=nn.Linear(2, 2))
    assert task.class_weights is not None
    assert task.class_weights.tolist() == [1.0, 3.0]
    with pytest.raises(ConfigurationError, match=r"number for each label \('ham', 'spam'\), but got those of 'spam'\."):
        ClassificationTask(labels=["ham", "spam"], class_weights={"spam": 3.0}, model=nn.Linear(2, 2))
    with pytest.raises(ConfigurationError, match="Expected class_weights with one number for each label"):
        ClassificationTask(2, class_weights={0: 1.0, 1: 3.0}, model=nn.Linear(2, 2))


def test_several_labels_have_f1_beside_accuracy_by_default(trainer_options: dict[str, Any]) -> None:
    count, labels = 3, ["dog", "cat", "eel"]
    model = nn.Linear(count, count)
    with torch.no_grad():
        model.weight.copy_(torch.eye(count))
        model.bias.zero_()
    task = ClassificationTask(labels=labels, multi_label=True, model=model)
    y = torch.zeros(10, count)
    y[0, 0] = 1
    # Nothing is predicted: nearly all is right, and nothing is found.
    dm = flash.DataModule.from_tensors(test_data=torch.full((10, count), -1.0), test_targets=y)
    (scores,) = flash.Trainer(**trainer_options).test(task, dm, verbose=False)
    assert scores["test_accuracy"] == pytest.approx(1 - 1 / (10 * count))
    assert scores["test_f1"] == 0
    assert "f1" not in ClassificationTask(2, model=model).stage_metrics["val_metrics"]._order

"""Outputs, targets and losses row by row, the worst of them, and the counts and scores of classes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import IterableDataset, TensorDataset

import flash
from flash.core.classification import ClassificationTask
from flash.core.evaluation import Evaluated, evaluate_predictions, evaluate_rows
from flash.core.regression import RegressionTask
from flash.errors import ConfigurationError, DataError

SCORES = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0], [1.0, 0.0, 0.5], [0.0, 4.0, 0.0]])
CLASSES = torch.tensor([0, 1, 1, 2, 0])


def data(x: Tensor, y: Tensor, **options: Any) -> flash.DataModule:
    return flash.DataModule.from_tensors(x, y, x, y, predict_data=x, **{"batch_size": 2, "seed": 0, **options})


def classifier(**options: Any) -> ClassificationTask:
    return ClassificationTask(labels=["a", "b", "c"], model=nn.Identity(), **options)


# ---------------------------------------------------------------------- rows


def test_rows_are_in_the_order_of_the_dataset_with_the_loss_of_each() -> None:
    found = evaluate_rows(classifier(), data(SCORES, CLASSES))
    assert found.kind == "classes"
    assert found.names == ["a", "b", "c"]
    assert found.ids == [0, 1, 2, 3, 4]
    assert found.outputs is not None
    assert found.targets is not None
    assert found.losses is not None
    assert torch.equal(found.outputs, SCORES)
    assert torch.equal(found.targets, CLASSES)
    by_hand = [float(torch.logsumexp(row, 0) - row[target]) for row, target in zip(SCORES, CLASSES, strict=True)]
    assert found.losses.tolist() == pytest.approx(by_hand, rel=1e-5)
    assert found.worst(2) == [4, 2]
    assert found.worst() == sorted(range(5), key=lambda row: -by_hand[row])
    assert found.order == "highest loss first"


@pytest.mark.parametrize(
    ("options", "targets"),
    [
        ({"class_weights": [1.0, 5.0, 0.5]}, CLASSES),
        ({"loss_fn": nn.CrossEntropyLoss(label_smoothing=0.2)}, CLASSES),
        ({"multi_label": True, "class_weights": [1.0, 5.0, 0.5]}, torch.eye(3)[CLASSES]),
    ],
)
def test_the_loss_of_a_row_is_that_of_a_batch_of_it_alone(options: dict[str, Any], targets: Tensor) -> None:
    task = classifier(**options)
    found = evaluate_rows(task, flash.DataModule.from_tensors(val_data=SCORES, val_targets=targets))
    assert found.losses is not None
    alone = [float(task.compute_loss(SCORES[row : row + 1], targets[row : row + 1])) for row in range(5)]
    assert found.losses.tolist() == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("loss_fn", [nn.functional.mse_loss, nn.functional.l1_loss])
def test_losses_of_numbers_are_in_standard_deviations(loss_fn: Any) -> None:
    task = RegressionTask(2, [10.0, 0.0], [5.0, 2.0], model=nn.Identity(), loss_fn=loss_fn)
    x, y = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[10.0, 4.0], [5.0, 2.0]])
    found = evaluate_rows(task, data(x, y))
    assert found.kind == "numbers"
    assert found.outputs is not None
    assert found.outputs.tolist() == [[10.0, 0.0], [15.0, 2.0]]
    # Errors of (0, 2) and (2, 0) standard deviations.
    expected = 2.0 if loss_fn is nn.functional.mse_loss else 1.0
    assert found.losses is not None
    assert found.losses.tolist() == pytest.approx([expected] * 2)
    assert found.predicted is found.outputs


def test_without_targets_the_least_certain_rows_are_the_worst() -> None:
    found = evaluate_rows(classifier(), data(SCORES, CLASSES), "predict")
    assert (found.targets, found.losses, found.order) == (None, None, "least certain first")
    certainty = SCORES.softmax(1).amax(1)
    assert found.worst() == certainty.argsort().tolist()
    several = evaluate_rows(classifier(multi_label=True), flash.DataModule.from_tensors(predict_data=SCORES), "predict")
    assert several.uncertainties is not None
    assert several.uncertainties.tolist() == pytest.approx([0.5, 0.5, 0.5, 0.5, 0.5])


def test_a_loss_that_is_not_a_number_is_the_worst() -> None:
    found = Evaluated("val", "numbers", None, [0, 1, 2], None, None, torch.tensor([3.0, float("nan"), 5.0]))
    assert found.worst() == [1, 2, 0]


def test_any_task_and_any_torch_dataset_is_evaluated() -> None:
    task = flash.Task(nn.Identity(), nn.functional.cross_entropy)
    found = evaluate_rows(task, flash.DataModule(val_dataset=TensorDataset(SCORES, CLASSES)))
    assert (found.kind, found.names) == ("classes", ["0", "1", "2"])
    numbers = evaluate_rows(
        flash.Task(nn.Identity(), nn.functional.mse_loss), data(torch.ones(3, 1), torch.tensor([1.0, 2.0, 4.0]))
    )
    assert (numbers.kind, numbers.losses.tolist()) == ("numbers", [0.0, 1.0, 9.0])
    other = evaluate_rows(flash.Task(nn.Identity()), data(SCORES, torch.zeros(5, 7)))
    assert (other.kind, other.losses, other.worst(2), other.order) == (None, None, [0, 1], "")


def test_outputs_that_are_no_rows_of_numbers_are_not_kept() -> None:
    class Parts(flash.Task):
        def forward(self, x: Any) -> Any:
            return [x, x]

    found = evaluate_rows(Parts(), data(SCORES, CLASSES))
    assert (found.outputs, found.losses, found.kind, len(found)) == (None, None, None, 5)


def test_what_cannot_be_evaluated_is_an_error() -> None:
    dm = flash.DataModule.from_tensors(val_data=SCORES, val_targets=CLASSES)
    with pytest.raises(DataError, match=r"Expected test data to look at, but this DataModule has none.*stage='val'"):
        evaluate_rows(classifier(), dm, "test")
    with pytest.raises(ConfigurationError, match="Expected a stage among 'train', .* but got 'validation'"):
        evaluate_rows(classifier(), dm, "validation")

    class Rows(IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter(zip(SCORES, CLASSES, strict=True))

    with pytest.raises(DataError, match="Expected val data with a length and indices, .* it is a stream"):
        evaluate_rows(classifier(), flash.DataModule(val_dataset=Rows()))


# ---------------------------------------------------------------------- classes


def test_classes_are_counted_true_by_predicted() -> None:
    found = evaluate_rows(classifier(), data(SCORES, CLASSES))
    assert found.predicted is not None
    assert found.predicted.tolist() == [0, 1, 2, 0, 1]
    assert found.confusion().tolist() == [[1, 1, 0], [0, 1, 1], [1, 0, 0]]
    first, second, third = found.class_scores()
    assert (first.label, first.precision, first.recall, first.f1) == ("a", 0.5, 0.5, 0.5)
    assert (first.support, first.predicted) == (2, 2)
    assert (second.precision, second.recall) == (0.5, 0.5)
    assert (third.precision, third.recall, third.f1, third.support) == (0.0, 0.0, 0.0, 1)


def test_labels_are_counted_each_for_itself() -> None:
    x = torch.tensor([[1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]])
    y = torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    task = ClassificationTask(labels=["red", "round"], multi_label=True, model=nn.Identity())
    found = evaluate_rows(task, flash.DataModule.from_tensors(val_data=x, val_targets=y))
    assert found.kind == "labels"
    assert found.confusion().tolist() == [[[1, 1], [0, 1]], [[1, 0], [1, 1]]]
    red, round_ = found.class_scores()
    assert (red.precision, red.recall, round_.precision, round_.recall) == (0.5, 1.0, 1.0, 0.5)


def test_a_class_without_rows_and_predictions_has_no_scores() -> None:
    found = evaluate_rows(classifier(), flash.DataModule.from_tensors(val_data=SCORES[:2], val_targets=CLASSES[:2]))
    empty = found.class_scores()[2]
    assert all(value != value for value in (empty.precision, empty.recall, empty.f1))


def test_the_threshold_of_a_task_decides_which_labels_are_predicted() -> None:
    x, y = torch.tensor([[1.0, 2.0]]), torch.ones(1, 2)
    task = ClassificationTask(labels=["a", "b"], multi_label=True, threshold=0.8, model=nn.Identity())
    found = evaluate_rows(task, flash.DataModule.from_tensors(val_data=x, val_targets=y))
    assert found.predicted is not None
    assert found.predicted.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("stage", "task", "targets", "message"),
    [
        ("predict", classifier(), CLASSES, "but the predict data has none"),
        ("val", flash.Task(nn.Identity()), CLASSES[:, None], "but the task predicts others"),
        ("val", RegressionTask(3, model=nn.Identity()), SCORES, "but the task predicts numbers"),
    ],
)
def test_what_are_no_classes_cannot_be_counted(stage: str, task: flash.Task, targets: Tensor, message: str) -> None:
    found = evaluate_rows(task, data(SCORES, targets), stage)
    with pytest.raises(ConfigurationError, match=f"Expected classes as targets, .* {message}"):
        found.confusion()


# ---------------------------------------------------------------------- predictions of any model


def test_probabilities_of_any_model_are_evaluated_as_those_of_a_task() -> None:
    of_task = evaluate_rows(classifier(), data(SCORES, CLASSES))
    assert of_task.losses is not None
    found = evaluate_predictions("classes", SCORES.softmax(1).numpy(), CLASSES.numpy(), names=["a", "b", "c"])
    assert found.losses is not None
    assert found.losses.tolist() == pytest.approx(of_task.losses.tolist(), rel=1e-5)
    assert found.worst() == of_task.worst()
    assert found.confusion().tolist() == of_task.confusion().tolist()
    assert found.class_scores() == of_task.class_scores()
    sure = evaluate_predictions("classes", [[1.0, 0.0]], [1])
    assert sure.losses is not None
    assert torch.isfinite(sure.losses).all()
    assert sure.names == ["0", "1"]


def test_probabilities_of_labels_of_any_model_are_evaluated() -> None:
    found = evaluate_predictions("labels", [[0.9, 0.5], [0.2, 0.6]], [[1, 0], [1, 1]], ids=["x", "y"], threshold=0.5)
    assert found.losses is not None
    by_hand = [-(math.log(0.9) + math.log(0.5)) / 2, -(math.log(0.2) + math.log(0.6)) / 2]
    assert found.losses.tolist() == pytest.approx(by_hand)
    assert found.predicted is not None
    assert found.predicted.tolist() == [[1, 0], [0, 1]]
    assert found.ids == ["x", "y"]


def test_numbers_of_any_model_are_evaluated_in_standard_deviations() -> None:
    found = evaluate_predictions("numbers", [[1.0, 100.0], [3.0, 300.0]], [[1.0, 0.0], [5.0, 200.0]])
    assert found.losses is not None
    # The standard deviations are 2 and 100; the errors 0 and 100, and 2 and 100.
    assert found.losses.tolist() == pytest.approx([0.5, 1.0])
    same = evaluate_predictions("numbers", [1.0, 2.0], [1.0, 1.0])
    assert same.losses is not None
    assert same.losses.tolist() == [0.0, 1.0]
    assert same.probabilities is None


@pytest.mark.parametrize(
    ("kind", "predictions", "targets"),
    [("classes", [0.5, 0.5], [0, 1]), ("labels", [[0.5, 0.5]], [1]), ("numbers", [1.0, 2.0], [1.0])],
)
def test_predictions_that_are_not_those_of_the_targets_say_so(kind: Any, predictions: Any, targets: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected predictions and targets of shape .* one prediction per"):
        evaluate_predictions(kind, predictions, targets)

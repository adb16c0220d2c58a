"""What the metrics of a stage have taken in goes on in another object, as if nothing had been in between."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torchmetrics import MeanAbsoluteError, MeanSquaredError
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC

import flash
from flash.core.metrics import StageMetrics, named_metrics
from flash.errors import ConfigurationError
from flash.serialization import from_serializable, to_serializable

METRICS: dict[str, Any] = {
    "auroc": MulticlassAUROC(2, thresholds=None),  # Its state is a list.
    "entropy": nn.functional.cross_entropy,
}


def take_in(metrics: StageMetrics, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    predictions, targets = torch.randn(4, 2, generator=generator), torch.tensor([0, 1, 1, 0])
    loss = nn.functional.cross_entropy(predictions, targets)
    metrics.update(loss, predictions, targets, rows=4, weight=torch.tensor(step + 1.0))
    metrics.log("largest", predictions.max(), 4)


@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_metrics_go_on_behind_what_another_object_took_in(steps: int, flushed: bool) -> None:
    whole, first, second = (StageMetrics(METRICS) for _ in range(3))
    for step in range(5):
        take_in(whole, step)
        take_in(first, step) if step < steps else None
    if flushed:
        first.flush()
    second.restore(from_serializable(to_serializable(first.accumulated())), torch.device("cpu"))
    for step in range(steps, 5):
        take_in(second, step)
    expected = whole.compute()
    assert set(expected) == {"loss", "auroc", "entropy", "largest"}
    assert {name: pytest.approx(float(value)) for name, value in expected.items()} == second.compute()


def test_what_was_taken_in_before_is_replaced() -> None:
    empty, used = StageMetrics(MeanSquaredError()), StageMetrics(MeanSquaredError())
    used.update(torch.tensor(1.0), torch.zeros(2), torch.ones(2), rows=2)
    used.restore(empty.accumulated(), torch.device("cpu"))
    assert used.compute() == {}


def test_metrics_of_the_stages_are_separate_and_the_given_one_is_not_touched(
    trainer_options: dict[str, Any], linear: Any, regression_data: Any
) -> None:
    metric = MeanAbsoluteError()
    flash.Trainer(max_epochs=1, **trainer_options).fit(linear(metrics=metric), regression_data())
    assert not metric.update_called


@pytest.mark.parametrize(
    ("metrics", "names"),
    [
        (MeanSquaredError(), ["mean_squared_error"]),
        (MulticlassAccuracy(num_classes=3), ["accuracy"]),
        ([nn.functional.l1_loss, nn.functional.mse_loss], ["l1_loss", "mse_loss"]),
        ({"train": nn.functional.l1_loss}, ["train"]),
        (None, []),
    ],
)
def test_metrics_are_named_after_their_class_or_function(metrics: Any, names: list[str]) -> None:
    assert list(named_metrics(metrics)) == names
    StageMetrics(metrics)


def test_a_metric_class_that_was_not_called_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"A metric class must be called: Accuracy\(task='binary'\)"):
        named_metrics(MeanSquaredError)


def test_two_metrics_of_one_name_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match="two are called 'mean_squared_error'"):
        named_metrics([MeanSquaredError(), MeanSquaredError()])


def test_metrics_see_batches_of_different_shapes_one_by_one() -> None:
    seen: list[tuple[int, ...]] = []

    def shape(predictions: Any, targets: Any) -> float:
        seen.append(tuple(predictions.shape))
        return 0.0

    metrics = StageMetrics({"shape": shape})
    for length in (2, 3):
        metrics.update(torch.tensor(0.0), torch.zeros(1, length), torch.zeros(1, length))
    metrics.compute()
    assert seen == [(1, 2), (1, 3)]


def test_numbers_of_a_metric_that_has_several_bear_its_name_once() -> None:
    class Several(MeanSquaredError):
        def compute(self) -> Any:
            value = super().compute()
            return {"map": value, "map_50": value, "recall": value, "by_class": torch.zeros(3)}

    metrics = StageMetrics({"map": Several()})
    metrics.update(None, torch.zeros(2), torch.ones(2))
    assert set(metrics.compute()) == {"map", "map_50", "map_recall"}

"""What the metrics of a stage have taken in goes on in another object, as if nothing had been in between."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torchmetrics import MeanSquaredError
from torchmetrics.classification import MulticlassAUROC

from flash.core.metrics import StageMetrics
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

"""Importance by permutation: of the columns that decide, and of no others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import flash
from flash.core.classification import ClassificationTask
from flash.core.importance import part_importance, permutation_importance
from flash.data.auto_dataset import AutoDataset
from flash.errors import ConfigurationError, DataError

X = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
Y = (X[:, 1] > 0).long()


class Second(nn.Module):
    """Scores by the second of three columns, as whether it is positive."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([-x[:, 1], x[:, 1]], 1)


def data(**options: Any) -> flash.DataModule:
    return flash.DataModule.from_tensors(val_data=X, val_targets=Y, **options)


def test_the_column_that_decides_is_the_only_important_one() -> None:
    task = ClassificationTask(2, model=Second())
    found = part_importance(task, data(), repeats=4)
    assert (found.score, found.meaning, found.baseline, found.rows) == ("accuracy", "drop of accuracy", 1.0, 200)
    assert found.names[0] == "column 1"
    # With the value of another row, half of the predictions are wrong.
    assert found.means[0] == pytest.approx(0.5, abs=0.1)
    assert found.means[1:] == [0, 0]
    assert found.deviations[1:] == [0, 0]
    assert 0 < found.deviations[0] < 0.1


def test_it_is_the_same_for_the_same_seed_whatever_the_batches() -> None:
    task = ClassificationTask(2, model=Second())
    one, other = (part_importance(task, data(batch_size=size), seed=5) for size in (7, 64))
    assert one == other
    assert part_importance(task, data(), seed=6).means[0] != one.means[0]


def test_the_rise_of_a_loss_is_importance_too_and_few_rows_suffice() -> None:
    class Scaled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 3 * x[:, :1]

    dm = flash.DataModule.from_tensors(val_data=X, val_targets=3 * X[:, :1])
    found = part_importance(flash.Task(Scaled(), nn.functional.mse_loss), dm, max_rows=50)
    assert (found.score, found.meaning, found.baseline, found.rows) == ("loss", "rise of loss", 0.0, 50)
    # Twice the variance of independent values.
    assert found.means[0] == pytest.approx(2 * 9 * float(X[:, 0].var()), rel=0.4)
    assert (found.names[0], found.means[1:]) == ("column 0", [0.0, 0.0])


def test_a_metric_where_lower_is_better_rises() -> None:
    from torchmetrics import MeanAbsoluteError

    class First(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :1]

    dm = flash.DataModule.from_tensors(val_data=X, val_targets=X[:, :1])
    task = flash.Task(First(), nn.functional.mse_loss, metrics={"mae": MeanAbsoluteError()})
    found = part_importance(task, dm)
    assert (found.score, found.higher_is_better, found.means[0] > 0.5) == ("mae", False, True)


def test_inputs_that_are_dicts_have_their_keys_as_parts() -> None:
    class Ages(flash.Task):
        def forward(self, x: Any) -> Tensor:
            return x["age"].float().unsqueeze(1)

    rows = [({"age": float(row), "size": 1.0}, float(row)) for row in range(20)]
    dm = flash.DataModule.from_load_data_inputs(val_load_data_input=rows, preprocess=flash.Preprocess())
    found = part_importance(Ages(loss_fn=nn.functional.mse_loss), dm)
    assert found.names == ["age", "size"]
    assert found.means[0] > 10
    assert found.means[1] == 0


def test_the_task_and_its_metrics_are_left_as_they_were() -> None:
    task = ClassificationTask(2, model=nn.Sequential(Second(), nn.Dropout()))
    part_importance(task, data())
    metrics: Any = task.stage_metrics["val_metrics"]
    assert not metrics.is_updated
    assert task.training


def test_what_has_no_importance_is_an_error() -> None:
    task = ClassificationTask(2, model=Second())
    with pytest.raises(DataError, match="Expected data with targets to compute importance of, but predict data has"):
        part_importance(task, flash.DataModule.from_tensors(predict_data=X), "predict")
    one = flash.DataModule.from_tensors(val_data=X[:1], val_targets=Y[:1])
    with pytest.raises(DataError, match="Expected at least two val rows, .* but got 1"):
        part_importance(task, one)
    whole = flash.DataModule.from_tensors(val_data=torch.randn(4, 2, 2), val_targets=torch.tensor([0, 1, 0, 1]))
    with pytest.raises(ConfigurationError, match="Expected inputs of several parts, .* DataModule are one whole"):
        part_importance(ClassificationTask(2, model=nn.Flatten()), whole)
    for name in ("repeats", "max_rows"):
        with pytest.raises(ConfigurationError, match=f"Expected {name} to be a whole number of at least 1, but got 0"):
            part_importance(task, data(), **{name: 0})  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ConfigurationError, match="Expected a task with a metric of torchmetrics or a loss per sample"):
        part_importance(flash.Task(Second()), data())


def test_any_model_has_an_importance_by_a_score_of_its_own() -> None:
    dm = data()
    assert dm.val_dataset is not None

    def error(dataset: AutoDataset) -> tuple[str, bool, float]:
        pairs = [dataset[row] for row in range(len(dataset))]
        return "error", False, sum(float((x[1] > 0) != y) for x, y in pairs) / len(pairs)

    found = permutation_importance(dm.val_dataset, error, repeats=4, max_rows=100)
    assert (found.score, found.meaning, found.baseline, found.rows) == ("error", "rise of error", 0.0, 100)
    assert found.names[0] == "column 1"
    assert found.means[0] == pytest.approx(0.5, abs=0.1)
    assert found.means[1:] == [0, 0]
    # It is that of a task with the same predictions.
    of_task = part_importance(ClassificationTask(2, model=Second()), dm, repeats=4, max_rows=100)
    assert of_task.means == pytest.approx(found.means)
    with pytest.raises(ConfigurationError, match="Expected repeats to be a whole number of at least 1, but got 0"):
        permutation_importance(dm.val_dataset, error, repeats=0)

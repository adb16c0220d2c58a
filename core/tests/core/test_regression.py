"""Regressors: the loss is of standardized numbers, predictions and metrics are in the units of the targets."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import flash
from flash.core.outputs import outputs_of
from flash.core.regression import RegressionTask
from flash.data.samples import SampleData, SamplePreprocess
from flash.data.targets import NumberTargets
from flash.errors import ConfigurationError


class Facts(flash.Preprocess):
    """Targets with their statistics, as a data module of a domain has them."""

    def load_data(self, data: Any, dataset: Any) -> Any:
        x, y = data
        if self.training:
            rows = y.reshape(len(y), -1).double()
            dataset.num_targets = rows.shape[1]
            dataset.target_mean, dataset.target_std = rows.mean(0).tolist(), rows.std(0, unbiased=False).tolist()
        return list(zip(x, y, strict=True))

    def predict_load_data(self, data: Any) -> Any:
        return data


def make_data(targets: int, **options: Any) -> flash.DataModule:
    """Linear functions of three inputs, whose values are around a million."""
    x = torch.randn(96, 3, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([[1e4, -2e4, 3e4], [-1e4, 1e4, 0.0]])[:targets]
    y = x @ weights.T + 1e6
    y = y[:, 0] if targets == 1 else y
    inputs: dict[str, Any] = {"train_load_data_input": (x[:64], y[:64]), "val_load_data_input": (x[64:], y[64:])}
    return flash.DataModule.from_load_data_inputs(**inputs, preprocess=Facts(), batch_size=16, seed=0, **options)


class Linear(RegressionTask):
    def __init__(self, num_targets: int, target_mean: Any, target_std: Any, **kwargs: Any) -> None:
        super().__init__(num_targets, target_mean, target_std, model=nn.Linear(3, num_targets), **kwargs)


def test_predictions_are_in_the_units_of_the_targets() -> None:
    model = nn.Linear(1, 2, bias=False)
    model.weight.data = torch.tensor([[1.0], [-2.0]])
    task = RegressionTask(2, [10.0, 20.0], [2.0, 3.0], model=model)
    assert task.predict(torch.tensor([[0.0], [1.0]])) == [[10.0, 20.0], [12.0, 14.0]]
    single = RegressionTask(1, [10.0], [2.0], model=nn.Identity())
    assert single.predict(torch.tensor([[0.0], [1.0]])) == [10.0, 12.0]


def test_the_loss_is_that_of_standardized_numbers() -> None:
    task = RegressionTask(1, [10.0], [2.0], model=nn.Identity())
    y_hat, y = torch.tensor([[10.0], [14.0]]), torch.tensor([[12.0], [10.0]])
    assert float(task.compute_loss(y_hat, y)) == pytest.approx((1.0**2 + 2.0**2) / 2)
    assert float(task.compute_loss(y_hat, y.squeeze(1))) == pytest.approx((1.0**2 + 2.0**2) / 2)
    robust = RegressionTask(1, [10.0], [2.0], model=nn.Identity(), loss_fn="mae")
    assert float(robust.compute_loss(y_hat, y)) == pytest.approx((1.0 + 2.0) / 2)


@pytest.mark.train
@pytest.mark.parametrize("targets", [1, 2])
def test_a_function_around_a_million_is_learned_with_an_ordinary_learning_rate(
    targets: int, trainer_options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    data = make_data(targets)
    task = Linear.from_data(data, learning_rate=0.1)
    trainer = flash.Trainer(**{**trainer_options, "max_epochs": 30})
    trainer.fit(task, datamodule=data)
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert logged["val_r2"] > 0.99
    x, y = zip(*(data.val_dataset.raw(row) for row in range(32)), strict=True)
    predicted, truth = torch.tensor(task.predict(torch.stack(x))), torch.stack(y)
    rmse = (predicted - truth).double().square().mean(0).sqrt().reshape(-1).tolist()
    names = ["val_rmse"] if targets == 1 else ["val_rmse_0", "val_rmse_1"]
    assert [logged[name] for name in names] == pytest.approx(rmse, rel=1e-3)


def test_metrics_by_name_know_the_number_of_targets() -> None:
    task = RegressionTask(2, model=nn.Linear(3, 2), metrics=["mse", "mape"])
    metrics: Any = task.stage_metrics["val_metrics"]
    metrics.update(None, torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0, 4.0]]))
    values = {name: float(value) for name, value in metrics.compute().items()}
    assert values == {"mse_0": 1.0, "mse_1": 4.0, "mape": 0.5}
    assert outputs_of(RegressionTask).list() == ["raw", "values"]


def test_r2_of_one_sample_is_no_number_rather_than_an_error() -> None:
    for metrics in (None, ["rmse", "mae", "r2"]):
        found: Any = RegressionTask(model=nn.Linear(3, 1), metrics=metrics).stage_metrics["val_metrics"]
        found.update(None, torch.tensor([1.0]), torch.tensor([2.0]))
        values = {name: float(value) for name, value in found.compute().items()}
        assert values["rmse"] == values["mae"] == 1.0
        assert values["r2"] != values["r2"]


@pytest.mark.parametrize("number", [0, True, 1.5, "two"])
def test_a_number_of_targets_that_is_none_is_an_error(number: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected num_targets to be a whole number of at least 1, but got"):
        RegressionTask(number)


@pytest.mark.parametrize(("mean", "std"), [([0.0], [1.0]), ([0.0, 0.0], [1.0]), ([0.0, 0.0], [1.0, 0.0])])
def test_statistics_that_do_not_fit_the_targets_are_an_error(mean: list[float], std: list[float]) -> None:
    with pytest.raises(ConfigurationError, match="one target_mean and one target_std above 0 for each of 2 targets"):
        RegressionTask(2, mean, std)


def test_targets_that_do_not_fit_the_predictions_are_an_error() -> None:
    task = RegressionTask(model=nn.Linear(3, 1))
    with pytest.raises(
        ConfigurationError, match=r"as many targets as predictions, of shape \(4, 1\), but got \(4, 2\)"
    ):
        task.compute_loss(torch.zeros(4, 1), torch.zeros(4, 2))


def test_data_of_another_number_of_targets_is_an_error_before_it_trains() -> None:
    with pytest.raises(ConfigurationError, match="num_targets=1, but it has 2 targets per sample. Make the task with"):
        RegressionTask(model=nn.Linear(3, 1)).use_data(make_data(2))


def test_scores_of_several_columns_are_named_after_them(trainer_options: dict[str, Any]) -> None:
    class Words(SamplePreprocess):
        targets_cls = NumberTargets

        def load_sample(self, sample: Any, dataset: Any) -> Any:
            word, target = sample
            return (torch.tensor([float(len(word))] * 3), target)

    class WordData(SampleData):
        preprocess_cls = Words

    columns = {"word": list("abcdefgh"), "size": [1, 2, 3, 4, 5, 6, 7, 8], "age": [5, 3, 5, 3, 5, 3, 5, 3]}
    dm = WordData.from_data_frame("word", ["size", "age"], columns, val_split=0.25, batch_size=2)
    task = RegressionTask.from_data(dm, model=nn.Linear(3, 2))
    trainer = flash.Trainer(max_epochs=1, **trainer_options)
    trainer.fit(task, dm)
    assert {"val_rmse_size", "val_rmse_age"} <= set(trainer.callback_metrics)
    assert task.preprocess is not None
    restored = NumberTargets.from_serializable(task.preprocess.state_dict()["targets"])
    assert restored.names == ["size", "age"]

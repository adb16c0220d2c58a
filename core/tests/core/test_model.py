"""Task: what it logs, optimizes and predicts."""

from __future__ import annotations

import copy
import logging
import pickle
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torchmetrics import MeanAbsoluteError, MeanSquaredError

import flash
from flash.core.callbacks import MetricLogger
from flash.errors import ConfigurationError
from flash.plugins import isolated_plugins


def test_each_stage_logs_its_loss_and_metrics_under_its_name(
    trainer_options: dict[str, Any], linear: Any, regression_data: Any
) -> None:
    task = linear(metrics=[MeanAbsoluteError(), nn.functional.l1_loss])
    trainer = flash.Trainer(max_epochs=1, **trainer_options)
    dm = regression_data()
    trainer.fit(task, dm)
    logged = set(trainer.callback_metrics)
    assert logged == {f"{s}_{n}" for s in ("train", "val") for n in ("loss", "mean_absolute_error", "l1_loss")}
    (tested,) = trainer.test(task, dm)
    assert set(tested) == {"test_loss", "test_mean_absolute_error", "test_l1_loss"}


def test_logged_numbers_are_those_of_the_whole_data_whatever_the_batches(
    trainer_options: dict[str, Any], linear: Any, regression_data: Any
) -> None:
    task = linear(metrics={"mae": MeanAbsoluteError(), "rmse": MeanSquaredError(squared=False)})
    dm = regression_data(rows=23, test_data=torch.randn(11, 3), test_targets=torch.randn(11, 1))
    (tested,) = flash.Trainer(**trainer_options).test(task, dm)
    inputs, targets = (torch.stack(part) for part in zip(*[dm.test_dataset[i] for i in range(11)], strict=True))
    error = task(inputs).detach() - targets
    assert tested["test_loss"] == pytest.approx(float((error**2).mean()))
    assert tested["test_mae"] == pytest.approx(float(error.abs().mean()))
    assert tested["test_rmse"] == pytest.approx(float((error**2).mean().sqrt()))


def test_step_may_return_the_loss_alone_and_may_log_more(trainer_options: dict[str, Any], regression_data: Any) -> None:
    class Own(flash.Task):
        def step(self, batch: Any, batch_idx: int) -> Any:
            loss = self(batch[0]).pow(2).mean()
            return loss if self.training else {"loss": loss, "logs": {"size": float(len(batch[0]))}}

    trainer = flash.Trainer(max_epochs=1, **trainer_options)
    trainer.fit(Own(nn.Linear(3, 1), optimizer="SGD"), regression_data())
    assert set(trainer.callback_metrics) == {"train_loss", "val_loss", "val_size"}


def test_training_step_can_be_overridden_as_in_lightning(trainer_options: dict[str, Any], regression_data: Any) -> None:
    class Own(flash.Task):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = self(batch[0]).pow(2).mean()
            self.log("mine", loss)
            return loss

        def on_train_epoch_end(self) -> None:
            """Not calling super() must not silence the metrics."""

        def on_validation_epoch_end(self) -> None:
            """As above."""

    trainer = flash.Trainer(max_epochs=1, **trainer_options)
    trainer.fit(Own(nn.Linear(3, 1), nn.functional.mse_loss, "SGD"), regression_data())
    assert {"mine", "val_loss"} <= set(trainer.callback_metrics)


def test_a_task_works_with_lightnings_own_trainer(
    trainer_options: dict[str, Any], linear: Any, regression_data: Any
) -> None:
    trainer = pl.Trainer(max_epochs=1, **trainer_options)
    task = linear()
    trainer.fit(task, datamodule=regression_data())
    assert {"train_loss", "val_loss"} <= set(trainer.callback_metrics)


def test_a_plain_lightning_module_works_with_the_trainer_and_the_data_module(
    trainer_options: dict[str, Any], regression_data: Any
) -> None:
    class Plain(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 1)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return nn.functional.mse_loss(self.layer(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    module = Plain()
    before = module.layer.weight.clone()
    flash.Trainer(max_epochs=1, **trainer_options).fit(module, regression_data())
    assert not torch.equal(before, module.layer.weight)


@pytest.mark.train
def test_training_learns(trainer_options: dict[str, Any], linear: Any, regression_data: Any) -> None:
    task = linear()
    flash.Trainer(max_epochs=20, **trainer_options).fit(task, regression_data(rows=64))
    assert torch.allclose(task.model.weight, torch.ones(1, 3), atol=0.05)


@pytest.mark.train
def test_one_target_a_row_is_compared_with_one_output_a_row(trainer_options: dict[str, Any], linear: Any) -> None:
    x = torch.randn(64, 3)
    dm = flash.DataModule.from_tensors(train_data=x, train_targets=x.sum(1), batch_size=8, seed=0)
    task = linear()
    flash.Trainer(max_epochs=20, **trainer_options).fit(task, dm)
    assert torch.allclose(task.model.weight, torch.ones(1, 3), atol=0.05)


def test_arguments_that_were_passed_are_not_changed(linear: Any) -> None:
    kwargs = {"momentum": 0.9}
    linear(optimizer=("SGD", kwargs)).configure_optimizers()
    assert kwargs == {"momentum": 0.9}


def test_a_task_without_weights_to_train_is_an_error(
    trainer_options: dict[str, Any], linear: Any, regression_data: Any
) -> None:
    task = linear()
    task.requires_grad_(False)
    with pytest.raises(ConfigurationError, match="Expected weights to train, but this Task has none, or all of them"):
        flash.Trainer(max_epochs=1, **trainer_options).fit(task, regression_data())


def test_a_task_without_a_loss_says_so(trainer_options: dict[str, Any], regression_data: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected Task to have a loss_fn, or to override step"):
        flash.Trainer(max_epochs=1, **trainer_options).fit(flash.Task(nn.Linear(3, 1)), regression_data())


def test_a_task_without_a_network_says_so() -> None:
    with pytest.raises(ConfigurationError, match="Expected Task to have a model, or to override forward"):
        flash.Task()(torch.zeros(1))


def test_a_task_can_be_copied_and_pickled(datamodule: Any, task_class: Any, linear: Any) -> None:
    task = linear(metrics=MeanAbsoluteError())
    for other in (copy.deepcopy(task), pickle.loads(pickle.dumps(task))):
        assert torch.equal(other.model.weight, task.model.weight)
        assert other.recorded_arguments == task.recorded_arguments


def test_hyperparameters_are_known_to_loggers(task_class: Any) -> None:
    assert dict(task_class(learning_rate=0.5).hparams) == {
        "learning_rate": 0.5,
        "optimizer": "SGD",
        "lr_scheduler": None,
    }


def test_what_there_is_to_choose_from_is_listed() -> None:
    with isolated_plugins():
        strategies = flash.Task.available_finetuning_strategies()
    assert strategies == ["freeze", "freeze_unfreeze", "no_freeze", "unfreeze_milestones"]
    assert {"SGD", "AdamW"} <= set(flash.Task.available_optimizers())
    assert {"StepLR", "OneCycleLR"} <= set(flash.Task.available_lr_schedulers())
    assert {"f1", "mse"} <= set(flash.Task.available_metrics())
    assert {"cross_entropy", "huber"} <= set(flash.Task.available_losses())


def test_a_batch_that_batch_norm_cannot_train_on_is_named(trainer: Any) -> None:
    task = flash.Task(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), nn.functional.mse_loss, optimizer="SGD")
    data = flash.DataModule.from_tensors(torch.randn(2, 2), torch.randn(2, 3), batch_size=1, seed=0)
    with pytest.raises(ConfigurationError, match=r"for BatchNorm to train on, but got a batch of 1\. Raise batch_size"):
        trainer(max_epochs=1).fit(task, data)


def test_a_metric_logger_of_the_user_takes_the_place_of_the_usual_one(
    linear: Any, regression_data: Any, trainer: Any
) -> None:
    class Own(MetricLogger):
        """Does the same."""

    run = trainer(max_epochs=1, callbacks=[Own()])
    run.fit(linear(), regression_data())
    assert [type(each) for each in run.callbacks if isinstance(each, MetricLogger)] == [Own]


class _Rated(flash.Task):
    """A task with a default learning rate, and another one of its pretrained part."""

    def __init__(self, learning_rate: float | None = None, optimizer: Any = "AdamW") -> None:
        super().__init__(loss_fn=nn.functional.mse_loss, learning_rate=learning_rate, optimizer=optimizer)
        self.backbone, self.head = nn.Linear(2, 2), nn.Linear(2, 1)
        self.use_default_rates(1e-2, pretrained_learning_rate=1e-3)

    def forward(self, x: Any) -> Any:
        return self.head(self.backbone(x))


@pytest.mark.parametrize(
    ("rate", "optimizer", "frozen", "warning"),
    [
        (0.5, "AdamW", False, "near the default of this _Rated, 0.001, but got learning_rate=0.5, which is 500 times"),
        (0.5, "AdamW", True, "near the default of this _Rated, 0.01, but got learning_rate=0.5, which is 50 times as"),
        (0.05, "AdamW", False, "which is 50 times as much: it may learn nothing. Leave learning_rate out, or pass at"),
        (0.3, "AdamW", True, None),
        (0.03, "AdamW", False, None),
        (None, "AdamW", False, None),
        (0.5, "SGD", False, None),
    ],
)
def test_a_rate_that_is_many_times_the_default_of_what_is_trained_is_warned_of_once(
    rate: float | None, optimizer: str, frozen: bool, warning: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    task = _Rated(rate, optimizer)
    task.backbone.requires_grad_(not frozen)
    with caplog.at_level(logging.WARNING, "flash.core.model"):
        task.configure_optimizers()
        task.configure_optimizers()
    messages = [message for message in caplog.messages if "learning rate" in message]
    assert len(messages) == (warning is not None)
    assert warning is None or warning in messages[0]

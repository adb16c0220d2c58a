"""Task: what it logs, optimizes and predicts."""

from __future__ import annotations

import copy
import itertools
import pickle
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torchmetrics import MeanAbsoluteError, MeanSquaredError
from torchmetrics.classification import MulticlassAccuracy

import flash
from flash.core.classification import ClassificationTask
from flash.core.metrics import StageMetrics, named_metrics
from flash.errors import ConfigurationError, DataError, UnknownNameError
from flash.plugins import isolated_plugins


def regression_data(rows: int = 20, **kwargs: Any) -> flash.DataModule:
    x = torch.randn(rows, 3)
    y = x.sum(1, keepdim=True)
    options = {"val_data": x[:5], "val_targets": y[:5], "test_data": x[5:8], "test_targets": y[5:8], "seed": 0}
    return flash.DataModule.from_tensors(train_data=x, train_targets=y, batch_size=4, **{**options, **kwargs})


def linear(**kwargs: Any) -> flash.Task:
    return flash.Task(
        nn.Linear(3, 1), **{"loss_fn": nn.functional.mse_loss, "optimizer": "SGD", "learning_rate": 0.1, **kwargs}
    )


def test_each_stage_logs_its_loss_and_metrics_under_its_name(trainer_options: dict[str, Any]) -> None:
    task = linear(metrics=[MeanAbsoluteError(), nn.functional.l1_loss])
    trainer = flash.Trainer(max_epochs=1, **trainer_options)
    dm = regression_data()
    trainer.fit(task, dm)
    logged = set(trainer.callback_metrics)
    assert logged == {f"{s}_{n}" for s in ("train", "val") for n in ("loss", "mean_absolute_error", "l1_loss")}
    (tested,) = trainer.test(task, dm)
    assert set(tested) == {"test_loss", "test_mean_absolute_error", "test_l1_loss"}


def test_logged_numbers_are_those_of_the_whole_data_whatever_the_batches(trainer_options: dict[str, Any]) -> None:
    task = linear(metrics={"mae": MeanAbsoluteError(), "rmse": MeanSquaredError(squared=False)})
    dm = regression_data(rows=23, test_data=torch.randn(11, 3), test_targets=torch.randn(11, 1))
    (tested,) = flash.Trainer(**trainer_options).test(task, dm)
    inputs, targets = (torch.stack(part) for part in zip(*[dm.test_dataset[i] for i in range(11)], strict=True))
    error = task(inputs).detach() - targets
    assert tested["test_loss"] == pytest.approx(float((error**2).mean()))
    assert tested["test_mae"] == pytest.approx(float(error.abs().mean()))
    assert tested["test_rmse"] == pytest.approx(float((error**2).mean().sqrt()))


def test_metrics_of_the_stages_are_separate_and_the_given_one_is_not_touched(
    trainer_options: dict[str, Any],
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


def test_step_may_return_the_loss_alone_and_may_log_more(trainer_options: dict[str, Any]) -> None:
    class Own(flash.Task):
        def step(self, batch: Any, batch_idx: int) -> Any:
            loss = self(batch[0]).pow(2).mean()
            return loss if self.training else {"loss": loss, "logs": {"size": float(len(batch[0]))}}

    trainer = flash.Trainer(max_epochs=1, **trainer_options)
    trainer.fit(Own(nn.Linear(3, 1), optimizer="SGD"), regression_data())
    assert set(trainer.callback_metrics) == {"train_loss", "val_loss", "val_size"}


def test_training_step_can_be_overridden_as_in_lightning(trainer_options: dict[str, Any]) -> None:
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


def test_a_task_works_with_lightnings_own_trainer(trainer_options: dict[str, Any]) -> None:
    trainer = pl.Trainer(max_epochs=1, **trainer_options)
    task = linear()
    trainer.fit(task, datamodule=regression_data())
    assert {"train_loss", "val_loss"} <= set(trainer.callback_metrics)


def test_a_plain_lightning_module_works_with_the_trainer_and_the_data_module(
    trainer_options: dict[str, Any],
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
def test_training_learns(trainer_options: dict[str, Any]) -> None:
    task = linear()
    flash.Trainer(max_epochs=20, **trainer_options).fit(task, regression_data(rows=64))
    assert torch.allclose(task.model.weight, torch.ones(1, 3), atol=0.05)


@pytest.mark.train
def test_one_target_a_row_is_compared_with_one_output_a_row(trainer_options: dict[str, Any]) -> None:
    x = torch.randn(64, 3)
    dm = flash.DataModule.from_tensors(train_data=x, train_targets=x.sum(1), batch_size=8, seed=0)
    task = linear()
    flash.Trainer(max_epochs=20, **trainer_options).fit(task, dm)
    assert torch.allclose(task.model.weight, torch.ones(1, 3), atol=0.05)


# ---------------------------------------------------------------------- optimizers


@pytest.mark.parametrize(
    "optimizer",
    [
        "sgd",
        "SGD",
        torch.optim.SGD,
        ("SGD", {"momentum": 0.9}),
        (torch.optim.SGD, {}),
        lambda params, lr: torch.optim.SGD(params, lr=lr),
    ],
)
def test_an_optimizer_is_a_class_a_callable_a_name_or_a_name_with_arguments(optimizer: Any) -> None:
    made = linear(optimizer=optimizer, learning_rate=0.3).configure_optimizers()
    assert isinstance(made, torch.optim.SGD)
    assert made.param_groups[0]["lr"] == 0.3


def test_without_a_learning_rate_the_optimizer_has_its_own_default() -> None:
    made = linear(optimizer="Adam", learning_rate=None).configure_optimizers()
    assert made.param_groups[0]["lr"] == 1e-3


def test_arguments_that_were_passed_are_not_changed() -> None:
    kwargs = {"momentum": 0.9}
    linear(optimizer=("SGD", kwargs)).configure_optimizers()
    assert kwargs == {"momentum": 0.9}


def test_frozen_parameters_are_not_in_the_optimizer() -> None:
    task = linear()
    task.model.bias.requires_grad = False
    assert len(task.configure_optimizers().param_groups[0]["params"]) == 1


def test_a_group_can_have_a_part_of_the_learning_rate_whatever_the_optimizer_says_it_is() -> None:
    class Halves(flash.Task):
        def trained_parameters(self) -> list[Any]:
            weight, bias = self.parameters()
            return [{"params": [weight]}, {"params": [bias], "lr_factor": 0.5}]

    for options in ({"learning_rate": 0.4}, {"optimizer": ("SGD", {"lr": 0.4})}):
        made = Halves(nn.Linear(3, 1), **options).configure_optimizers()
        assert [group["lr"] for group in made.param_groups] == [0.4, 0.2]


def test_a_task_without_weights_to_train_is_an_error(trainer_options: dict[str, Any]) -> None:
    task = linear()
    task.requires_grad_(False)
    with pytest.raises(ConfigurationError, match="Expected weights to train, but this Task has none, or all of them"):
        flash.Trainer(max_epochs=1, **trainer_options).fit(task, regression_data())


def test_a_misspelt_optimizer_is_an_error_that_says_what_is_close() -> None:
    with pytest.raises(UnknownNameError, match="AdamW"):
        linear(optimizer="AdmaW").configure_optimizers()


def test_an_argument_that_the_optimizer_does_not_take_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="that the optimizer SGD takes .*'momentun'.*Did you mean 'momentum'"):
        linear(optimizer=("SGD", {"momentun": 1})).configure_optimizers()


def test_an_argument_that_the_scheduler_does_not_take_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="that the scheduler StepLR takes .*Did you mean 'step_size'"):
        linear(lr_scheduler=("StepLR", {"stepsize": 1})).configure_optimizers()


@pytest.mark.parametrize("optimizer", [3, None, ("SGD", 3), ("SGD", {}, {}, {})])
def test_something_else_as_an_optimizer_is_an_error(optimizer: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected optimizer to be a class, a callable, a name"):
        linear(optimizer=optimizer).configure_optimizers()


@pytest.mark.train
@pytest.mark.parametrize(
    ("scheduler", "steps"),
    [
        ("OneCycleLR", True),
        ("CosineAnnealingLR", False),
        ("cosine", False),
        (("StepLR", {"step_size": 1}), False),
        (("StepLR", {"step_size": 1}, {"interval": "step"}), True),
        (lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5), False),
        ("ReduceLROnPlateau", None),
    ],
)
def test_schedulers_change_the_learning_rate_as_training_goes_on(
    scheduler: Any, steps: bool | None, trainer_options: dict[str, Any]
) -> None:
    rates: list[float] = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer: Any, *args: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    trainer = flash.Trainer(max_epochs=2, callbacks=[Watch()], **trainer_options)
    trainer.fit(linear(lr_scheduler=scheduler), regression_data())
    if steps is not None:
        changes = sum(one != other for one, other in itertools.pairwise(rates))
        assert changes == (len(rates) - 1 if steps else 1)


def test_a_schedule_over_an_endless_training_is_an_error(trainer_options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="Expected a training of known length for OneCycleLR"):
        flash.Trainer(max_epochs=-1, **trainer_options).fit(linear(lr_scheduler="OneCycleLR"), regression_data())


# ---------------------------------------------------------------------- prediction


def test_predict_gives_one_result_for_each_input_in_order_whatever_the_batches() -> None:
    task = linear()
    x = torch.randn(7, 3)
    expected = task(x).detach()
    for batch_size in (1, 3, 64):
        assert torch.allclose(torch.stack(task.predict(x, batch_size=batch_size)), expected)


def test_predict_takes_arrays_and_lists_too() -> None:
    task = linear()
    x = np.ones((2, 3))
    for raw in (x, list(x), [torch.ones(3), torch.ones(3)]):
        assert len(task.predict(raw)) == 2


def test_predict_runs_in_eval_mode_and_leaves_the_modes_as_they_were() -> None:
    task = flash.Task(nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.9)))
    task.model[0].eval()
    x = torch.randn(4, 3)
    assert torch.equal(torch.stack(task.predict(x)), torch.stack(task.predict(x)))
    assert task.training
    assert not task.model[0].training


def test_predicting_nothing_is_an_error() -> None:
    with pytest.raises(DataError, match="Expected at least one sample in the predict data"):
        linear().predict([])


def test_trainer_predict_gives_batches_of_results(trainer_options: dict[str, Any]) -> None:
    task = linear()
    dm = flash.DataModule.from_tensors(predict_data=torch.randn(5, 3), batch_size=2)
    batches = flash.Trainer(**trainer_options).predict(task, datamodule=dm)
    assert [len(batch) for batch in batches] == [2, 2, 1]


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
    (batch,) = flash.Trainer(**trainer_options).predict(task, datamodule=dm, output=output)
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


def test_a_callable_presents_predictions() -> None:
    assert linear().predict(torch.zeros(2, 3), output=lambda batch: ["x"] * len(batch)) == ["x", "x"]


def test_an_unknown_output_is_an_error_that_lists_them() -> None:
    with pytest.raises(UnknownNameError, match="raw"):
        linear().predict(torch.zeros(2, 3), output="labels")


def test_something_else_as_an_output_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="Expected an output's name, such as 'raw', or a callable, but got 3"):
        linear().predict(torch.zeros(2, 3), output=3)  # type: ignore[arg-type]


def test_the_vocabulary_of_outputs_is_listed() -> None:
    assert flash.Task.available_outputs() == ["raw"]
    assert ClassificationTask.available_outputs() == ["classes", "labels", "logits", "probabilities", "raw"]


# ---------------------------------------------------------------------- classification


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


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], r"Expected 2 class weights, one per class, but got shape \(1,\)"),
        ("balanced", "'balanced' together with class_counts"),
        ("heavy", "but got 'heavy'"),
        ({0: 1.0, 1: 2.0}, "Expected class_weights to be a list of one number per class"),
    ],
)
def test_wrong_class_weights_are_an_error(weights: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ClassificationTask(num_classes=2, class_weights=weights)


# ---------------------------------------------------------------------- the rest


def test_a_task_without_a_loss_says_so(trainer_options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="Expected Task to have a loss_fn, or to override step"):
        flash.Trainer(max_epochs=1, **trainer_options).fit(flash.Task(nn.Linear(3, 1)), regression_data())


def test_a_task_without_a_network_says_so() -> None:
    with pytest.raises(ConfigurationError, match="Expected Task to have a model, or to override forward"):
        flash.Task()(torch.zeros(1))


def test_a_task_can_be_copied_and_pickled(datamodule: Any, task_class: Any) -> None:
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


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_raw_rows_are_predicted_in_the_precision_that_a_run_left(precision: str, trainer_options: Any) -> None:
    dm = flash.DataModule.from_tensors(torch.randn(8, 3), torch.randn(8, 1), seed=0, batch_size=4)
    task = flash.Task(nn.Linear(3, 1), nn.functional.mse_loss)
    flash.Trainer(max_epochs=1, precision=precision, **trainer_options).fit(task, dm)
    assert task.model.weight.dtype is not torch.float32
    assert [result.dtype for result in task.predict(torch.zeros(2, 3))] == [task.model.weight.dtype] * 2

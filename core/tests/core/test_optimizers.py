"""Learning-rate schedules over the length of the training, in epochs or steps, also where a resumed run has another."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import nn

import flash
from flash.core.optimizers import make_optimizer
from flash.errors import ConfigurationError, UnknownNameError

SCHEDULES = [
    "cosine",
    "CosineAnnealingLR",
    "LinearLR",
    "PolynomialLR",
    "OneCycleLR",
    "cosine_with_warmup",
    "linear_with_warmup",
]


class Rates(Callback):
    """Notes the learning rates of each step."""

    def __init__(self) -> None:
        self.rates: list[tuple[float, ...]] = []

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        self.rates.append(tuple(group["lr"] for group in trainer.optimizers[0].param_groups))


@pytest.fixture
def rates_of(task_class: Any, datamodule: Any, trainer_options: Any) -> Any:
    def run(schedule: Any, save: Any = None, ckpt_path: Any = None, strategy: Any = "no_freeze", **length: Any) -> Any:
        rates = Rates()
        trainer = flash.Trainer(**length, **{**trainer_options, "callbacks": [rates]})
        trainer.finetune(task_class(lr_scheduler=schedule), datamodule, strategy=strategy, ckpt_path=ckpt_path)
        if save is not None:
            trainer.save_checkpoint(save)
        return rates.rates

    return run


@pytest.mark.train
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_length_in_steps_is_one_in_epochs(rates_of: Any, schedule: str) -> None:
    in_epochs = rates_of(schedule, max_epochs=4)
    in_steps = rates_of(schedule, max_steps=len(in_epochs))
    assert in_steps == in_epochs
    assert len({*in_epochs}) > 1


@pytest.mark.train
@pytest.mark.parametrize("strategy", ["no_freeze", ("freeze_unfreeze", 1)])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("first", "then"), [(2, 5), (3, 4)])
def test_a_resumed_run_of_another_length_follows_the_schedule_of_that_length(
    rates_of: Any, schedule: str, strategy: Any, first: int, then: int, tmp_path: Path
) -> None:
    whole = rates_of(schedule, max_epochs=then, strategy=strategy)
    begun = rates_of(schedule, max_epochs=first, save=tmp_path / "first.ckpt", strategy=strategy)
    resumed = rates_of(schedule, max_epochs=then, ckpt_path=tmp_path / "first.ckpt", strategy=strategy)
    for one, other in zip(resumed, whole[len(begun) :], strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-9)


@pytest.mark.train
def test_a_resumed_run_of_more_steps_follows_the_schedule_of_that_length(rates_of: Any, tmp_path: Path) -> None:
    whole = rates_of("cosine", max_epochs=4)
    half = len(whole) // 2
    rates_of("cosine", max_steps=half, save=tmp_path / "first.ckpt")
    resumed = rates_of("cosine", max_steps=len(whole), ckpt_path=tmp_path / "first.ckpt")
    for one, other in zip(resumed, whole[half:], strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-9)


@pytest.mark.train
def test_a_length_that_the_user_gave_stays(rates_of: Any, tmp_path: Path) -> None:
    schedule = ("CosineAnnealingLR", {"T_max": 6})
    whole = rates_of(schedule, max_epochs=4)
    begun = rates_of(schedule, max_epochs=2, save=tmp_path / "first.ckpt")
    assert rates_of(schedule, max_epochs=4, ckpt_path=tmp_path / "first.ckpt") == whole[len(begun) :]


def test_a_schedule_in_steps_is_as_long_as_the_steps(rates_of: Any) -> None:
    rates = rates_of(("CosineAnnealingLR", {}, {"interval": "step"}), max_epochs=1)
    assert rates[0][0] > rates[1][0] > rates[-1][0] > 0


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
def test_an_optimizer_is_a_class_a_callable_a_name_or_a_name_with_arguments(optimizer: Any, linear: Any) -> None:
    made = linear(optimizer=optimizer, learning_rate=0.3).configure_optimizers()
    assert isinstance(made, torch.optim.SGD)
    assert made.param_groups[0]["lr"] == 0.3


def test_without_a_learning_rate_the_optimizer_has_its_own_default(linear: Any) -> None:
    made = linear(optimizer="Adam", learning_rate=None).configure_optimizers()
    assert made.param_groups[0]["lr"] == 1e-3


def test_frozen_parameters_are_not_in_the_optimizer(linear: Any) -> None:
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


def test_a_misspelt_optimizer_is_an_error_that_says_what_is_close(linear: Any) -> None:
    with pytest.raises(UnknownNameError, match="AdamW"):
        linear(optimizer="AdmaW").configure_optimizers()


def test_an_argument_that_the_optimizer_does_not_take_is_an_error(linear: Any) -> None:
    with pytest.raises(ConfigurationError, match="that the optimizer SGD takes .*'momentun'.*Did you mean 'momentum'"):
        linear(optimizer=("SGD", {"momentun": 1})).configure_optimizers()


def test_an_argument_that_the_scheduler_does_not_take_is_an_error(linear: Any) -> None:
    with pytest.raises(ConfigurationError, match="that the scheduler StepLR takes .*Did you mean 'step_size'"):
        linear(lr_scheduler=("StepLR", {"stepsize": 1})).configure_optimizers()


@pytest.mark.parametrize("optimizer", [3, None, ("SGD", 3), ("SGD", {}, {}, {})])
def test_something_else_as_an_optimizer_is_an_error(optimizer: Any, linear: Any) -> None:
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
    scheduler: Any, steps: bool | None, trainer_options: dict[str, Any], linear: Any, regression_data: Any
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


def test_a_schedule_over_an_endless_training_is_an_error(
    trainer_options: dict[str, Any], linear: Any, regression_data: Any
) -> None:
    with pytest.raises(ConfigurationError, match="Expected a training of known length for OneCycleLR"):
        flash.Trainer(max_epochs=-1, **trainer_options).fit(linear(lr_scheduler="OneCycleLR"), regression_data())


@pytest.mark.train
@pytest.mark.parametrize(
    ("schedule", "middle"), [("cosine_with_warmup", 0.05), (("linear_with_warmup", {"warmup": 2}), 0.05)]
)
def test_a_warm_up_raises_the_rate_before_it_falls(rates_of: Any, schedule: Any, middle: float) -> None:
    rates = [rate for (rate,) in rates_of(schedule, max_epochs=4)]
    assert len(rates) == 20
    assert rates[0] == 0.0
    assert rates[1] == pytest.approx(0.05)
    assert max(rates) == rates[2] == pytest.approx(0.1)
    assert rates[11] == pytest.approx(middle)
    assert rates == [*rates[:2], *sorted(rates[2:], reverse=True)]


def test_a_warm_up_as_long_as_the_training_is_refused(rates_of: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected a warm-up shorter than the training of 5 steps.*but got 9"):
        rates_of(("cosine_with_warmup", {"warmup": 9}), max_epochs=1)


@pytest.mark.parametrize(
    "optimizer",
    [
        ("SGD", {"lr": 0.3}),
        (torch.optim.SGD, {"lr": 0.3}),
        functools.partial(torch.optim.SGD, lr=0.3),
        (functools.partial(torch.optim.SGD, momentum=0.9), {"lr": 0.3}),
    ],
)
def test_the_learning_rate_of_an_optimizer_is_kept_and_a_second_one_is_an_error(optimizer: Any) -> None:
    parameters = list(nn.Linear(2, 1).parameters())
    for learning_rate in (None, 0.3):
        assert make_optimizer(optimizer, parameters, learning_rate).defaults["lr"] == 0.3
    with pytest.raises(ConfigurationError, match=r"learning_rate=0\.1 and an optimizer with lr=0\.3\. Leave one of"):
        make_optimizer(optimizer, parameters, 0.1)


def test_a_callable_with_its_own_rate_is_not_changed() -> None:
    parameters = list(nn.Linear(2, 1).parameters())
    assert make_optimizer(lambda each: torch.optim.SGD(each, lr=0.3), parameters, None).defaults["lr"] == 0.3
    with pytest.raises(ConfigurationError, match="Expected arguments that the optimizer .* but got {'lr': 0.1}"):
        make_optimizer(lambda each: torch.optim.SGD(each, lr=0.3), parameters, 0.1)

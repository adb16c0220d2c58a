"""Learning-rate schedules over the length of the training, in epochs or steps, also where a resumed run has another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning.callbacks import Callback

import flash

SCHEDULES = ["cosine", "CosineAnnealingLR", "LinearLR", "PolynomialLR", "OneCycleLR"]


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

"""Core's callbacks: progress in lines, and the best weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import flash
from flash.core.callbacks import FlashProgressBar, KeepBest
from flash.errors import ConfigurationError

QUIET: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "accelerator": "cpu",
}


@pytest.mark.train
def test_progress_leaves_a_line_for_each_epoch_with_its_numbers(
    task_class: Any, datamodule: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = flash.Trainer(max_epochs=2, callbacks=FlashProgressBar(), **QUIET)
    trainer.fit(task_class(), datamodule)
    lines = [line for line in capsys.readouterr().out.split("\n") if "train_loss" in line and "val_loss" in line]
    assert any("Epoch 1/2  train_loss" in line for line in lines)
    assert any("Epoch 2/2  train_loss" in line for line in lines)


def test_the_progress_bar_is_drawn_by_time_and_at_the_last_step() -> None:
    bar = FlashProgressBar(seconds=1000)
    bar._is_due(0, 5)
    assert [bar._is_due(index, 5) for index in range(1, 5)] == [False, False, False, True]


class Scripted(flash.Task):
    """Logs a validation loss that the test decides, with a weight that counts the epochs."""

    def __init__(self, losses: list[float]) -> None:
        super().__init__(optimizer="SGD", learning_rate=0.0)
        self.losses = losses
        self.weight = nn.Parameter(torch.zeros(()))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.weight * 1.0

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        self.weight.data.fill_(self.current_epoch)
        self.log("val_loss", self.losses[self.current_epoch])


def run_scripted(
    losses: list[float], epochs: int | None = None, ckpt_path: Path | None = None, **arguments: Any
) -> tuple[Scripted, Any]:
    task = Scripted(losses)
    keeper = KeepBest(**arguments)
    trainer = flash.Trainer(
        max_epochs=epochs or len(losses),
        callbacks=keeper,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        **QUIET,
    )
    rows = torch.zeros(2, 1)
    dm = flash.DataModule.from_tensors(rows, rows, rows, rows, seed=0, batch_size=2)
    trainer.fit(task, datamodule=dm, ckpt_path=ckpt_path)
    return task, trainer


@pytest.mark.train
def test_keep_best_puts_the_best_weights_back() -> None:
    task, _ = run_scripted([3.0, 1.0, 2.0])
    assert task.weight.item() == 1.0


@pytest.mark.train
def test_keep_best_can_look_for_the_largest() -> None:
    task, _ = run_scripted([3.0, 1.0, 4.0, 2.0], mode="max")
    assert task.weight.item() == 2.0


@pytest.mark.train
def test_keep_best_stops_where_nothing_improves() -> None:
    task, trainer = run_scripted([3.0, 1.0, 2.0, 2.0, 0.0], patience=2)
    assert trainer.current_epoch == 4
    assert task.weight.item() == 1.0


def test_keep_best_of_something_that_is_not_logged_is_an_error_that_lists_what_is() -> None:
    with pytest.raises(ConfigurationError, match=r"Expected 'val_accuracy' to be logged.*there is only .*val_loss"):
        run_scripted([1.0], monitor="val_accuracy")


def test_keep_best_without_validation_says_so(
    task_class: Any, trainer_options: Any, caplog: pytest.LogCaptureFixture
) -> None:
    x = torch.randn(8, 4)
    dm = flash.DataModule.from_tensors(x, (x[:, 0] > 0).long(), seed=0)
    flash.Trainer(max_epochs=1, callbacks="keep_best", **trainer_options).fit(task_class(), dm)
    assert "KeepBest had nothing to compare: there was no validation" in caplog.text


@pytest.mark.parametrize("arguments", [{"mode": "largest"}, {"patience": 0}, {"patience": True}])
def test_wrong_arguments_of_keep_best_are_errors(arguments: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Expected (mode|patience) to be"):
        KeepBest(**arguments)


@pytest.mark.train
def test_keep_best_remembers_the_best_weights_across_a_resume(tmp_path: Path) -> None:
    losses = [1.0, 3.0, 2.0]
    _, trainer = run_scripted(losses, epochs=2)
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    task, _ = run_scripted(losses, ckpt_path=tmp_path / "two.ckpt")
    assert task.weight.item() == 0.0

"""Trainer: callbacks by name, several processes, progress, and what stays Lightning's."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, TQDMProgressBar
from torch import nn

import flash
from flash.core.callbacks import FlashProgressBar, KeepBest
from flash.errors import ConfigurationError, UnknownNameError
from flash.plugins import CallbackSpec, hookimpl, isolated_plugins
from flash.testing import in_clean_process

QUIET = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False, "accelerator": "cpu"}


class Greeter(Callback):
    """A callback that a plugin brings."""


class GreeterPlugin:
    @hookimpl
    def flash_callbacks(self) -> Any:
        target = f"{__name__}:Greeter"
        yield CallbackSpec("greeter", factory=target, summary="Greets.")
        yield CallbackSpec("greeter_always", factory=target, summary="Greets.", automatic=True)


def test_callbacks_are_objects_names_or_names_with_arguments() -> None:
    trainer = flash.Trainer(
        callbacks=[
            "keep_best",
            ("keep_best", {"monitor": "val_accuracy", "mode": "max"}),
            EarlyStopping("val_loss"),
        ],
        **QUIET,
    )
    kinds = [type(c).__name__ for c in trainer.callbacks]
    assert kinds.count("KeepBest") == 2
    assert "EarlyStopping" in kinds


@pytest.mark.parametrize("callback", ["keep_best", EarlyStopping("val_loss"), ("keep_best", {"mode": "max"})])
def test_a_single_callback_needs_no_list(callback: Any) -> None:
    assert flash.Trainer(callbacks=callback, **QUIET).callbacks


def test_something_else_as_a_callback_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="Expected a Lightning callback, a name such as 'keep_best'"):
        flash.Trainer(callbacks=[3], **QUIET)


def test_an_argument_that_a_callback_does_not_take_is_an_error_that_names_the_closest() -> None:
    sentence = r"the callback 'keep_best' takes \(monitor, .*, but got \{'patiense': 3\}.*Did you mean 'patience'\?"
    with pytest.raises(ConfigurationError, match=sentence):
        flash.Trainer(callbacks=("keep_best", {"patiense": 3}), **QUIET)


def test_an_unknown_callback_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match="keep_best"):
        flash.Trainer(callbacks="keep_bets", **QUIET)


def test_a_plugins_automatic_callback_is_added_said_and_can_be_refused(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with isolated_plugins(GreeterPlugin()):
        added = flash.Trainer(**QUIET)
        refused = flash.Trainer(plugin_callbacks=False, **QUIET)
        asked = flash.Trainer(plugin_callbacks=False, callbacks="greeter", **QUIET)
    assert [sum(isinstance(c, Greeter) for c in t.callbacks) for t in (added, refused, asked)] == [1, 0, 1]
    assert "adds the callback greeter_always; Trainer(plugin_callbacks=False) leaves it out" in caplog.text


def test_the_users_progress_bar_is_kept() -> None:
    bars = [
        c
        for c in flash.Trainer(callbacks=TQDMProgressBar(), **QUIET).callbacks
        if isinstance(c, pl.callbacks.ProgressBar)
    ]
    assert [type(bar) for bar in bars] == [TQDMProgressBar]


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


# ---------------------------------------------------------------------- keep best


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
def test_keep_best_says_which_epoch_it_kept_counted_as_in_the_lines_of_the_bar(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    run_scripted([3.0, 1.0, 2.0])
    assert "Kept the weights of epoch 2: val_loss 1." in caplog.text


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


# ---------------------------------------------------------------------- several processes

SCRIPT = textwrap.dedent(
    """
    import logging, warnings
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    import torch
    from pytorch_lightning.callbacks import Callback
    from pytorch_lightning.strategies import DDPStrategy
    from torch import nn
    import flash

    class Classifier(flash.Task):
        def __init__(self):
            super().__init__(loss_fn=nn.functional.cross_entropy, optimizer="SGD", learning_rate=0.1)
            self.backbone = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
            self.head = nn.Linear(8, 2)
        def forward(self, x):
            return self.head(self.backbone(x))

    class Same(Callback):
        def on_train_end(self, trainer, pl_module):
            weights = torch.cat([p.detach().flatten() for p in pl_module.parameters()])
            gathered = [torch.zeros_like(weights) for _ in range(trainer.world_size)]
            torch.distributed.all_gather(gathered, weights)
            assert torch.equal(gathered[0], gathered[1]), "the processes have different weights"
            if trainer.global_rank == 0:
                torch.save(weights, "weights.pt")

    def main():
        torch.manual_seed(0)
        x = torch.randn(41, 4)
        y = (x[:, 0] > 0).long()
        options = dict(accelerator="cpu", devices=2, logger=False, enable_checkpointing=False,
                       enable_progress_bar=False, enable_model_summary=False)
        task = Classifier()
        before = torch.cat([p.detach().flatten() for p in task.backbone.parameters()])
        val = dict(val_data=x[:9], val_targets=y[:9])
        dm = flash.DataModule.from_tensors(x, y, **val, predict_data=x, batch_size=4, seed=0)
        spawned = DDPStrategy(start_method="forkserver")
        trainer = flash.Trainer(max_epochs=3, callbacks=Same(), strategy=spawned, **options)
        trainer.finetune(task, dm, strategy=("freeze_unfreeze", 1))
        batches = flash.Trainer(strategy="ddp_fork", **options).predict(task, datamodule=dm)
        flat = [sample for batch in batches for sample in batch]
        expected = task.predict(x)
        assert len(flat) == 41, len(flat)
        assert torch.allclose(torch.stack(flat), torch.stack(expected), atol=1e-6), "not in order"
        after = torch.load("weights.pt")[: len(before)]
        assert not torch.equal(before, after), "the thawed backbone did not learn"
        return "complete, in order, equal"
    """
)


@pytest.mark.process
def test_two_processes_agree_after_a_thaw_and_predict_all_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "two.py").write_text(SCRIPT)
    # The processes import the module by its name.
    monkeypatch.syspath_prepend(tmp_path)
    said = in_clean_process(tmp_path, "import two\nresult = two.main()")
    assert said == "complete, in order, equal"

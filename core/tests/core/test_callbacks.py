"""Core's callbacks: progress in lines, and the best weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml  # type: ignore[import-untyped,unused-ignore]  # stubs are another package
from pytorch_lightning import seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torchmetrics import MeanAbsoluteError
from torchmetrics.classification import MulticlassAccuracy

import flash
from flash.core.callbacks import KeepBest
from flash.errors import ConfigurationError

QUIET: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "accelerator": "cpu",
}


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
    assert "Kept the weights of epoch 2/3: val_loss 1." in caplog.text


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
    assert "KeepBest has nothing to compare: there is no validation" in caplog.text


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


@pytest.mark.train
def test_the_kept_weights_are_saved_beside_the_last_checkpoint_which_resumes_as_before(
    task_class: Any, datamodule: flash.DataModule, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def train(epochs: int, folder: str, ckpt_path: Any = None) -> tuple[Any, Any, Any]:
        seed_everything(0)
        task = task_class()
        keeper = KeepBest("val_loss", mode="max")  # the loss falls, so that the first epoch is kept
        checkpoints = ModelCheckpoint(tmp_path / folder, save_last=True)
        options = {**QUIET, "enable_checkpointing": True, "enable_progress_bar": False}
        trainer = flash.Trainer(max_epochs=epochs, callbacks=[keeper, checkpoints], **options)
        trainer.fit(task, datamodule, ckpt_path=ckpt_path)
        return task, keeper, checkpoints

    caplog.set_level("INFO")
    task, keeper, checkpoints = train(3, "short")
    assert keeper.best_epoch == 0
    assert keeper.best_path == tmp_path / "short" / "best.ckpt"
    assert f"Kept the weights of epoch 1/3: val_loss {keeper.best_score:.4g}, saved as" in caplog.text
    best = task_class.load_from_checkpoint(keeper.best_path)
    last = task_class.load_from_checkpoint(checkpoints.best_model_path)
    assert torch.equal(best.head.weight, task.head.weight)
    assert not torch.equal(last.head.weight, task.head.weight)

    # The last checkpoint resumes the run as if it had not ended.
    resumed, _, after = train(5, "short", checkpoints.last_model_path)
    whole, _, others = train(5, "whole")
    assert torch.equal(resumed.head.weight, whole.head.weight)
    ends = [torch.load(each.last_model_path, weights_only=True)["state_dict"] for each in (after, others)]
    assert all(map(torch.equal, *(end.values() for end in ends)))
    assert sorted(path.name for path in (tmp_path / "short").glob("best*")) == ["best-v1.ckpt", "best.ckpt"]


@pytest.mark.train
def test_nothing_is_saved_twice_where_the_last_epoch_is_the_best(tmp_path: Path) -> None:
    keeper = KeepBest()
    trainer = flash.Trainer(
        max_epochs=2, callbacks=keeper, default_root_dir=tmp_path, logger=False, enable_progress_bar=False
    )
    rows = torch.zeros(2, 1)
    trainer.fit(Scripted([2.0, 1.0]), flash.DataModule.from_tensors(rows, rows, rows, rows, batch_size=2))
    assert keeper.best_path is None
    assert [path.name for path in tmp_path.rglob("*.ckpt")] == ["epoch=1-step=2.ckpt"]


def test_loggers_get_the_hyperparameters_that_the_user_chose(
    datamodule: flash.DataModule, task_class: type[flash.Task], trainer_options: dict[str, Any]
) -> None:
    trainer = flash.Trainer(max_epochs=1, **{**trainer_options, "logger": CSVLogger(".", name="", version="")})
    trainer.finetune(task_class(optimizer=("SGD", {"momentum": 0.9})), datamodule, strategy="freeze")
    assert yaml.safe_load(Path("hparams.yaml").read_text()) == {
        "batch_size": 8,
        "learning_rate": 0.1,
        "lr_scheduler": None,
        "optimizer": ["SGD", {"momentum": 0.9}],
        "seed": 0,
        "strategy": "Freeze",
    }


def test_facts_of_the_data_and_networks_are_no_hyperparameters(trainer_options: dict[str, Any]) -> None:
    class Sized(flash.Task):
        def __init__(self, num_classes: int, network: nn.Module, rates: tuple[float, ...] = (0.1, 0.2)) -> None:
            super().__init__(network, nn.functional.cross_entropy, optimizer="SGD", learning_rate=rates[0])

    data = flash.DataModule.from_tensors(torch.randn(8, 2), torch.tensor([0, 1] * 4), batch_size=4, seed=1)
    logger = CSVLogger(".", name="", version="")
    trainer = flash.Trainer(max_epochs=1, **{**trainer_options, "logger": logger})
    trainer.fit(Sized.from_data(data, network=nn.Linear(2, 2)), data)
    assert set(yaml.unsafe_load(Path("hparams.yaml").read_text())) == {"batch_size", "rates", "seed"}


class Measured(Scripted):
    """Logs a metric beside the loss."""

    def __init__(self, losses: list[float], metrics: Any = None) -> None:
        flash.Task.__init__(self, optimizer="SGD", learning_rate=0.0, metrics=metrics)
        self.losses = losses
        self.weight = nn.Parameter(torch.zeros(()))


def run_measured(values: list[float], metrics: Any, monitor: str, **options: Any) -> KeepBest:
    class Task(Measured):
        def validation_step(self, batch: Any, batch_idx: int) -> Any:
            self.weight.data.fill_(self.current_epoch)
            self.log(monitor, self.losses[self.current_epoch])

    keeper = KeepBest(monitor, **options)
    trainer = flash.Trainer(
        max_epochs=len(values), callbacks=keeper, num_sanity_val_steps=0, enable_progress_bar=False, **QUIET
    )
    rows = torch.zeros(2, 1)
    trainer.fit(Task(values, metrics), flash.DataModule.from_tensors(rows, rows, rows, rows, seed=0, batch_size=2))
    return keeper


@pytest.mark.train
@pytest.mark.parametrize(
    ("metrics", "monitor", "best"),
    [
        ({"accuracy": MulticlassAccuracy(2)}, "val_accuracy", 1),
        ({"mae": MeanAbsoluteError()}, "val_mae", 2),
        (None, "val_other_loss", 2),
    ],
)
def test_the_direction_of_a_metric_is_that_of_torchmetrics(metrics: Any, monitor: str, best: int) -> None:
    assert run_measured([2.0, 3.0, 1.0], metrics, monitor).best_epoch == best


def test_a_value_of_unknown_direction_is_asked_about() -> None:
    with pytest.raises(ConfigurationError, match="Expected mode='min' or mode='max' for 'val_gap', since it is"):
        run_measured([2.0], {"gap": nn.functional.l1_loss}, "val_gap")
    assert run_measured([2.0], {"gap": nn.functional.l1_loss}, "val_gap", mode="max").best_score == 2.0


@pytest.mark.train
def test_an_epoch_with_a_number_is_better_than_one_without(caplog: pytest.LogCaptureFixture) -> None:
    nan = float("nan")
    assert run_measured([nan, nan, nan, 2.0, 1.0], None, "val_loss", patience=1).best_epoch == 4
    kept = run_measured([3.0, nan, 2.0], None, "val_loss", patience=2)
    assert (kept.best_epoch, kept.best_score) == (2, 2.0)
    run_measured([nan, nan], None, "val_loss")
    assert "KeepBest kept nothing: val_loss was not a number in any epoch." in caplog.text

"""Trainer: callbacks by name, several processes, progress, and what stays Lightning's."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning import seed_everything
from pytorch_lightning.callbacks import Callback, EarlyStopping, StochasticWeightAveraging, TQDMProgressBar

import flash
from flash.core.callbacks import KeepBest
from flash.errors import ConfigurationError, FinetuningError, UnknownNameError
from flash.plugins import CallbackSpec, hookimpl, isolated_plugins
from flash.testing import in_clean_process

QUIET: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "accelerator": "cpu",
}


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
        flash.Trainer(callbacks=[3], **QUIET)  # type: ignore[list-item]  # on purpose


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


@pytest.mark.train
def test_a_trainer_that_has_trained_all_its_epochs_says_so(
    task_class: Any, datamodule: Any, trainer_options: Any, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = flash.Trainer(max_epochs=2, **trainer_options)
    task = task_class()
    trainer.fit(task, datamodule)
    assert "nothing left" not in caplog.text
    trainer.finetune(task, datamodule, strategy="freeze")
    assert "There is nothing left to train: this trainer has trained its 2 epochs. Train on with a new" in caplog.text


def test_the_name_of_a_logger_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"Expected a logger of Lightning, such as CSVLogger.*but got 'csv'"):
        flash.Trainer(logger="csv")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="Expected a GPU for accelerator='gpu', but PyTorch finds none here"):
        flash.Trainer(accelerator="gpu", logger=False)


@pytest.mark.parametrize("optimizer", ["AdamW", torch.optim.SGD])
def test_gradients_are_clipped_in_mixed_precision_too(
    task_class: Any, datamodule: Any, trainer_options: Any, optimizer: Any
) -> None:
    task = task_class(optimizer=optimizer)
    options = {**trainer_options, "precision": "bf16-mixed", "gradient_clip_val": 0.1}
    flash.Trainer(max_epochs=1, **options).fit(task, datamodule)
    assert not task.trainer.optimizers[0].defaults["fused"]


@pytest.mark.train
@pytest.mark.parametrize("resume", ["fit", "finetune"])
def test_a_run_is_not_resumed_as_another_one(
    task_class: Any, datamodule: Any, trainer_options: Any, tmp_path: Path, resume: str
) -> None:
    trainer = flash.Trainer(max_epochs=2, **trainer_options)
    trainer.finetune(task_class(), datamodule, strategy=("freeze_unfreeze", 1))
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    other = flash.Trainer(max_epochs=3, **trainer_options)
    arguments: dict[str, Any] = {"ckpt_path": tmp_path / "two.ckpt"}
    if resume == "finetune":
        arguments["strategy"] = "freeze"
    with pytest.raises(FinetuningError, match=r"Expected the run that .*two\.ckpt was saved in.* the same strategy\."):
        getattr(other, resume)(task_class(), datamodule=datamodule, **arguments)


def test_a_step_without_a_loss_is_refused(datamodule: Any, trainer_options: Any, task_class: Any) -> None:
    class Typo(task_class):  # type: ignore[misc]  # a fixture
        def step(self, batch: Any, batch_idx: int) -> Any:
            return {"los": self(batch[0]).sum()}

    with pytest.raises(ConfigurationError, match=r"Expected step to return a dict with 'loss'.*but got 'los'\."):
        flash.Trainer(max_epochs=1, **trainer_options).fit(Typo(), datamodule)


# ---------------------------------------------------------------------- trainings whose length nobody said


def fit_without_length(task: Any, data: Any, **options: Any) -> flash.Trainer:
    trainer = flash.Trainer(**{**QUIET, **options})
    trainer.fit(task, data)
    return trainer


@pytest.mark.train
def test_without_a_length_a_training_stops_early_keeps_the_best_weights_and_says_so(
    task_class: Any, datamodule: flash.DataModule, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flash.core.trainer._PATIENCE", 2)
    caplog.set_level("INFO")
    # The loss of a rate as high as this goes up and down.
    trainer = fit_without_length(task_class(learning_rate=5.0), datamodule)
    assert trainer.current_epoch < 100
    assert trainer.max_epochs == 100
    (keeper,) = [each for each in trainer.callbacks if isinstance(each, KeepBest)]
    assert keeper.best_epoch == trainer.current_epoch - 1 - 2
    assert "training until val_loss has not improved for 2 epochs, at most 100; the best weights are" in caplog.text


def length_without_validation(monkeypatch: pytest.MonkeyPatch, task: Any, data: Any) -> int | None:
    """Return the epochs that a trainer chooses, without training for them."""
    monkeypatch.setattr(pl.Trainer, "fit", lambda *_: None)
    return fit_without_length(task, data).max_epochs


@pytest.mark.parametrize(
    ("samples", "epochs"),
    [(1, 100), (12, 100), (16, 75), (60, 20), (4000, 20)],
    ids=["one batch", "100 epochs have fewer than 300 batches", "300 batches", "300 in 20 epochs", "many batches"],
)
def test_without_validation_data_small_data_is_trained_on_for_more_epochs(
    samples: int, epochs: int, task_class: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, targets = torch.randn(samples, 4), torch.zeros(samples, dtype=torch.long)
    data = flash.DataModule.from_tensors(inputs, targets, batch_size=4)
    assert length_without_validation(monkeypatch, task_class(), data) == epochs
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs, targets), batch_size=4)
    assert length_without_validation(monkeypatch, task_class(), loader) == epochs


def test_without_validation_data_a_stream_takes_twenty_epochs(task_class: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter([(torch.zeros(4), 0), (torch.ones(4), 1)])

    for data in (flash.DataModule(train_dataset=Stream(), batch_size=2), torch.utils.data.DataLoader(Stream())):
        assert length_without_validation(monkeypatch, task_class(), data) == 20


@pytest.mark.train
def test_without_validation_data_it_says_how_many_epochs_it_takes_and_takes_them(
    caplog: pytest.LogCaptureFixture, task_class: Any
) -> None:
    caplog.set_level("INFO")
    data = flash.DataModule.from_tensors(torch.randn(20, 4), torch.tensor([0, 1] * 10), batch_size=2)
    assert fit_without_length(task_class(), data).current_epoch == 30
    assert "Neither max_epochs nor validation data is passed: training for 30 epochs." in caplog.text


@pytest.mark.train
def test_without_validation_data_the_learning_rate_ends_at_zero(task_class: Any) -> None:
    data = flash.DataModule.from_tensors(torch.randn(20, 4), torch.tensor([0, 1] * 10), batch_size=2)
    trainer = fit_without_length(task_class(lr_scheduler="cosine"), data)
    (group,) = trainer.optimizers[0].param_groups
    assert group["lr"] == pytest.approx(0)


@pytest.mark.train
@pytest.mark.parametrize(
    ("val_split", "averages"),
    [(None, False), (0.2, False), (0.2, True)],
    ids=["without validation", "with validation", "with averaged weights"],
)
def test_a_resumed_training_whose_length_nobody_said_equals_the_uninterrupted_one(
    val_split: float | None, averages: bool, task_class: Any, tmp_path: Path
) -> None:
    def fit(stop: int | None = None, ckpt_path: Path | None = None) -> tuple[int, dict[str, Any]]:
        seed_everything(0, verbose=False)
        inputs = torch.randn(20, 4)
        targets = (inputs[:, 0] > 0).long()
        data = flash.DataModule.from_tensors(inputs, targets, batch_size=2, seed=0, val_split=val_split)
        task = task_class(lr_scheduler="cosine")
        task.averages_weights = averages
        trainer = flash.Trainer(**QUIET)
        if stop is not None:

            class Stops(Callback):
                def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
                    if trainer.current_epoch == stop:
                        trainer.save_checkpoint(tmp_path / "run.ckpt")
                        trainer.should_stop = True

            trainer.callbacks.append(Stops())
        trainer.fit(task, data, ckpt_path=ckpt_path)
        return trainer.current_epoch, dict(task.state_dict())

    epochs, whole = fit()
    _, stopped = fit(stop=2)
    resumed_epochs, resumed = fit(ckpt_path=tmp_path / "run.ckpt")
    assert resumed_epochs == epochs
    for name, value in whole.items():
        assert torch.equal(resumed[name], value)
    assert any(not torch.equal(stopped[name], value) for name, value in whole.items())


@pytest.mark.parametrize(
    "options",
    [{"max_epochs": 2}, {"max_steps": 3}, {"max_time": "00:00:01:00"}, {"max_epochs": -1}, {"fast_dev_run": True}],
)
def test_a_length_that_is_said_is_not_changed(options: dict[str, Any]) -> None:
    trainer = flash.Trainer(**{**QUIET, **options})
    assert not trainer._is_open_ended
    assert trainer.max_epochs != 100


@pytest.mark.train
def test_a_callback_of_the_user_that_stops_is_not_doubled(task_class: Any, datamodule: flash.DataModule) -> None:
    for callback in (EarlyStopping("val_loss", patience=1), KeepBest(patience=1)):
        trainer = fit_without_length(task_class(learning_rate=5.0), datamodule, callbacks=[callback])
        kinds = [each for each in trainer.callbacks if isinstance(each, KeepBest | EarlyStopping)]
        assert kinds == [callback]


def callbacks_without_length(
    monkeypatch: pytest.MonkeyPatch, task: Any, data: Any, *given: Any, **options: Any
) -> list[str]:
    """Return the names of the callbacks that average or keep weights, without training."""
    monkeypatch.setattr(pl.Trainer, "fit", lambda *_: None)
    made = fit_without_length(task, data, callbacks=list(given), **options).callbacks
    names = [type(each).__name__ for each in made]
    return sorted(name for name in names if "Average" in name or "Averaging" in name or "Best" in name)


def test_the_weights_of_tasks_that_say_so_are_averaged_where_nobody_said_the_length(
    monkeypatch: pytest.MonkeyPatch, task_class: Any, datamodule: flash.DataModule, caplog: pytest.LogCaptureFixture
) -> None:
    class Averaging(task_class):  # type: ignore[misc]  # a fixture
        averages_weights = True

    caplog.set_level("INFO")
    assert callbacks_without_length(monkeypatch, task_class(), datamodule) == ["KeepBestIfLogged"]
    assert "moving average" not in caplog.text
    assert callbacks_without_length(monkeypatch, Averaging(), datamodule) == ["AverageWeights", "KeepBestIfLogged"]
    assert "What is validated and kept is a moving average of the weights (the callback average_w" in caplog.text
    assert callbacks_without_length(monkeypatch, Averaging(), datamodule, max_epochs=3) == []


@pytest.mark.parametrize("given", [("average_weights", {"decay": 0.5}), StochasticWeightAveraging(swa_lrs=0.1)])
def test_an_average_of_the_user_is_not_doubled(
    given: Any, monkeypatch: pytest.MonkeyPatch, task_class: Any, datamodule: flash.DataModule
) -> None:
    task = task_class()
    task.averages_weights = True
    found = callbacks_without_length(monkeypatch, task, datamodule, given)
    assert len(found) == 2
    assert "KeepBestIfLogged" in found


@pytest.mark.train
def test_a_task_that_logs_no_loss_is_trained_and_says_why_it_does_not_stop(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, task_class: Any, datamodule: flash.DataModule
) -> None:
    monkeypatch.setattr("flash.core.trainer._MOST_EPOCHS", 3)

    class Silent(task_class):  # type: ignore[misc]  # a fixture
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            """Log nothing."""

    trainer = fit_without_length(Silent(), datamodule)
    assert trainer.current_epoch == 3
    assert caplog.text.count("The task logs no val_loss, so that the training does not stop early") == 1

"""What a task remembers of its epochs, for curves. Drawings need matplotlib: tests/test_figures.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.loggers.logger import DummyLogger

import flash
from flash.core.classification import ClassificationTask
from flash.errors import CheckpointError, ConfigurationError, DataError


class Log(DummyLogger):
    """Keeps the metrics of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: dict[int, dict[str, float]] = {}

    def log_metrics(self, metrics: Any, step: Any = None) -> None:
        values = {name: float(value) for name, value in metrics.items() if name.startswith(("train_", "val_"))}
        self.epochs.setdefault(int(metrics["epoch"]), {}).update(values)


def data() -> flash.DataModule:
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    return flash.DataModule.from_tensors(x, (x[:, 0] > 0).long(), x[:10], (x[:10, 0] > 0).long(), batch_size=8, seed=0)


def task() -> ClassificationTask:
    torch.manual_seed(0)
    return ClassificationTask(2, model=torch.nn.Linear(3, 2), learning_rate=0.1)


def loaded(path: Path) -> flash.Task:
    return flash.Task.load_from_checkpoint(path, model=torch.nn.Linear(3, 2))


@pytest.mark.train
def test_a_task_remembers_the_metrics_of_each_epoch(trainer_options: dict[str, Any]) -> None:
    trained, log = task(), Log()
    options = {**trainer_options, "max_epochs": 3, "logger": log, "log_every_n_steps": 10**6}
    flash.Trainer(**options).fit(trained, data())
    assert [epoch["epoch"] for epoch in trained.history] == [0, 1, 2]
    for epoch in trained.history:
        names = {"epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy"}
        assert epoch.keys() == names
        assert {type(value) for name, value in epoch.items() if name != "epoch"} == {float}
        assert {name: epoch[name] for name in names - {"epoch"}} == log.epochs[int(epoch["epoch"])]


@pytest.mark.train
def test_other_loops_than_a_fit_are_not_remembered(trainer_options: dict[str, Any]) -> None:
    trained, trainer = task(), flash.Trainer(**{**trainer_options, "max_epochs": 1, "num_sanity_val_steps": 2})
    trainer.validate(trained, data())
    assert trained.history == []
    trainer.fit(trained, data())
    before = [dict(epoch) for epoch in trained.history]
    assert len(before) == 1
    trainer.validate(trained, data())
    assert trained.history == before


@pytest.mark.train
def test_another_fit_starts_a_new_history_and_a_trainer_that_goes_on_continues_it(
    trainer_options: dict[str, Any],
) -> None:
    trained, trainer = task(), flash.Trainer(**{**trainer_options, "max_epochs": 2})
    trainer.fit(trained, data())
    first = trained.history[0]
    trainer.fit_loop.max_epochs = 3
    trainer.fit(trained, data())
    assert [epoch["epoch"] for epoch in trained.history] == [0, 1, 2]
    assert trained.history[0] == first
    flash.Trainer(**{**trainer_options, "max_epochs": 1}).fit(trained, data())
    assert [epoch["epoch"] for epoch in trained.history] == [0]
    assert trained.history[0] != first


@pytest.mark.train
def test_a_checkpoint_holds_the_history(trainer_options: dict[str, Any], tmp_path: Path) -> None:
    trained, trainer = task(), flash.Trainer(**{**trainer_options, "max_epochs": 2})
    trainer.fit(trained, data())
    trainer.save_checkpoint(tmp_path / "task.ckpt", weights_only=True)
    assert loaded(tmp_path / "task.ckpt").history == trained.history
    file = torch.load(tmp_path / "task.ckpt", weights_only=True)
    del file["flash"]["history"]  # as of an older version
    torch.save(file, tmp_path / "older.ckpt")
    assert loaded(tmp_path / "older.ckpt").history == []
    for wrong in ("losses", [1.0], [{"epoch": "first"}], [{"epoch": 0, "train_loss": "low"}], [{"train_loss": 0.5}]):
        file["flash"]["history"] = wrong
        torch.save(file, tmp_path / "wrong.ckpt")
        with pytest.raises(CheckpointError, match="'history' is not what Flash writes"):
            loaded(tmp_path / "wrong.ckpt")


def test_without_matplotlib_an_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    made, dm = task(), data()
    figures = [
        made.plot_curves,
        dm.show_batch,
        *(lambda name=name: getattr(made, name)(dm) for name in ("plot_predictions", "plot_confusion", "plot_scores")),
        *(lambda name=name: getattr(made, name)(dm) for name in ("plot_numbers", "plot_importance")),
        lambda: dm.plot_predictions(made),
    ]
    for draw in figures:
        with pytest.raises(ConfigurationError, match=r"Expected matplotlib, .* pip install \"flash-core\[figures\]\""):
            draw()


def test_a_task_that_was_not_trained_has_no_curves() -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(DataError, match="Expected metrics of at least one epoch to draw, but there are none"):
        task().plot_curves()

"""What a worker knows of its group and reports, without a cluster."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from flash.ray import worker


@pytest.fixture
def second_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    context = SimpleNamespace(
        get_world_size=lambda: 3, get_world_rank=lambda: 1, get_local_rank=lambda: 1, get_node_rank=lambda: 0
    )
    monkeypatch.setattr("ray.train.get_context", lambda: context)


@pytest.mark.usefixtures("second_of_three")
def test_ranks_are_those_of_ray() -> None:
    environment = worker.RayEnvironment()
    environment.set_world_size(9)
    environment.set_global_rank(9)
    environment.teardown()
    ranks = environment.global_rank(), environment.local_rank(), environment.node_rank()
    assert (environment.world_size(), *ranks) == (3, 1, 1, 0)


def test_metrics_that_are_no_numbers_are_not_reported() -> None:
    logged = {"val_loss": torch.tensor(0.5), "val_confusion_matrix": torch.eye(2)}
    trainer: Any = SimpleNamespace(callback_metrics=logged, current_epoch=2, global_step=7)
    assert worker.numbers_of(trainer) == {"val_loss": 0.5, "epoch": 2, "step": 7}


@pytest.mark.parametrize("callbacks", [None, "keep_best", ["keep_best"]])
def test_callbacks_are_taken_as_a_trainer_takes_them(callbacks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.train.torch.get_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(worker.RayStrategy, "__init__", lambda self: super(worker.RayStrategy, self).__init__())
    report = worker.ReportEpochs()
    options = {} if callbacks is None else {"callbacks": callbacks}
    trainer = worker._make_trainer({"max_epochs": 1, "logger": False, **options}, report)
    kinds = [type(each).__name__ for each in trainer.callbacks]
    assert kinds.count("KeepBest") == (callbacks is not None)
    assert kinds[-1] == "ReportEpochs"
    assert trainer.max_epochs == 1

"""Objects that workers get from the tests by value: callbacks, and a task whose backbone counts."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

import flash
from flash.core.classification import ClassificationTask
from flash.data.stage import Stage
from flash.errors import DataError


class KillOnce(pl.Callback):
    """Kill a worker after a step, the first time that it comes there, when Ray knows of a checkpoint.

    Args:
        folder: A folder for the mark that it was done.
        rank: The worker.
        step: The step, from 1; after the first epoch.
        runs: The folder of Ray's files.
    """

    def __init__(self, folder: Path, rank: int, step: int, runs: Path) -> None:
        self.mark, self.rank, self.step, self.runs = folder / "killed", rank, step, runs

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_rank == self.rank and trainer.global_step == self.step and not self.mark.exists():
            end = time.monotonic() + 60
            # Ray asks the workers for their checkpoints now and then.
            while not list(self.runs.rglob("checkpoint_manager_snapshot.json")) and time.monotonic() < end:
                os.sched_yield()
            self.mark.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)


class NoteEpochs(pl.Callback):
    """Note each epoch that a worker starts, and at the end how many rows its backbone saw.

    Args:
        file: The file to append to.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self._note(f"{trainer.global_rank} began {trainer.current_epoch}")

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if isinstance(pl_module, Counting):
            self._note(f"{trainer.global_rank} saw {pl_module.backbone.rows}")

    def _note(self, line: str) -> None:
        with self.file.open("a") as file:
            file.write(f"{line}\n")

    def lines(self) -> list[str]:
        return sorted(self.file.read_text().splitlines())


class Same(flash.Preprocess):
    """Samples that are the same in each epoch."""

    def load_data(self, data: Any) -> list[Any]:
        return list(zip(*data, strict=True))

    def is_deterministic(self, stage: Stage) -> bool:
        return True


class Counter(nn.Linear):
    """A layer that counts its rows."""

    rows = 0

    def forward(self, x: Tensor) -> Tensor:
        self.rows += len(x)
        return super().forward(x)


class Counting(ClassificationTask):
    """A classifier whose features can be kept where they are frozen."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(num_classes=2, learning_rate=0.1, optimizer="SGD", metrics=["accuracy"])
        self.backbone, self.head = Counter(2, 8), nn.Linear(8, 2)

    def forward_features(self, x: Any) -> Any:
        return self.backbone(x).relu()

    def forward_head(self, features: Any) -> Any:
        return self.head(features)


def give(*values: str) -> None:
    """Prepare a worker of a pool: in its environment, since this module is another one in each call."""
    os.environ["GIVEN"] = " ".join(values)


def given_and(value: Any) -> tuple[str, Any]:
    """Return what a worker was prepared with, and a value."""
    return os.environ["GIVEN"], value


def fails() -> None:
    """Raise an error of Flash."""
    raise DataError("Expected rows, but there are none.")


def die(folder: Path, times: int) -> str:
    """Kill the worker, as often as was said, and return what another one was prepared with."""
    for number in range(times):
        mark = folder / f"died {number}"
        if not mark.exists():
            mark.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
    return os.environ.get("GIVEN", "")


class DyingModel:
    """A model whose worker is killed as it is fitted, as often as was said.

    Args:
        folder: A folder for the marks that it was done.
        times: The number of times.
    """

    def __init__(self, folder: Path, times: int) -> None:
        self.folder, self.times = folder, times

    def fit(self, data: Any) -> DyingModel:
        die(self.folder, self.times)
        return self

    def predict(self, dataset: Any) -> Tensor:
        return torch.full((len(dataset), 2), 0.5)

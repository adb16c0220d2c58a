"""Callbacks of workers."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytorch_lightning as pl


class KillOnce(pl.Callback):
    """Kill a worker after a step, the first time that it comes there.

    Args:
        folder: A folder for the mark that it was done.
        rank: The worker.
        step: The step, from 1.
    """

    def __init__(self, folder: Path, rank: int, step: int) -> None:
        self.mark, self.rank, self.step = folder / "killed", rank, step

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_rank == self.rank and trainer.global_step == self.step and not self.mark.exists():
            self.mark.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)


class NoteEpochs(pl.Callback):
    """Note each epoch that a worker starts, with its rank, and how many batches came from cached features.

    Args:
        file: The file to append to.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        with self.file.open("a") as file:
            file.write(f"{trainer.global_rank} {trainer.current_epoch} {bool(trainer.datamodule._features)}\n")

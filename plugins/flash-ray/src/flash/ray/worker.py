"""Worker of a training: its own part of the work, its checkpoints, and going on after a failure."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning import seed_everything
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]  # re-exported
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.exceptions import MisconfigurationException  # type: ignore[attr-defined]  # likewise

import flash
import ray
import ray.train
import ray.train.torch
from flash.errors import FlashError

from .cluster import packed_error, unpacked

__all__ = ["LAST_FILE", "TASK_FILE", "RayStrategy", "ReportEpochs", "train"]

#: The checkpoint of an epoch, from which the training goes on.
LAST_FILE = "last.ckpt"
#: The checkpoint of the finished task.
TASK_FILE = "task.ckpt"


class RayEnvironment(LightningEnvironment):
    """The ranks of the processes, as Ray Train knows them."""

    def world_size(self) -> int:
        """Return the number of processes."""
        return int(ray.train.get_context().get_world_size())

    def global_rank(self) -> int:
        """Return the number of this process."""
        return int(ray.train.get_context().get_world_rank())

    def local_rank(self) -> int:
        """Return the number of this process on its machine."""
        return int(ray.train.get_context().get_local_rank())

    def node_rank(self) -> int:
        """Return the number of the machine."""
        return int(ray.train.get_context().get_node_rank())

    def set_world_size(self, size: int) -> None:
        """Ignore the size that Lightning counts, which is that of one machine."""

    def set_global_rank(self, rank: int) -> None:
        """Ignore the rank that Lightning counts."""

    def teardown(self) -> None:
        """Leave the environment to Ray."""


class RayStrategy(DDPStrategy):
    """Lightning's DDP on the processes and devices of Ray Train.

    Ray's own strategy is one of ``lightning`` where that is installed besides, which a trainer of
    ``pytorch_lightning`` refuses.
    """

    def __init__(self) -> None:
        super().__init__(cluster_environment=RayEnvironment())

    @property
    def root_device(self) -> torch.device:
        """The device that Ray has given to this worker."""
        device: torch.device = ray.train.torch.get_device()
        return device

    @property
    def distributed_sampler_kwargs(self) -> dict[str, Any]:
        """The number of processes and that of this one."""
        return {"num_replicas": self.world_size, "rank": self.global_rank}


class ReportEpochs(Checkpoint):
    """Report the metrics of each epoch to Ray, with a checkpoint that has the state of all workers."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Store and report, after all other callbacks."""
        with _reported(numbers_of(trainer)) as folder:
            trainer.save_checkpoint(folder / LAST_FILE)


def numbers_of(trainer: pl.Trainer) -> dict[str, float]:
    """Return the logged values that are numbers, with the epoch and the step."""
    logged = {name: value for name, value in trainer.callback_metrics.items() if value.numel() == 1}
    numbers = {name: float(value) for name, value in logged.items()}
    return {**numbers, "epoch": trainer.current_epoch, "step": trainer.global_step}


@contextlib.contextmanager
def _reported(metrics: Mapping[str, float]) -> Iterator[Path]:
    """Report the files that are written to a folder for the duration of the context, and wait for all workers."""
    folder = Path(tempfile.mkdtemp(prefix="flash-ray-"))
    try:
        yield folder
        checkpoint = ray.train.Checkpoint.from_directory(str(folder))
        ray.train.report(dict(metrics), checkpoint=checkpoint)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def train(config: Mapping[str, Any]) -> None:
    """Train as one worker of a group.

    Args:
        config: ``content``, a reference to the packed task, data, strategy and arguments of the trainer; ``failures``,
            an actor; ``seed``.
    """
    failures = config["failures"]
    if ray.get(failures.first.remote()) is not None:
        return  # Another attempt would fail as the last one did.
    try:
        _train(config)
    except (FlashError, MisconfigurationException) as error:
        ray.get(failures.record.remote(packed_error(error)))
        raise


def _train(config: Mapping[str, Any]) -> None:
    task, data, strategy, options = unpacked(ray.get(config["content"]))
    seed_everything(config["seed"] + ray.train.get_context().get_world_rank(), verbose=False)
    last = ray.train.get_checkpoint()
    with contextlib.nullcontext() if last is None else last.as_directory() as found:
        resumed = None if found is None else Path(found)
        if resumed is not None and (resumed / TASK_FILE).exists():
            return  # The run was complete.
        ray.get(config["failures"].begin.remote())
        trainer = _make_trainer(options, ReportEpochs())
        path = None if resumed is None else resumed / LAST_FILE
        if strategy is None:
            trainer.fit(task, datamodule=data, ckpt_path=path)
        else:
            trainer.finetune(task, datamodule=data, strategy=strategy, ckpt_path=path)
    with _reported(numbers_of(trainer)) as folder:
        trainer.save_checkpoint(folder / TASK_FILE, weights_only=True)


def _make_trainer(options: Mapping[str, Any], report: ReportEpochs) -> flash.Trainer:
    given = dict(options)
    callbacks = given.pop("callbacks", None)
    if callbacks is None:
        callbacks = []
    elif isinstance(callbacks, list):
        callbacks = [*callbacks]
    else:
        callbacks = [callbacks]
    # A bar would be a line of the log for each of its steps.
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    device = "gpu" if ray.train.torch.get_device().type == "cuda" else "cpu"
    return flash.Trainer(
        strategy=RayStrategy(),
        accelerator=device,
        devices="auto" if device == "gpu" else 1,
        callbacks=[*callbacks, report],
        **{**quiet, **given},
    )

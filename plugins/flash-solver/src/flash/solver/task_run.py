"""What a task, its data and finetuning strategies ask a trainer for, while a solver trains them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from flash.errors import ConfigurationError

__all__ = ["Schedule", "TaskRun", "read_optimizers"]


class Schedule:
    """A learning-rate scheduler, and when it steps; the names are Lightning's.

    Args:
        settings: ``{"scheduler": ..., "interval": "epoch", "frequency": 1, "monitor": ...}``.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.scheduler: Any = settings["scheduler"]
        self.interval: str = settings.get("interval") or "epoch"
        self.frequency: int = settings.get("frequency", 1)
        self.monitor: str | None = settings.get("monitor")
        self.strict: bool = settings.get("strict", True)
        self.reduce_on_plateau = isinstance(self.scheduler, ReduceLROnPlateau)

    def step(self, metrics: Mapping[str, Any]) -> None:
        """Step once; a scheduler that watches a metric gets it."""
        if not self.reduce_on_plateau:
            self.scheduler.step()
        elif self.monitor is not None and self.monitor in metrics:
            self.scheduler.step(float(metrics[self.monitor]))
        elif self.strict:
            raise ConfigurationError(
                f"Expected the metric {self.monitor!r}, which the learning-rate scheduler watches, but there are "
                f"{', '.join(sorted(metrics)) or 'none'}. Give validation data, or watch another metric."
            )


class TaskRun:
    """Stands where tasks, data modules and finetuning callbacks expect a trainer, and where they expect Fabric.

    Anything that is not here is Fabric's.

    Args:
        fabric: Knows devices, precision and processes.
        task: The task.
        datamodule: Its data.
        max_epochs: How many epochs the training has.
    """

    def __init__(self, fabric: Fabric, task: Any, datamodule: Any, max_epochs: int) -> None:
        self.fabric = fabric
        self.lightning_module = task
        self.datamodule = datamodule
        self.max_epochs = max_epochs
        self.current_epoch = 0
        self.global_step = 0
        self.optimizers: list[Optimizer] = []
        self.lr_scheduler_configs: list[Schedule] = []
        self.num_training_batches: float = math.inf
        self.callback_metrics: dict[str, Any] = {}
        self.callbacks: list[Any] = []
        self.logger = None
        self.loggers: list[Any] = []
        self.log_every_n_steps = 50
        self.should_stop = False
        self.barebones = False
        self.training, self.validating, self.testing, self.predicting = True, False, False, False
        self.sanity_checking = False
        self.max_steps = -1
        self.state = SimpleNamespace(fn="fit")
        # The means of what the task logs by itself: sums, and numbers of values.
        self.logged: dict[str, list[float]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["fabric"], name)

    @property
    def precision_plugin(self) -> Any:
        """What converts batches; its method is that of this object."""
        return self

    def convert_input(self, batch: Any) -> Any:
        """Give the floats of a batch the run's precision; where it is a mixed one, torch does it in each layer."""
        precision = self.fabric._precision
        return batch if isinstance(precision, MixedPrecision) else precision.convert_input(batch)

    @property
    def is_global_zero(self) -> bool:
        """Whether this is the first process."""
        return bool(self.fabric.is_global_zero)

    @property
    def fit_loop(self) -> Any:
        """How far the training is, as data modules ask for it."""
        current = SimpleNamespace(processed=self.current_epoch, completed=self.current_epoch)
        return SimpleNamespace(epoch_progress=SimpleNamespace(current=current))

    @property
    def estimated_stepping_batches(self) -> float:
        """How many steps the whole training has."""
        if not math.isfinite(self.num_training_batches):
            self.num_training_batches = len(self.datamodule.train_dataloader())
            self.num_training_batches /= self.fabric.world_size
        return math.ceil(self.num_training_batches) * self.max_epochs

    def log(self, name: str, value: Any, step: int | None = None) -> None:
        """Take in a number that the task logs."""
        self.log_dict({name: value})

    def log_dict(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Take in numbers that the task logs."""
        for name, value in metrics.items():
            number = value.detach() if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float64)
            total = self.logged.setdefault(name, [0.0, 0.0])
            total[0] += float(number)
            total[1] += 1

    def take_logged(self, stage: str) -> dict[str, float]:
        """Return the means of what was logged in a stage, without its prefix, and begin anew."""
        means = {name: total / count for name, (total, count) in self.logged.items()}
        self.logged.clear()
        self.callback_metrics |= means
        return {name.removeprefix(f"{stage}_"): value for name, value in means.items()}


def read_optimizers(configured: Any) -> tuple[list[Optimizer], list[Schedule]]:
    """Understand what ``configure_optimizers`` gave, in any of the forms that Lightning takes.

    Raises:
        ConfigurationError: If it is none of them.
    """
    if isinstance(configured, Optimizer):
        return [configured], []
    if isinstance(configured, Mapping):
        return _read_several([configured])
    if isinstance(configured, list | tuple):
        pair = len(configured) == 2 and isinstance(configured[0], list | tuple)
        if pair:
            optimizers, schedulers = configured
            return list(optimizers), [_read_scheduler(each) for each in schedulers]
        return _read_several(configured)
    raise ConfigurationError(
        f"Expected configure_optimizers to give an optimizer, a dict with one, or a list of such, but got "
        f"{type(configured).__name__}."
    )


def _read_several(configured: Any) -> tuple[list[Optimizer], list[Schedule]]:
    optimizers, schedules = [], []
    for each in configured:
        if isinstance(each, Optimizer):
            optimizers.append(each)
            continue
        optimizers.append(each["optimizer"])
        if each.get("lr_scheduler") is not None:
            monitor = {"monitor": each["monitor"]} if "monitor" in each else {}
            schedules.append(_read_scheduler(each["lr_scheduler"], **monitor))
    return optimizers, schedules


def _read_scheduler(scheduler: Any, **more: Any) -> Schedule:
    return Schedule({**scheduler, **more} if isinstance(scheduler, Mapping) else {"scheduler": scheduler, **more})

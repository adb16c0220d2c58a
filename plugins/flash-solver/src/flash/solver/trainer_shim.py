"""TrainerShim: stands in for Lightning's Trainer while a solver trains a task."""

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

__all__ = ["LRSchedulerConfig", "TrainerShim", "parse_optimizers"]


class LRSchedulerConfig:
    """A learning-rate scheduler with its interval; mirrors Lightning's ``LRSchedulerConfig``.

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
        """Step once; ``ReduceLROnPlateau`` steps on its monitored metric."""
        if not self.reduce_on_plateau:
            self.scheduler.step()
        elif self.monitor is not None and self.monitor in metrics:
            self.scheduler.step(float(metrics[self.monitor]))
        elif self.strict:
            raise ConfigurationError(
                f"Expected the metric {self.monitor!r}, which the learning-rate scheduler monitors, but got "
                f"{', '.join(sorted(metrics)) or 'none'}. Pass validation data, or monitor another metric."
            )


class TrainerShim:
    """Replacement for the trainer and Fabric that tasks, data modules and finetuning callbacks use.

    Attributes that it does not define are looked up on Fabric.

    Args:
        fabric: The Fabric of the run.
        task: The task.
        datamodule: Its data.
        max_epochs: The number of epochs.
    """

    def __init__(self, fabric: Fabric, task: Any, datamodule: Any, max_epochs: int) -> None:
        self.fabric = fabric
        self.lightning_module = task
        self.datamodule = datamodule
        self.max_epochs = max_epochs
        self.current_epoch = 0
        self.global_step = 0
        self.optimizers: list[Optimizer] = []
        self.lr_scheduler_configs: list[LRSchedulerConfig] = []
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
        # Values that the task logged with self.log: sum and count per name.
        self.logged: dict[str, list[float]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["fabric"], name)

    @property
    def precision_plugin(self) -> Any:
        """The plugin that converts batches: this object, which has ``convert_input``."""
        return self

    def convert_input(self, batch: Any) -> Any:
        """Cast the floats of a batch to Fabric's precision; with mixed precision, autocast does that per layer."""
        precision = self.fabric._precision
        return batch if isinstance(precision, MixedPrecision) else precision.convert_input(batch)

    @property
    def is_global_zero(self) -> bool:
        """True on rank 0."""
        return bool(self.fabric.is_global_zero)

    @property
    def fit_loop(self) -> Any:
        """The progress of the epochs, as data modules read it."""
        current = SimpleNamespace(processed=self.current_epoch, completed=self.current_epoch)
        return SimpleNamespace(epoch_progress=SimpleNamespace(current=current))

    @property
    def estimated_stepping_batches(self) -> float:
        """The total number of optimizer steps of the training."""
        if not math.isfinite(self.num_training_batches):
            self.num_training_batches = len(self.datamodule.train_dataloader())
            self.num_training_batches /= self.fabric.world_size
        return math.ceil(self.num_training_batches) * self.max_epochs

    def log(self, name: str, value: Any, step: int | None = None) -> None:
        """Accumulate a value that the task logs."""
        self.log_dict({name: value})

    def log_dict(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Accumulate values that the task logs."""
        for name, value in metrics.items():
            number = value.detach() if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float64)
            total = self.logged.setdefault(name, [0.0, 0.0])
            total[0] += float(number)
            total[1] += 1

    def pop_logged(self, stage: str) -> dict[str, float]:
        """Return the means of the values logged in a stage, without its prefix, and reset them."""
        means = {name: total / count for name, (total, count) in self.logged.items()}
        self.logged.clear()
        self.callback_metrics |= means
        return {name.removeprefix(f"{stage}_"): value for name, value in means.items()}


def parse_optimizers(configured: Any) -> tuple[list[Optimizer], list[LRSchedulerConfig]]:
    """Parse the return value of ``configure_optimizers``, in any form that Lightning accepts.

    Raises:
        ConfigurationError: If it has another form.
    """
    if isinstance(configured, Optimizer):
        return [configured], []
    if isinstance(configured, Mapping):
        return _parse_optimizer_list([configured])
    if isinstance(configured, list | tuple):
        pair = len(configured) == 2 and isinstance(configured[0], list | tuple)
        if pair:
            optimizers, schedulers = configured
            return list(optimizers), [_parse_scheduler(each) for each in schedulers]
        return _parse_optimizer_list(configured)
    raise ConfigurationError(
        f"Expected configure_optimizers to return an optimizer, a dict with one, or a list of such, but got "
        f"{type(configured).__name__}."
    )


def _parse_optimizer_list(configured: Any) -> tuple[list[Optimizer], list[LRSchedulerConfig]]:
    optimizers, schedules = [], []
    for each in configured:
        if isinstance(each, Optimizer):
            optimizers.append(each)
            continue
        optimizers.append(each["optimizer"])
        if each.get("lr_scheduler") is not None:
            monitor = {"monitor": each["monitor"]} if "monitor" in each else {}
            schedules.append(_parse_scheduler(each["lr_scheduler"], **monitor))
    return optimizers, schedules


def _parse_scheduler(scheduler: Any, **more: Any) -> LRSchedulerConfig:
    return LRSchedulerConfig(
        {**scheduler, **more} if isinstance(scheduler, Mapping) else {"scheduler": scheduler, **more}
    )

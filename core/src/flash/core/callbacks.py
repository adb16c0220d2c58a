"""Built-in callbacks: metrics per epoch, hyperparameters, the best weights, gathered predictions."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BaseFinetuning, Callback, ModelCheckpoint
from torch import Tensor
from torch import distributed as dist

from flash.core.console import epoch_name
from flash.core.finetuning import FlashBaseFinetuning
from flash.core.run_state import check_counts, check_optimizer, check_schedule
from flash.data.loader import rows_of_batch
from flash.errors import ConfigurationError
from flash.serialization import writing

__all__ = [
    "CheckResumed",
    "GatherPredictions",
    "HyperparameterLogger",
    "KeepBest",
    "KeepBestIfLogged",
    "MetricLogger",
    "strategy_of",
]

log = logging.getLogger(__name__)


class MetricLogger(Callback):
    """Log the mean loss and the metrics of a task once per epoch, as ``<stage>_loss`` and ``<stage>_<name>``."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Clear the state of an interrupted epoch."""
        pl_module.stage_metrics["train_metrics"].reset()

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Clear the state of an interrupted epoch."""
        pl_module.stage_metrics["val_metrics"].reset()

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Clear the state of an interrupted epoch."""
        pl_module.stage_metrics["test_metrics"].reset()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Log the train metrics, and remember them in the history of the task."""
        self._log(trainer, pl_module, "train")
        _remember(trainer, pl_module, "train")

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Log the validation metrics, and remember those of a fit in the history of the task."""
        if not trainer.sanity_checking:
            self._log(trainer, pl_module, "val")
            if trainer.state.fn == "fit":
                _remember(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Log the test metrics."""
        self._log(trainer, pl_module, "test")

    def _log(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        metrics = pl_module.stage_metrics[f"{stage}_metrics"]
        for name, value in metrics.compute(pl_module.output_names).items():
            # The scores of all classes would not fit into the bar; loggers and callbacks get them.
            in_bar = name not in metrics.elements
            pl_module.log(f"{stage}_{name}", value, prog_bar=in_bar, sync_dist=trainer.world_size > 1, batch_size=1)
        metrics.reset()


def _remember(trainer: pl.Trainer, task: Any, stage: str) -> None:
    """Add the metrics of a stage that were just logged to the history of the task, as plain numbers."""
    logged = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(f"{stage}_")}
    numbers = {name: value for name, value in logged.items() if not name.endswith("_step")}
    history: list[dict[str, float]] = task.history
    if not history or history[-1]["epoch"] != trainer.current_epoch:
        history.append({"epoch": trainer.current_epoch})
    history[-1].update(numbers)


class HyperparameterLogger(Callback):
    """Pass the hyperparameters of a task, its data and its strategy to the loggers at the start of training.

    They are the arguments of the task that are numbers, strings, or lists and dicts of these, except facts of the data,
    such as the names of the classes; the ``batch_size`` and ``seed`` of the data; and the class of the finetuning
    strategy.
    """

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Log the hyperparameters."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it
        facts = getattr(data, "facts", {})
        given = {name: value for name, value in pl_module.hparams.items() if name not in facts}
        values = _as_json(given)
        values |= {name: getattr(data, name) for name in ("batch_size", "seed") if hasattr(data, name)}
        strategy = strategy_of(trainer)
        values |= {} if strategy is None else {"strategy": strategy}
        for logger in trainer.loggers:
            logger.log_hyperparams(values)


def strategy_of(trainer: pl.Trainer) -> str | None:
    """Return the class of the finetuning strategy of a run; ``None`` if it has none.

    Example:
        >>> strategy_of(pl.Trainer(logger=False, enable_checkpointing=False, barebones=True)) is None
        True
    """
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # Lightning sets it
    names = [type(each).__name__ for each in callbacks if isinstance(each, FlashBaseFinetuning | BaseFinetuning)]
    return names[-1] if names else None


def _as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that JSON can hold, with tuples as lists."""
    result = {}
    for name, value in values.items():
        with contextlib.suppress(TypeError, ValueError):
            result[name] = json.loads(json.dumps(value))
    return result


class KeepBest(Callback):
    """Restore the weights of the best epoch when training ends, optionally with early stopping.

    The checkpoints that Lightning writes hold the weights of the epoch that they were written in, so that the run can
    be resumed. If the best epoch is an earlier one, the task is also saved with its weights, as ``best.ckpt`` beside
    them, without the state of the optimizer.

    Args:
        monitor: The logged value to monitor; by default ``val_loss``.
        mode: ``"min"`` or ``"max"``; whether lower or higher is better. By default ``"min"`` for a loss, and what
            torchmetrics says of its metrics (``higher_is_better``).
        patience: Number of validations without improvement after which training stops; ``None`` never stops it.
        min_delta: The minimum change that counts as an improvement.

    Attributes:
        best_epoch: The index of the best epoch, from 0 as in ``trainer.current_epoch``; ``None`` before the first
            validation.
        best_score: Its monitored value.
        best_path: The checkpoint with the weights of the best epoch; ``None`` if Lightning writes no checkpoints, or
            the last one has them.

    Raises:
        ConfigurationError: If an argument is out of range, the value is not logged, or its direction is not known.

    Example:
        >>> KeepBest("val_accuracy", patience=5).patience
        5
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: Literal["min", "max"] | None = None,
        patience: int | None = None,
        min_delta: float = 0.0,
    ) -> None:
        if mode not in ("min", "max", None):
            raise ConfigurationError(f"Expected mode to be 'min' or 'max', but got {mode!r}.")
        if patience is not None and (isinstance(patience, bool) or patience < 1):
            raise ConfigurationError(f"Expected patience to be at least 1, or None, but got {patience!r}.")
        self.monitor = monitor
        self._key = f"KeepBest({monitor}, {mode})"
        self.mode: Literal["min", "max"] | None = "min" if mode is None and monitor.endswith("loss") else mode
        self.patience = patience
        self.min_delta = min_delta
        self._reset()

    @property
    def state_key(self) -> str:
        """Key of the state in a checkpoint, unique for several such callbacks."""
        return self._key

    def _reset(self) -> None:
        self.best_score = -math.inf if self.mode == "max" else math.inf
        self.best_epoch: int | None = None
        self._weights: dict[str, Tensor] = {}
        self._waited = 0
        self._validated = False
        self.best_path: Path | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Clear the state of a previous run."""
        if stage == "fit":
            self._reset()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Warn at the start of a run without validation, which has nothing to compare."""
        if not sum(trainer.num_val_batches) and trainer.is_global_zero:
            log.warning("KeepBest has nothing to compare: there is no validation. Pass val data or val_split.")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare this validation with the best one so far."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        score = trainer.callback_metrics.get(self.monitor)
        if score is None:
            known = ", ".join(sorted(trainer.callback_metrics)) or "nothing"
            raise ConfigurationError(
                f"Expected {self.monitor!r} to be logged, for KeepBest to watch it, but there is only {known}. "
                "Choose one of these with KeepBest(monitor=...)."
            )
        self.mode = self.mode or self._direction(pl_module)
        self._validated = True
        gain = self.best_score - float(score) if self.mode == "min" else float(score) - self.best_score
        is_number = not math.isnan(float(score))
        if is_number and (gain > self.min_delta or self.best_epoch is None):
            self.best_score, self.best_epoch, self._waited = float(score), trainer.current_epoch, 0
            self._weights = {
                name: value.detach().to("cpu", copy=True) for name, value in pl_module.state_dict().items()
            }
            return
        # Before the first number there is nothing that could have improved.
        self._waited += self.best_epoch is not None
        if self.patience is not None and self._waited >= self.patience:
            trainer.should_stop = True

    def _direction(self, pl_module: pl.LightningModule) -> Literal["min", "max"]:
        metrics: Any = getattr(pl_module, "stage_metrics", {})
        name = self.monitor.removeprefix("val_")
        higher = metrics["val_metrics"].higher_is_better(name) if metrics and name != self.monitor else None
        if higher is None:
            raise ConfigurationError(
                f"Expected mode='min' or mode='max' for {self.monitor!r}, since it is not known whether lower or "
                f"higher is better. Pass it: ('keep_best', {{'monitor': {self.monitor!r}, 'mode': 'max'}})."
            )
        return "max" if higher else "min"

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the best weights, after Lightning has written its last checkpoint; save and report them."""
        if self.best_epoch is None and self._validated and trainer.is_global_zero:
            log.warning("KeepBest kept nothing: %s was not a number in any epoch.", self.monitor)
        if self.best_epoch is None:
            return
        pl_module.load_state_dict(self._weights)
        folder = _checkpoint_folder(trainer)
        if folder is not None and self.best_epoch < trainer.current_epoch - 1:
            self.best_path = trainer.strategy.broadcast(_unused(folder / "best.ckpt"))
            trainer.save_checkpoint(self.best_path, weights_only=True)
        if trainer.is_global_zero:
            best = epoch_name(trainer, self.best_epoch)
            saved = "" if self.best_path is None else f", saved as {self.best_path}"
            log.info("Kept the weights of %s: %s %.4g%s.", best, self.monitor, self.best_score, saved)

    def state_dict(self) -> dict[str, Any]:
        """Return the best score and weights so far, for the checkpoint."""
        return {
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
            "weights": self._weights,
            "waited": self._waited,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of the run that is resumed."""
        self.best_score, self.best_epoch = state_dict["best_score"], state_dict["best_epoch"]
        self._weights, self._waited = state_dict["weights"], state_dict["waited"]


class CheckResumed(Callback):
    """Check, before the first step of a resumed run, that each optimizer and schedule was restored.

    Args:
        source: The path or URL of the checkpoint.
    """

    def __init__(self, source: object) -> None:
        self.source = source
        self._found: dict[str, int] = {}
        self._schedules: list[dict[str, Any]] = []

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep how many states there are."""
        names = ("optimizer_states", "lr_schedulers")
        self._found = {name: len(checkpoint[name]) for name in names if name in checkpoint}
        self._schedules = list(checkpoint.get("lr_schedulers", ()))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the numbers, and check the options.

        Raises:
            CheckpointError: If a state is missing, or an option is of another kind than the default.
        """
        made = {"optimizer_states": len(trainer.optimizers), "lr_schedulers": len(trainer.lr_scheduler_configs)}
        check_counts(self._found, made, self.source)
        for optimizer in trainer.optimizers:
            check_optimizer(optimizer, self.source)
        for config, stored in zip(trainer.lr_scheduler_configs, self._schedules, strict=False):
            check_schedule(config.scheduler, stored, self.source)


def _checkpoint_folder(trainer: pl.Trainer) -> Path | None:
    """Return the folder that Lightning writes checkpoints to; ``None`` if it has written none."""
    written = [
        callback.dirpath
        for callback in trainer.checkpoint_callbacks
        if isinstance(callback, ModelCheckpoint) and (callback.best_model_path or callback.last_model_path)
    ]
    return Path(written[0]) if written and written[0] is not None else None


def _unused(path: Path) -> Path:
    """Return a path, or with a version as Lightning names its checkpoints if there is such a file."""
    versions = (path.with_stem(f"{path.stem}-v{version}") for version in itertools.count(1))
    return next(each for each in itertools.chain([path], versions) if not each.exists())


class KeepBestIfLogged(KeepBest):
    """Keep the best weights of a task that logs the monitored value; of another, leave the last ones, and say so."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare this validation with the best one so far."""
        if self.monitor in trainer.callback_metrics or trainer.sanity_checking or trainer.state.fn != "fit":
            super().on_validation_end(trainer, pl_module)
        elif not self._validated and trainer.is_global_zero:
            self._validated = True
            log.warning(
                "The task logs no %s, so that the training does not stop early. Pass max_epochs, or a callback such as "
                "('keep_best', {'monitor': ...}).",
                self.monitor,
            )

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the best weights."""
        if self.best_epoch is not None:
            super().on_fit_end(trainer, pl_module)


class GatherPredictions(Callback):
    """Gather the predictions of several processes into one list: complete, in order, without duplicates.

    Processes that were spawned for the run cannot return values to the main process; there the
    first of them saves the list to a file.

    Args:
        path: The path of this file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # By the number of the loader and the index of the sample in its dataset.
        self._samples: dict[tuple[int, int], Any] = {}
        self._size = 1

    def on_predict_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Collect the results of a batch by the indices of their samples, if there are several processes."""
        if trainer.world_size == 1:
            return
        loaders = trainer.predict_dataloaders
        loader = loaders[dataloader_idx] if isinstance(loaders, list | tuple) else loaders
        rows = rows_of_batch(loader, batch_idx, len(outputs))
        self._samples |= {(dataloader_idx, row): sample for row, sample in zip(rows, outputs, strict=True)}
        self._size = max(self._size, len(outputs))

    def on_predict_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gather the results of all processes."""
        if trainer.world_size == 1 or not dist.is_initialized():
            return
        gathered: list[Any] = [None] * trainer.world_size
        dist.all_gather_object(gathered, (self._size, self._samples))
        size = max(size for size, _ in gathered)
        found = {place: sample for _, samples in gathered for place, sample in samples.items()}
        merged = []
        for loader in range(trainer.predict_loop.num_dataloaders):
            samples = [found[place] for place in sorted(found) if place[0] == loader]
            merged.append([samples[start : start + size] for start in range(0, len(samples), size)])
        self._samples = {}
        result: Any = merged[0] if len(merged) == 1 else merged
        if trainer.predict_loop.return_predictions:
            trainer.predict_loop.predictions[:] = result
        elif trainer.is_global_zero:
            with writing(self._path, what="list of predictions", folder_argument="the variable TMPDIR") as file:
                torch.save(result, file)

    def load_saved(self) -> Any:
        """Return the list that another process saved, or ``None``."""
        # Safe to unpickle: written by this program, in a private temporary folder.
        return torch.load(self._path, weights_only=False) if self._path.exists() else None

"""Cache the features of a frozen backbone, computed once instead of in each epoch."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from torch.utils._pytree import tree_leaves, tree_map

from flash.core._feature_store import FeatureStore, write_rows
from flash.core.finetuning import as_modules
from flash.core.model import Task
from flash.core.prediction import predict_batches
from flash.data.auto_dataset import AutoDataset
from flash.data.columns import Columns
from flash.data.data_module import DataModule
from flash.data.stage import Stage
from flash.download import progress_bar
from flash.errors import FinetuningError
from flash.plugins import dist_of

__all__ = ["FrozenFeatures"]

log = logging.getLogger(__name__)


class FrozenFeatures(Callback):
    """Compute the features of a frozen backbone once per sample, and train the head on them.

    ``trainer.finetune`` adds it. It is active only if results do not change: while everything in the task's
    ``modules_to_freeze()`` is frozen and in eval mode, for stages with deterministic transforms. When a
    strategy unfreezes a module, the samples themselves are used from then on. Scores are the same either way, to
    float tolerance; the saved time is logged.

    Args:
        required: Whether to raise an error if the train features cannot be cached; by default they are then computed
            in each epoch, and the reason is logged.
        memory_budget: Maximum number of bytes of features in RAM; beyond it memory-mapped files are used. Each process
            has its own budget.
        folder: The folder of these files; by default the one for temporary files.

    Raises:
        FinetuningError: If it is ``required`` and not possible; the message has the reason.

    Example:
        >>> FrozenFeatures(memory_budget=2**30).memory_budget
        1073741824
    """

    def __init__(
        self, required: bool = False, memory_budget: int = 2 * 2**30, folder: str | Path | None = None
    ) -> None:
        self.required = required
        self.memory_budget = memory_budget
        self.folder = folder
        self.seconds = 0.0
        self._epochs = 0
        self._data: DataModule | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute the features, if they can be cached."""
        self.seconds, self._epochs, self._data = 0.0, 0, None
        reason = _why_not_cacheable(trainer, pl_module)
        if reason is None:
            assert isinstance(pl_module, Task)
            data: DataModule = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it
            reason = self._compute_all(trainer, pl_module, data)
        if reason is not None and self.required:
            raise FinetuningError(
                f"Expected features of a frozen backbone that can be cached, but {reason}. "
                "Change that, or leave required=True out: then they are computed in each epoch."
            )
        if reason is not None and trainer.is_global_zero and _is_frozen(pl_module):
            # Only its author can make a task define its features.
            is_own = dist_of(type(pl_module).__module__) is None
            declares = isinstance(pl_module, Task) and _declares_features(pl_module)
            level = logging.INFO if is_own or declares else logging.DEBUG
            log.log(level, "The features of the frozen backbone are computed in each epoch: %s.", reason)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Use the samples again if the strategy, which ran just before, has unfrozen a module."""
        if self._data is not None and not _is_frozen(pl_module):
            self._finish(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the epochs that used the features."""
        self._epochs += self._data is not None

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Free the features."""
        self._finish(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Free the features of a run that was interrupted."""
        self._finish(trainer)

    def _finish(self, trainer: pl.Trainer) -> None:
        if self._data is None:
            return
        self._data.clear_features()
        self._data = None
        if trainer.is_global_zero and self._epochs > 1:
            saved = self.seconds * (self._epochs - 1)
            log.info(
                "Frozen features: computed once for %s epochs, which saved about %s.", self._epochs, _duration(saved)
            )

    def _compute_all(self, trainer: pl.Trainer, task: Task, data: DataModule) -> str | None:
        """Cache the features of the train and validation samples; return why those of training cannot be, or None."""
        store = FeatureStore(self.memory_budget, self.folder)
        reasons = {stage: _why_stage_not_cacheable(trainer, data, stage) for stage in (Stage.TRAIN, Stage.VAL)}
        counts = {}
        for stage, reason in reasons.items():
            dataset: Any = data.train_dataset if stage is Stage.TRAIN else data.val_dataset
            if reason is not None or dataset is None:
                continue
            start = time.perf_counter()
            try:
                data.cache_features(stage, _compute(trainer, task, data, dataset, store))
            except _TrainsError:
                data.clear_features()
                return "forward_features uses modules that train; modules_to_freeze has to return all that it uses"
            except OSError as error:
                data.clear_features()
                return f"{store.bytes_in_memory / 1e6:.0f} MB fill the memory budget and on the disk: {error}"
            self.seconds += time.perf_counter() - start
            counts[stage] = len(dataset)
        if counts:
            self._data = data
            self._report(trainer, counts, store)
        return reasons[Stage.TRAIN]

    def _report(self, trainer: pl.Trainer, counts: dict[Stage, int], store: FeatureStore) -> None:
        if trainer.is_global_zero:
            samples = " and ".join(f"{count:,} {stage.value}" for stage, count in counts.items())
            places = {"in memory": store.bytes_in_memory, "on disk": store.bytes_on_disk}
            size = " and ".join(f"{size / 1e6:.1f} MB {where}" for where, size in places.items() if size)
            log.info(
                "Frozen features: the backbone saw %s samples once, in %s; %s. Each further epoch saves that time.",
                samples,
                _duration(self.seconds),
                size,
            )


class _TrainsError(Exception):
    """The features depend on weights that are not frozen."""


def _why_not_cacheable(trainer: pl.Trainer, task: pl.LightningModule) -> str | None:
    """Return why no features can be cached, as the end of a sentence; ``None`` if they can."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it
    if not isinstance(task, Task) or not _declares_features(task):
        return f"{type(task).__name__} does not define its features, with forward_features and forward_head"
    if not _is_frozen(task):
        return "parts of the backbone train"
    if not isinstance(data, DataModule):
        return "the data is not a flash.DataModule"
    hooks = ("on_after_batch_transfer", "transfer_batch_to_device", "on_before_batch_transfer")
    if any(getattr(type(data), hook) is not getattr(DataModule, hook) for hook in hooks):
        return f"{type(data).__name__} overrides the transfer of batches to the device"
    if not isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy):
        return f"the model is sharded over processes by {type(trainer.strategy).__name__}"
    return None


def _why_stage_not_cacheable(trainer: Any, data: DataModule, stage: Stage) -> str | None:
    dataset: Any = data.train_dataset if stage is Stage.TRAIN else data.val_dataset
    limit = trainer.limit_train_batches if stage is Stage.TRAIN else trainer.limit_val_batches
    if limit != 1.0 or trainer.overfit_batches or trainer.fast_dev_run:
        return f"only some of the {stage.value} batches are used"
    if dataset is not None and not isinstance(dataset, AutoDataset):
        return f"the transforms of a {type(dataset).__name__} are unknown"
    if dataset is not None and not dataset.hooks.preprocess.is_deterministic(stage):
        return f"the transforms of the {stage.value} samples are random, or not known not to be"
    return None


def _declares_features(task: Task) -> bool:
    """Return whether the task defines features, and no method overridden by a subclass would receive them."""
    owners = type(task).__mro__

    def place(name: str) -> int:
        return next(number for number, owner in enumerate(owners) if name in vars(owner))

    own = place("forward_features")
    return owners[own] is not Task and all(own <= place(name) for name in _INPUT_METHODS)


# The methods of a task that receive the inputs of a batch.
_INPUT_METHODS = ("forward", "step", "training_step", "validation_step")


def _is_frozen(task: pl.LightningModule) -> bool:
    modules = as_modules(task.modules_to_freeze() if isinstance(task, Task) else None)
    parameters = [parameter for module in modules for parameter in module.parameters()]
    in_eval = not any(child.training for module in modules for child in module.modules())
    return bool(parameters) and in_eval and not any(parameter.requires_grad for parameter in parameters)


def _compute(trainer: pl.Trainer, task: Task, data: DataModule, dataset: AutoDataset, store: FeatureStore) -> Columns:
    rank, processes = trainer.global_rank, trainer.world_size
    # All processes have the same number of rows, so that they can gather the features.
    count = -(-len(dataset) // processes)
    share = [min(place * processes + rank, len(dataset) - 1) for place in range(count)]
    part = dataset.subset(share, dataset.hooks.stage)
    bar: Any = trainer.progress_bar_callback
    shown = trainer.is_global_zero and bar is not None and bar.is_enabled
    cache: Any = None
    title = f"Features ({dataset.hooks.stage.value})"
    # Gradients are tracked, which costs nothing if all weights are frozen, to detect weights that are not.
    batches = predict_batches(
        task,
        part,
        batch_size=data.batch_size,
        num_workers=data.num_workers,
        by_length=True,
        forward=task.forward_features,
        precision=trainer.precision_plugin,
        track_gradients=True,
    )
    with progress_bar(title, len(share), shown=shown, unit="samples") as progress:
        for batch in batches:
            if any(isinstance(leaf, torch.Tensor) and leaf.requires_grad for leaf in tree_leaves(batch.output)):
                raise _TrainsError
            rows, computed = torch.tensor([share[row] for row in batch.rows]), (batch.output, batch.targets)
            if processes > 1:
                rows, computed = _gather(trainer, rows, computed)
            cache = store.allocate(computed, len(dataset)) if cache is None else cache
            write_rows(cache, rows, computed)
            progress.update(len(batch.rows))
    return Columns(cache)


def _gather(trainer: pl.Trainer, rows: torch.Tensor, computed: Any) -> tuple[torch.Tensor, Any]:
    """Gather the row indices and features of all processes."""
    device = trainer.strategy.root_device

    def gather(tensor: torch.Tensor) -> torch.Tensor:
        gathered: torch.Tensor = trainer.strategy.all_gather(tensor.to(device))
        return gathered.flatten(0, 1).cpu()

    return gather(rows), tree_map(gather, computed)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"

"""Features of a frozen backbone, computed once instead of in each epoch."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from flash.core._feature_store import FeatureStore, put
from flash.core.model import Task
from flash.core.prediction import predict_batches
from flash.data.auto_dataset import AutoDataset
from flash.data.columns import Columns
from flash.data.data_module import DataModule
from flash.data.stage import Stage
from flash.download import progress_bar
from flash.errors import FinetuningError

__all__ = ["FrozenFeatures"]

log = logging.getLogger(__name__)


class FrozenFeatures(Callback):
    """Computes what a frozen backbone gives for each sample once, and trains the head on that.

    ``trainer.finetune`` brings it. It acts where nothing can come out differently: while everything in the task's
    ``modules_to_freeze()`` is frozen and in eval mode, for stages whose transforms are deterministic. When a
    strategy thaws something, the samples themselves are used from then on. Scores are the same either way, to
    float tolerance; what is saved is said in the log.

    Args:
        required: Whether it is an error where the train features cannot be kept; by default they are then computed
            anew in each epoch, and the log says why.
        memory_budget: How many bytes of features may be held in memory; what is beyond is in a file that is
            mapped into it. Under several processes each has its own.
        folder: Where that file is made; by default where temporary files are.

    Raises:
        FinetuningError: If it is ``required`` and not possible; the message says why.

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
        """Compute the features, if that can be done."""
        self.seconds, self._epochs, self._data = 0.0, 0, None
        reason = _obstacle(trainer, pl_module)
        if reason is None:
            assert isinstance(pl_module, Task)
            data: DataModule = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it
            reason = self._compute_all(trainer, pl_module, data)
        if reason is not None and self.required:
            raise FinetuningError(
                f"Expected features of a frozen backbone that can be kept, but {reason}. "
                "Change that, or leave required=True out: then they are computed anew in each epoch."
            )
        if reason is not None and trainer.is_global_zero and _is_frozen(pl_module):
            log.info("The frozen backbone computes its features anew in each epoch: %s.", reason)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go back to the samples when the strategy, which ran just before, has thawed something."""
        if self._data is not None and not _is_frozen(pl_module):
            self._finish(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the epochs that used the features."""
        self._epochs += self._data is not None

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let go of the features."""
        self._finish(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Let go of the features of a run that was interrupted."""
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
        """Compute the features of the train and validation samples; return why not, for those of training."""
        store = FeatureStore(self.memory_budget, self.folder)
        reasons = {stage: _obstacle_of_stage(trainer, data, stage) for stage in (Stage.TRAIN, Stage.VAL)}
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
                return "something that forward_features uses trains; modules_to_freeze has to name all that it uses"
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
    """Features depend on weights that are not frozen."""


def _obstacle(trainer: pl.Trainer, task: pl.LightningModule) -> str | None:
    """Why no features can be kept at all, as the end of a sentence; ``None`` if they can."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it
    if not isinstance(task, Task) or not _says_its_features(task):
        return f"{type(task).__name__} does not say what its features are, with forward_features and forward_head"
    if not _is_frozen(task):
        return "parts of the backbone train"
    if not isinstance(data, DataModule):
        return "the samples do not come from a flash.DataModule"
    hooks = ("on_after_batch_transfer", "transfer_batch_to_device", "on_before_batch_transfer")
    if any(getattr(type(data), hook) is not getattr(DataModule, hook) for hook in hooks):
        return f"{type(data).__name__} overrides what happens to batches on their way to the device"
    if not isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy):
        return f"the model is spread over processes by {type(trainer.strategy).__name__}"
    return None


def _obstacle_of_stage(trainer: Any, data: DataModule, stage: Stage) -> str | None:
    dataset: Any = data.train_dataset if stage is Stage.TRAIN else data.val_dataset
    limit = trainer.limit_train_batches if stage is Stage.TRAIN else trainer.limit_val_batches
    if limit != 1.0 or trainer.overfit_batches or trainer.fast_dev_run:
        return f"only some of the {stage.value} batches are used"
    if dataset is not None and not isinstance(dataset, AutoDataset):
        return f"nothing is known of the transforms of a {type(dataset).__name__}"
    if dataset is not None and not dataset.hooks.preprocess.is_deterministic(stage):
        return f"the transforms of the {stage.value} samples are random, or not known not to be"
    return None


def _says_its_features(task: Task) -> bool:
    """Whether the task has features, and no method that a subclass overrides could see them unprepared."""
    owners = type(task).__mro__

    def place(name: str) -> int:
        return next(number for number, owner in enumerate(owners) if name in vars(owner))

    own = place("forward_features")
    return owners[own] is not Task and all(own <= place(name) for name in _SEE_INPUTS)


# The methods of a task that get the inputs of a batch.
_SEE_INPUTS = ("forward", "step", "training_step", "validation_step")


def _is_frozen(task: pl.LightningModule) -> bool:
    chosen = task.modules_to_freeze() if isinstance(task, Task) else None
    modules = [] if chosen is None else [chosen] if isinstance(chosen, nn.Module) else list(chosen)
    parameters = [parameter for module in modules for parameter in module.parameters()]
    resting = not any(child.training for module in modules for child in module.modules())
    return bool(parameters) and resting and not any(parameter.requires_grad for parameter in parameters)


def _compute(trainer: pl.Trainer, task: Task, data: DataModule, dataset: AutoDataset, store: FeatureStore) -> Columns:
    rank, processes = trainer.global_rank, trainer.world_size
    # All processes see equally many rows, so that they can exchange what they computed.
    count = -(-len(dataset) // processes)
    share = [min(place * processes + rank, len(dataset) - 1) for place in range(count)]
    part = dataset.subset(share, dataset.hooks.stage)
    bar: Any = trainer.progress_bar_callback
    shown = trainer.is_global_zero and bar is not None and bar.is_enabled
    room: Any = None
    title = f"Features ({dataset.hooks.stage.value})"
    # Gradients are tracked, which costs nothing where nothing trains: so it shows if something does.
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
                rows, computed = _exchange(trainer, rows, computed)
            room = store.room_for(computed, len(dataset)) if room is None else room
            put(room, rows, computed)
            progress.update(len(batch.rows))
    return Columns(room)


def _exchange(trainer: pl.Trainer, rows: torch.Tensor, computed: Any) -> tuple[torch.Tensor, Any]:
    """What all processes computed."""
    device = trainer.strategy.root_device

    def gather(tensor: torch.Tensor) -> torch.Tensor:
        gathered: torch.Tensor = trainer.strategy.all_gather(tensor.to(device))
        return gathered.flatten(0, 1).cpu()

    return gather(rows), tree_map(gather, computed)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"

"""Restore what Lightning leaves out, so that a resumed run equals one that was never interrupted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import Enum
from typing import Any

import pytorch_lightning as pl
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from flash.data.loader import Loader
from flash.errors import CheckpointError

__all__ = [
    "Position",
    "monitored_values",
    "position_of",
    "resume_loops",
    "states_of_processes",
    "states_of_this_process",
    "unused_gradients",
]

log = logging.getLogger(__name__)


class Position(Enum):
    """The place in a run at which its checkpoint was written."""

    #: Before the last batch of an epoch was done, or where nothing of an epoch is left to do.
    ANYWHERE = "anywhere"
    #: After the last batch of an epoch, before its validation.
    LAST_BATCH = "last batch"
    #: After the validation at the end of an epoch.
    VALIDATION = "validation"
    #: At the end of an epoch, before the schedulers that monitor a value.
    EPOCH_END = "epoch end"


def position_of(loops: dict[str, Any]) -> Position:
    """Return where a run was; if that is after the last batch of an epoch, let it validate and end the epoch.

    ``ModelCheckpoint(every_n_train_steps=...)`` writes such checkpoints, from which Lightning goes on with the next
    epoch: without a validation, the metrics of the epoch and the hooks of its end.

    Args:
        loops: The state of the fit loop in the checkpoint, which is changed.

    Raises:
        CheckpointError: If it is not such a state.
    """
    try:
        return _position_of(loops)
    except (AttributeError, KeyError, TypeError) as error:
        raise CheckpointError(
            "Expected a checkpoint to resume from, but the progress of its run is damaged "
            f"({type(error).__name__}: {error}). Use an earlier checkpoint."
        ) from error


def _position_of(loops: dict[str, Any]) -> Position:
    progress = loops.get("epoch_loop.batch_progress")
    validation = loops.get("epoch_loop.val_loop.batch_progress")
    if progress is not None:
        _forget_what_was_read_ahead(
            loops.get("state_dict", {}).get("combined_loader", []), progress["current"]["ready"]
        )
    if progress is None or validation is None or not progress["is_last_batch"]:
        return Position.ANYWHERE
    total, epochs = progress["total"], loops["epoch_progress"]["total"]
    if epochs["started"] != epochs["ready"] or epochs["completed"] != epochs["started"] - 1:
        return Position.ANYWHERE
    if epochs["processed"] == epochs["started"]:
        return Position.EPOCH_END
    if total["completed"] == total["processed"]:
        return Position.VALIDATION
    for part in ("total", "current"):
        progress[part]["completed"] += 1
    # As in the first batch of a validation.
    validation["total"].update(ready=1, started=1, processed=0, completed=0)
    validation["current"].update(ready=0, started=0, processed=0, completed=0)
    return Position.LAST_BATCH


def _forget_what_was_read_ahead(loaders: list[Any], used: int) -> None:
    """Let loaders yield again what Lightning had read before it was used, with the random numbers of then."""
    for state in loaders:
        if isinstance(state, dict) and isinstance(state.get("batches"), int):
            random = state.pop("random", None)
            if state["batches"] > used:
                state["batches"] = used
                if random is not None:
                    state["random"] = random


def monitored_values(trainer: pl.Trainer) -> dict[str, Tensor]:
    """Return the values that schedulers monitor, as far as they are logged."""
    names = [config.monitor for config in trainer.lr_scheduler_configs if config.reduce_on_plateau]
    return {name: trainer.callback_metrics[name] for name in names if name in trainer.callback_metrics}


def unused_gradients(trainer: pl.Trainer, module: nn.Module) -> dict[str, Tensor]:
    """Return the gradients that no step of the optimizer has used yet, by parameter; usually none.

    ``Trainer(accumulate_grad_batches=...)`` sums those of several batches, and a checkpoint may be written in between.
    """
    if not isinstance(trainer, pl.Trainer):
        return {}
    progress = trainer.fit_loop.epoch_loop.batch_progress
    accumulates = progress.current.ready % trainer.accumulate_grad_batches and not progress.is_last_batch
    if not accumulates:
        return {}
    return {name: each.grad for name, each in module.named_parameters() if each.grad is not None}


def states_of_processes(trainer: pl.Trainer, states: Mapping[str, Any]) -> dict[str, Any]:
    """Return the number of processes of a run, and, if there are several, the states of each.

    Each process calls this at the same time, as it saves a checkpoint.

    Args:
        trainer: The trainer.
        states: Those of this process.
    """
    if trainer.world_size == 1 or not dist.is_initialized():
        return {"world_size": 1}
    gathered: list[Any] = [None] * trainer.world_size
    dist.all_gather_object(gathered, tree_map_only(Tensor, Tensor.cpu, dict(states)))
    return {"world_size": trainer.world_size, "processes": gathered}


def states_of_this_process(trainer: Any, stored: Mapping[str, Any], loops: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the states of this process in a checkpoint; none if the run had another number of processes.

    Args:
        trainer: The trainer of the resumed run.
        stored: The metadata of the checkpoint.
        loops: The state of the fit loop in it.

    Raises:
        CheckpointError: If the number of processes is another one, in the middle of an epoch.
    """
    processes = trainer.world_size if isinstance(trainer, pl.Trainer) else 1
    # Files of 0.1.0 do not say it, and have the states of the first process.
    before = stored.get("world_size")
    if before == processes or (before is None and processes == 1):
        return stored if processes == 1 else stored["processes"][trainer.global_rank]
    if before is None:
        return {}
    progress = loops.get("epoch_loop.batch_progress") or {}
    if progress.get("current", {}).get("ready") and not progress.get("is_last_batch"):
        raise CheckpointError(
            f"Expected {before} process{'es' if before > 1 else ''}, as the run had that was interrupted in the middle "
            f"of an epoch, but got {processes}: which samples of the epoch are left depends on their number. Resume "
            f"with as many devices and nodes, or from a checkpoint of the end of an epoch."
        )
    log.warning(
        "The run that is resumed had %s processes, and this one has %s: the next epochs have other batches.",
        before,
        processes,
    )
    return {}


def resume_loops(trainer: pl.Trainer, position: Position, monitored: Mapping[str, Tensor]) -> None:
    """Restore what Lightning's loops leave out.

    - The states of train loaders that were made before the loops were restored, since a schedule asked for the number
      of steps: the epoch would start again with its first batch.
    - The step of a scheduler that monitors a value, at the end of the epoch that is resumed.
    - The count of the last batch for the loggers.

    Args:
        trainer: The trainer, in its hook ``on_train_start``.
        position: The result of :func:`position_of`.
        monitored: The result of :func:`monitored_values` when the checkpoint was written.
    """
    # Another owner of the loop, such as a solver, resumes it itself.
    if isinstance(trainer, pl.Trainer):
        _load_loader_states(trainer)
    if position in (Position.VALIDATION, Position.EPOCH_END):
        epochs = trainer.current_epoch + (position is Position.VALIDATION)
        for config in trainer.lr_scheduler_configs:
            is_due = config.interval == "epoch" and epochs % config.frequency == 0
            value = monitored.get(config.monitor or "")
            if config.reduce_on_plateau and is_due and value is not None:
                config.scheduler.step(value)  # type: ignore[arg-type]  # ReduceLROnPlateau takes tensors
    elif isinstance(trainer, pl.Trainer):
        loop = trainer.fit_loop
        # In the first epoch of a resumed run, Lightning leaves these schedulers out; here their value is logged in it.
        loop._restarting = False
        assert loop._data_fetcher is not None  # The training starts.
        if position is Position.LAST_BATCH and not loop.epoch_loop._should_check_val_fx(loop._data_fetcher):
            # Counted after the validation of the batch, if there is one.
            loop.epoch_loop._batches_that_stepped += 1


def _load_loader_states(trainer: pl.Trainer) -> None:
    loop = trainer.fit_loop
    states, loaders, fetcher = loop._combined_loader_states_to_load, loop._combined_loader, loop._data_fetcher
    if not states or loaders is None or fetcher is None:
        return
    if loop.restarting:
        loop._load_combined_loader_states()
    else:  # A new epoch starts, and their states are those of the last one.
        for loader, state in zip(loaders.flattened, states, strict=False):
            if isinstance(loader, Loader):
                loader.follow(state)
    iter(fetcher)

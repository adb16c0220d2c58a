"""What a resumed run needs beyond the state that Lightning restores, to equal a run that was never interrupted."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

__all__ = ["end_the_epoch", "resume_loops"]


def end_the_epoch(loops: dict[str, Any]) -> bool:
    """Let the run validate and end the epoch if its checkpoint was written right after the last batch of an epoch.

    ``ModelCheckpoint(every_n_train_steps=...)`` writes such checkpoints, from which Lightning goes on with the next
    epoch: without a validation, the metrics of the epoch and the hooks of its end.

    Args:
        loops: The state of the fit loop in the checkpoint, which is changed.

    Returns:
        Whether it is such a checkpoint.
    """
    progress = loops.get("epoch_loop.batch_progress")
    validation = loops.get("epoch_loop.val_loop.batch_progress")
    if progress is None or validation is None or not progress["is_last_batch"]:
        return False
    total, epochs = progress["total"], loops["epoch_progress"]["total"]
    in_the_epoch = epochs["started"] == epochs["ready"] and epochs["processed"] == epochs["started"] - 1
    if not in_the_epoch or total["completed"] != total["processed"] - 1:
        return False
    for part in ("total", "current"):
        progress[part]["completed"] += 1
    # As in the first batch of a validation.
    validation["total"].update(ready=1, started=1, processed=0, completed=0)
    validation["current"].update(ready=0, started=0, processed=0, completed=0)
    return True


def resume_loops(trainer: pl.Trainer, *, ends_epoch: bool) -> None:
    """Restore what Lightning's loops leave out: the states of loaders that were made before, and a step of the loggers.

    A schedule that asks for the number of steps has the loaders made before the loops are restored, and Lightning does
    not load their states later: the epoch would start again with its first batch.

    Args:
        trainer: The trainer, in its hook ``on_train_start``.
        ends_epoch: The result of :func:`end_the_epoch`.
    """
    loop = trainer.fit_loop
    loaders, fetcher = loop._combined_loader, loop._data_fetcher
    assert fetcher is not None  # The training starts.
    if loop._combined_loader_states_to_load and loaders is not None:
        loop._load_combined_loader_states()
        iter(fetcher)
    if ends_epoch and not loop.epoch_loop._should_check_val_fx(fetcher):
        # Counted after the validation of the batch, if there is one.
        loop.epoch_loop._batches_that_stepped += 1

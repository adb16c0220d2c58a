"""Convert the state of a TaskSolver to and from the checkpoint format of Lightning's Trainer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loops.fit_loop import _FitLoop

from flash.errors import CheckpointError
from flash.solver.trainer_shim import TrainerShim

__all__ = ["MetricsState", "completed_epochs", "loops_state"]


def loops_state(shim: TrainerShim, epochs: int) -> dict[str, Any]:
    """Return the state that Lightning's loops would have after ``epochs`` epochs, so that its Trainer can resume."""
    loop: Any = _FitLoop(shim, max_epochs=shim.max_epochs)  # type: ignore[arg-type]  # it is only stored
    steps = shim.global_step
    per_epoch = steps // epochs if epochs else 0
    for progress, total, current in (
        (loop.epoch_progress, epochs, epochs),
        (loop.epoch_loop.batch_progress, steps, per_epoch),
    ):
        for part, value in ((progress.total, total), (progress.current, current)):
            part.ready = part.started = part.processed = part.completed = value
    loop.epoch_loop.batch_progress.is_last_batch = True
    loop.epoch_loop._batches_that_stepped = steps
    step = loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step
    step.total.ready = step.total.completed = steps
    step.current.ready = step.current.completed = per_epoch
    return {"fit_loop": loop.state_dict()}


def completed_epochs(checkpoint: Mapping[str, Any]) -> int:
    """Return the number of completed epochs in a checkpoint of Lightning's Trainer.

    Raises:
        CheckpointError: If it was written in the middle of an epoch.
    """
    loop = checkpoint.get("loops", {}).get("fit_loop")
    if loop is None:
        return int(checkpoint.get("epoch", -1)) + 1
    epochs, batches = loop["epoch_progress"]["current"], loop["epoch_loop.batch_progress"]
    if batches["current"]["ready"] > 0 and not batches["is_last_batch"]:
        raise CheckpointError(
            f"Expected a checkpoint from the end of an epoch, but got one that Lightning's Trainer wrote in the middle "
            f"of epoch {epochs['started']}. Resume it with Lightning's Trainer: trainer.fit(ckpt_path=...)."
        )
    # Checkpoint callbacks run before the epoch that has just ended is counted as completed.
    return int(epochs["started"])


class MetricsState:
    """The accumulated metrics of a stage, as state that a resumable loop carries.

    Args:
        metrics: The task's ``StageMetrics``; ``None`` for a module that has none.
        shim: The shim with the values that the task logged.
    """

    def __init__(self, metrics: Any, shim: TrainerShim) -> None:
        self.metrics = metrics
        self.shim = shim

    def state_dict(self) -> dict[str, Any]:
        """Return the accumulated metrics, and the sums of the logged values."""
        state: dict[str, Any] = {"logged": {name: list(total) for name, total in self.shim.logged.items()}}
        if self.metrics is not None:
            state["metrics"] = self.metrics.accumulated()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the accumulated metrics and the sums of the logged values."""
        self.shim.logged = {name: list(total) for name, total in state["logged"].items()}
        if self.metrics is not None:
            self.metrics.restore(state["metrics"], self.shim.fabric.device)

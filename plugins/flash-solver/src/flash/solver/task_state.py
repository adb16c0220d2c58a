"""The checkpoint of a task that a solver trains: the same file that Lightning's Trainer writes and reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loops.fit_loop import _FitLoop

from flash.errors import CheckpointError
from flash.solver.task_run import TaskRun

__all__ = ["MetricsState", "epochs_of", "loops_state"]


def loops_state(run: TaskRun, epochs: int) -> dict[str, Any]:
    """Return where Lightning's loops would be after so many epochs, so that its Trainer can go on."""
    loop: Any = _FitLoop(run, max_epochs=run.max_epochs)  # type: ignore[arg-type]  # it only keeps it
    steps = run.global_step
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


def epochs_of(checkpoint: Mapping[str, Any]) -> int:
    """Return how many epochs Lightning's Trainer had trained when it wrote a checkpoint.

    Raises:
        CheckpointError: If it was in the middle of one.
    """
    loop = checkpoint.get("loops", {}).get("fit_loop")
    if loop is None:
        return int(checkpoint.get("epoch", -1)) + 1
    epochs, batches = loop["epoch_progress"]["current"], loop["epoch_loop.batch_progress"]
    if batches["current"]["ready"] > 0 and not batches["is_last_batch"]:
        raise CheckpointError(
            f"Expected a checkpoint from the end of an epoch, but this one was written in the middle of epoch "
            f"{epochs['started']} by Lightning's Trainer, which alone can go on with it: trainer.fit(ckpt_path=...)."
        )
    # Callbacks write before the epoch that has just ended counts as completed.
    return int(epochs["started"])


class MetricsState:
    """What the metrics of a stage have taken in so far, as state that a loop carries.

    Args:
        metrics: The task's ``StageMetrics``; ``None`` for a module that has none.
        run: Has the means of what the task logged by itself.
    """

    def __init__(self, metrics: Any, run: TaskRun) -> None:
        self.metrics = metrics
        self.run = run

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of the metrics, and the steps that they have not seen yet."""
        state: dict[str, Any] = {"logged": {name: list(total) for name, total in self.run.logged.items()}}
        if self.metrics is not None:
            state["metrics"] = self.metrics.accumulated()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another process was."""
        self.run.logged = {name: list(total) for name, total in state["logged"].items()}
        if self.metrics is not None:
            self.metrics.restore(state["metrics"], self.run.fabric.device)

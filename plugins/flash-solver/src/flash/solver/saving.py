"""What a solver saves and restores: all registered state, at the end of an epoch or in the middle of a stage."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from torch import nn

from flash.serialization import capture_rng_state, restore_rng_state, write_checkpoint
from flash.solver import distrib
from flash.solver.checkpoint import CheckpointWriter, read_checkpoint
from flash.solver.errors import SolverError, StateError
from flash.solver.loop import StageRun
from flash.solver.plain import plain_metrics, to_safe
from flash.solver.policy import CheckpointPolicy, best_path
from flash.solver.state import AttributeWrapper, StateDict, StateManager
from flash.solver.utils import AnyPath

__all__ = ["Saving"]

# Beside the registered state: what belongs to the run and not to the program.
_RUNTIME = "_flash"
_FORMAT = 1


class Saving:
    """The half of a solver that has to do with files.

    Args:
        xp: The experiment.
        logger: Where messages go.
        asynchronous: Whether checkpoints are written while training goes on.
    """

    def __init__(self, xp: Any, logger: logging.Logger, asynchronous: bool) -> None:
        self.stateful = StateManager()
        self.xp = xp
        self.logger = logger
        self.asynchronous = asynchronous
        self.checkpoint_policy: CheckpointPolicy | None = None
        self._stage_run: StageRun | None = None
        # Of an epoch that was interrupted: the stages that need not run again, and where the unfinished one is.
        self._finished_stages: set[str] = set()
        self._resume: dict[str, Any] | None = None
        self._writer = CheckpointWriter()
        self.register_stateful("history")

    def _start_epoch(self) -> None:
        """Forget the metrics of the epoch before. Subclasses that write ``commit`` themselves call it."""
        self._pending_metrics: dict[str, Any] = {}

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        return Path(self.xp.folder)

    @property
    def checkpoint_path(self) -> Any:
        """The file of the newest checkpoint. A subclass may make it a method."""
        return self.folder / "checkpoint.th"

    def _checkpoint_file(self) -> Path:
        path: Any = self.checkpoint_path
        return Path(path() if callable(path) else path)

    @property
    def history(self) -> list[dict[str, Any]]:
        """The metrics of all epochs that were committed: ``[{stage: {metric: value}}]``."""
        history: list[dict[str, Any]] = self.xp.link.history
        return history

    @property
    def epoch(self) -> int:
        """The number of this epoch, from 1."""
        return len(self.history) + 1

    # ------------------------------------------------------------------ state

    def register_stateful(self, *names: str, write_only: bool = False) -> None:
        """Make attributes part of the checkpoint.

        Args:
            names: Attributes, also of attributes (``"xp.cfg"``): modules, optimizers, schedulers, random generators,
                lists, dicts, tensors, numbers, anything plain. The last part may be set later.
            write_only: Whether they are saved only, and never loaded.

        Raises:
            AttributeError: If an attribute on the way does not exist.
            StateError: If a name is registered already.
        """
        for name in names:
            *path, leaf = name.split(".")
            owner: Any = self
            for part in path:
                owner = getattr(owner, part)
            self.stateful.register(name, AttributeWrapper(owner, leaf), write_only)

    def state_dict(self) -> StateDict:
        """Return all registered state, by name."""
        return self.stateful.state_dict()

    def load_state_dict(self, state: StateDict, strict: bool = True, ignore: Collection[str] = ()) -> None:
        """Load all registered state; arguments as of ``StateManager.load_state_dict``."""
        self.stateful.load_state_dict(state, strict=strict, ignore=ignore)

    def keep_checkpoints(
        self,
        last: int | None = None,
        every: int | None = None,
        best: str | None = None,
        mode: Literal["min", "max"] = "min",
    ) -> None:
        """Keep more than the newest checkpoint; arguments as of :class:`~flash.solver.policy.CheckpointPolicy`."""
        self.checkpoint_policy = CheckpointPolicy(last, every, best, mode)

    def commit(self, save_checkpoint: bool = True, wait: bool | None = None) -> None:
        """End the epoch: its metrics join the history, and everything is saved. All processes call it.

        Args:
            save_checkpoint: Whether a checkpoint is written. Without one, a restart goes back to the last that was.
            wait: Whether this call returns only when the checkpoint is on the disk; by default unless the solver is
                asynchronous.

        Raises:
            CheckpointError: If it, or the last one in the background, could not be written. The epoch is then not
                committed.
        """
        self._finish_writing()
        self.history.append(plain_metrics(self._pending_metrics))
        try:
            if save_checkpoint:
                self._save({}, not self.asynchronous if wait is None else wait)
            elif distrib.is_rank_zero():
                self.xp.link.update_history(list(self.history))
        except BaseException:
            self.history.pop()
            raise
        self._finished_stages = set()
        self._resume = None
        self._start_epoch()

    def wait_for_checkpoint(self) -> None:
        """Wait until the last checkpoint is on the disk, and raise what went wrong."""
        self._finish_writing()

    def _finish_writing(self) -> None:
        error: BaseException | None = None
        try:
            self._writer.wait()
        except Exception as caught:
            error = caught
        distrib.agree(error, "write the checkpoint before")

    def _commit_partial(self, position: dict[str, Any] | None, stops: bool) -> None:
        """Save everything in the middle of a stage, or after one, so that the epoch can be gone on with."""
        run = self._stage_run
        assert run is not None
        if position is not None:
            gradients = self._gradients()
            position = {**position, "elapsed": time.perf_counter() - run.begin, "gradients": gradients}
        self._finish_writing()
        self._save({"stage": run.name, "position": position}, wait=stops or not self.asynchronous)
        if stops:
            self.logger.info("Asked to stop: saved epoch %d in the stage %s.", self.epoch, run.name)

    def _gradients(self) -> dict[str, Any]:
        """What was accumulated and not yet used, by module and parameter; usually nothing."""
        found = {}
        for name, module in self._modules():
            gradients = {key: value.grad for key, value in module.named_parameters() if value.grad is not None}
            if gradients:
                found[name] = gradients
        return found

    def _modules(self) -> list[tuple[str, nn.Module]]:
        values = {
            name: getattr(source.owner, source.name, None)
            for name, source in self.stateful.sources.items()
            if isinstance(source, AttributeWrapper)
        }
        return [(name, value) for name, value in values.items() if isinstance(value, nn.Module)]

    def _save(self, partial: dict[str, Any], wait: bool) -> None:
        """Write the checkpoint and, of a whole epoch, the history; all processes succeed or fail together."""
        mine = {"random": capture_rng_state(), "position": partial.get("position")}
        ranks = distrib.gather_objects(to_safe(mine))
        error: BaseException | None = None
        if distrib.is_rank_zero():
            try:
                state = to_safe({**self.state_dict(), _RUNTIME: self._runtime(ranks, partial)}, copy=not wait)
                history = list(self.history)
                self._writer.run(lambda: self._write(state, history, bool(partial)), in_background=not wait)
            except Exception as caught:
                error = caught
        distrib.agree(error, "write the checkpoint")

    def _runtime(self, ranks: list[Any], partial: Mapping[str, Any]) -> dict[str, Any]:
        pending = plain_metrics(self._pending_metrics) if partial else {}
        return {
            "format": _FORMAT,
            "id": uuid.uuid4().hex,
            "ranks": ranks,
            "stage": partial.get("stage"),
            "pending": pending,
        }

    def _write(self, state: dict[str, Any], history: list[dict[str, Any]], is_partial: bool) -> None:
        path = self._checkpoint_file()
        write_checkpoint(state, path)
        if is_partial:
            return
        if self.checkpoint_policy is not None:
            self.checkpoint_policy.apply(path, history)
        self.xp.link.update_history(history)

    def restore(
        self,
        path: AnyPath | None = None,
        *,
        best: bool = False,
        strict: bool = True,
        ignore: Collection[str] = (),
    ) -> bool:
        """Go on from a checkpoint, if there is one. All processes call it, and the first one decides for all.

        Args:
            path: The file; by default the newest one of this solver. Files of Flashy will do.
            best: Whether the best one is taken instead (see :meth:`keep_checkpoints`).
            strict: Whether state that only the file or only the solver knows is an error.
            ignore: Names of state to leave alone.

        Returns:
            Whether there was one.

        Raises:
            CheckpointError: If the file cannot be read, or holds other state than is registered.
            DistributedError: If the processes do not see the same file.
        """
        self._finish_writing()
        newest = self._checkpoint_file() if path is None else Path(path)
        wanted = best_path(newest) if best else newest
        found = distrib.broadcast_object(wanted.is_file() if distrib.is_rank_zero() else None)
        if not found:
            return False
        error: BaseException | None = None
        checkpoint: dict[str, Any] = {}
        try:
            checkpoint = read_checkpoint(wanted)
        except Exception as caught:
            error = caught
        distrib.agree(error, f"read {wanted}")
        runtime = checkpoint.pop(_RUNTIME, {})
        ids = distrib.gather_objects((runtime.get("id"), len(checkpoint.get("history", []))))
        if any(other != ids[0] for other in ids):
            error = SolverError(
                f"Expected all processes to read the same checkpoint, but {wanted} is another one for some of them. "
                "Put the folder on a file system that they share."
            )
        try:
            if error is None:
                self.load_state_dict(checkpoint, strict=strict, ignore=ignore)
                self._load_runtime(runtime)
        except Exception as caught:
            error = _readable(caught, wanted)
        # Nobody goes on, and perhaps writes a new file, before all have read this one.
        distrib.agree(error, f"load {wanted}")
        return True

    def _load_runtime(self, runtime: dict[str, Any]) -> None:
        self._start_epoch()
        self._finished_stages, self._resume = set(), None
        ranks = runtime.get("ranks", [])
        if len(ranks) != distrib.world_size():
            if ranks:
                self.logger.warning(
                    "The checkpoint was written by %d processes, and now there are %d: their random numbers differ.",
                    len(ranks),
                    distrib.world_size(),
                )
            if runtime.get("stage"):
                raise StateError(
                    f"Expected {len(ranks)} processes to go on in the middle of the stage {runtime['stage']!r}, but "
                    f"there are {distrib.world_size()}. Start as many, or go on from an earlier checkpoint."
                )
            return
        mine = ranks[distrib.rank()]
        restore_rng_state(mine["random"])
        if runtime["stage"] is None:
            return
        self._pending_metrics = runtime["pending"]
        self._finished_stages = set(runtime["pending"])
        position = mine["position"]
        if position is not None:
            self._resume = {"stage": runtime["stage"], **position}
            self._load_gradients(position["gradients"])

    def _load_gradients(self, gradients: Mapping[str, Mapping[str, Any]]) -> None:
        for name, module in self._modules():
            for key, parameter in module.named_parameters():
                value = gradients.get(name, {}).get(key)
                parameter.grad = None if value is None else value.to(parameter.device)


def _readable(error: Exception, path: Path) -> Exception:
    """Weights that do not fit are an error of the file, not of torch."""
    if isinstance(error, RuntimeError | KeyError | ValueError) and not isinstance(error, StateError | SolverError):
        reason = str(error).rstrip(".")
        return StateError(
            f"Expected a checkpoint of the same model and optimizer, but the state in {path} does not fit: {reason}. "
            "Build them as the program that wrote it did, or leave some out with restore(ignore=[...])."
        )
    return error

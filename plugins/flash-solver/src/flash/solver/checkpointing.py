"""Save and restore the registered state of a solver, at the end of an epoch or in the middle of a stage."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from flash.core.run_state import check_optimizer
from flash.errors import CheckpointError, FlashError
from flash.serialization import write_checkpoint
from flash.solver import distrib
from flash.solver.checkpoint import CheckpointWriter, read_checkpoint
from flash.solver.errors import SolverError, StateError
from flash.solver.loop import RandomStates, StageRun
from flash.solver.policy import CheckpointPolicy, best_path
from flash.solver.serialization import metrics_to_json, state_to_serializable
from flash.solver.state import AttributeWrapper, StateDict, StateManager
from flash.solver.utils import AnyPath, explaining_write_errors

__all__ = ["Checkpointing"]

# The key of the state of the run itself (RNG states, position), beside the registered state.
_RUN_KEY = "_flash"
_FORMAT = 1
# What torch and Python raise for state of another model or program.
_MISMATCHES = (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError)


class Checkpointing:
    """Base class of solvers that registers state, and saves and loads it.

    Args:
        xp: The experiment.
        logger: The logger of the solver.
        asynchronous: Whether checkpoints are written in a background thread.
    """

    def __init__(self, xp: Any, logger: logging.Logger, asynchronous: bool) -> None:
        self.stateful = StateManager()
        self.xp = xp
        self.logger = logger
        self.asynchronous = asynchronous
        self.checkpoint_policy: CheckpointPolicy | None = None
        self._stage_run: StageRun | None = None
        # Of an interrupted epoch: the stages to skip, and the position in the unfinished one.
        self._finished_stages: set[str] = set()
        self._resume: dict[str, Any] | None = None
        self._random = RandomStates(self._generators)
        # Random states at the beginning of the epoch and of the running stage, and at the end of each finished stage:
        # what an interrupted program draws there, it draws again when it is resumed.
        self._epoch_begin: dict[str, Any] = {}
        self._stage_begin: dict[str, Any] = {}
        self._stage_ends: dict[str, Any] = {}
        self._writer = CheckpointWriter()
        # The checkpoint that the run goes on from, whose state may turn out to be damaged when it is used.
        self._restored_from: AnyPath | None = None
        self.register_stateful("history")

    def _start_epoch(self) -> None:
        """Clear the metrics of the previous epoch. Subclasses that override ``commit`` must call it."""
        self._pending_metrics: dict[str, Any] = {}
        self._stage_ends = {}
        self._epoch_begin = self._random.capture()

    @property
    def folder(self) -> Path:
        """The output folder."""
        return Path(self.xp.folder)

    @property
    def checkpoint_path(self) -> Any:
        """The path of the newest checkpoint. A subclass may define it as a method."""
        return self.folder / "checkpoint.th"

    def _checkpoint_file(self) -> Path:
        path: Any = self.checkpoint_path
        return Path(path() if callable(path) else path)

    @property
    def history(self) -> list[dict[str, Any]]:
        """The metrics of all committed epochs: ``[{stage: {metric: value}}]``."""
        history: list[dict[str, Any]] = self.xp.link.history
        return history

    @property
    def epoch(self) -> int:
        """The number of the current epoch, from 1."""
        return len(self.history) + 1

    # ------------------------------------------------------------------ state

    def register_stateful(self, *names: str, write_only: bool = False) -> None:
        """Register attributes as state to save in checkpoints.

        Args:
            names: Attributes, also nested ones (``"xp.cfg"``): modules, optimizers, schedulers, random generators,
                lists, dicts, tensors, numbers, any serializable value. The last part may be set later.
            write_only: Whether they are only saved, and never loaded.

        Raises:
            AttributeError: If a parent of a nested attribute does not exist.
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
        history = state.get("history", [])
        if not isinstance(history, list) or not all(isinstance(epoch, dict) for epoch in history):
            raise StateError(
                f"Expected the history in a checkpoint to be a list of epochs, but got a {type(history).__name__} of "
                "something else. The checkpoint is damaged: use an earlier one."
            )
        self.stateful.load_state_dict(state, strict=strict, ignore=ignore)

    def keep_checkpoints(
        self,
        last: int | None = None,
        every: int | None = None,
        best: str | None = None,
        mode: Literal["min", "max"] = "min",
    ) -> None:
        """Keep more checkpoints than the newest; arguments as of :class:`~flash.solver.policy.CheckpointPolicy`."""
        self.checkpoint_policy = CheckpointPolicy(last, every, best, mode)

    def commit(self, save_checkpoint: bool = True, wait: bool | None = None) -> None:
        """End the epoch: append its metrics to the history, and write a checkpoint. All processes must call it.

        Args:
            save_checkpoint: Whether a checkpoint is written. Without one, a restart resumes from the last one.
            wait: Whether to block until the checkpoint is on disk; by default True unless the solver is asynchronous.

        Raises:
            CheckpointError: If this checkpoint, or the previous one in the background, could not be written. The
                epoch is then not committed.
        """
        self._finish_writing()
        self.history.append(metrics_to_json(self._pending_metrics))
        try:
            if save_checkpoint:
                self._save({}, not self.asynchronous if wait is None else wait)
            elif distrib.is_rank_zero():
                self._write_history(list(self.history))
        except BaseException:
            self.history.pop()
            raise
        self._finished_stages = set()
        self._resume = None
        self._start_epoch()

    def wait_for_checkpoint(self) -> None:
        """Block until the last checkpoint is on disk, and raise its error, if any."""
        self._finish_writing()

    def _finish_writing(self) -> None:
        error: BaseException | None = None
        try:
            self._writer.wait()
        except Exception as caught:
            error = caught
        distrib.raise_on_all_ranks(error, "write the previous checkpoint")

    def _commit_partial(self, position: dict[str, Any] | None, stops: bool) -> None:
        """Write a checkpoint in the middle of a stage, or after one, so that the epoch can be resumed."""
        run = self._stage_run
        assert run is not None
        if position is not None:
            gradients = self._gradients()
            elapsed = time.perf_counter() - run.begin
            position = {**position, "elapsed": elapsed, "gradients": gradients, "begin": self._stage_begin}
        self._finish_writing()
        self._save({"stage": run.name, "position": position}, wait=stops or not self.asynchronous)
        if stops:
            self.logger.info("Asked to stop: saved epoch %d in the stage %s.", self.epoch, run.name)

    def _gradients(self) -> dict[str, Any]:
        """Return accumulated gradients that no optimizer step has used yet, by module and parameter; usually none."""
        found = {}
        for name, module in self._modules():
            gradients = {key: value.grad for key, value in module.named_parameters() if value.grad is not None}
            if gradients:
                found[name] = gradients
        return found

    def _modules(self) -> list[tuple[str, nn.Module]]:
        return [(name, value) for name, value in self._attributes().items() if isinstance(value, nn.Module)]

    def _generators(self) -> dict[str, torch.Generator]:
        return {name: value for name, value in self._attributes().items() if isinstance(value, torch.Generator)}

    def _attributes(self) -> dict[str, Any]:
        """Return the registered attributes by name; ``None`` for one that is not set yet."""
        return {
            name: getattr(source.owner, source.name, None)
            for name, source in self.stateful.sources.items()
            if isinstance(source, AttributeWrapper)
        }

    def _enter_end_of(self, stage: str) -> None:
        """Restore the random states of the end of a stage that is skipped; older files do not have them."""
        if stage in self._stage_ends:
            self._random.restore(self._stage_ends[stage])

    def _save(self, partial: dict[str, Any], wait: bool) -> None:
        """Write the checkpoint and, at the end of an epoch, the history; all processes succeed or raise together."""
        of_rank = {"random": self._random.capture(), "position": partial.get("position")}
        if partial:
            of_rank |= {"epoch": self._epoch_begin, "ends": self._stage_ends}
        ranks = distrib.gather_objects(state_to_serializable(of_rank))
        error: BaseException | None = None
        if distrib.is_rank_zero():
            try:
                state = state_to_serializable(
                    {**self.state_dict(), _RUN_KEY: self._runtime(ranks, partial)}, copy=not wait
                )
                history = list(self.history)
                self._writer.run(lambda: self._write(state, history, bool(partial)), in_background=not wait)
            except Exception as caught:
                error = caught
        distrib.raise_on_all_ranks(error, "write the checkpoint")

    def _runtime(self, ranks: list[Any], partial: Mapping[str, Any]) -> dict[str, Any]:
        pending = metrics_to_json(self._pending_metrics) if partial else {}
        return {
            "format": _FORMAT,
            "id": uuid.uuid4().hex,
            "ranks": ranks,
            "stage": partial.get("stage"),
            "pending": pending,
        }

    def _write(self, state: dict[str, Any], history: list[dict[str, Any]], is_partial: bool) -> None:
        path = self._checkpoint_file()
        write_checkpoint(state, path, folder_argument="BaseSolver(folder=...)")
        if is_partial:
            return
        if self.checkpoint_policy is not None:
            with explaining_write_errors(path.with_name(f"{path.stem}_{len(history)}{path.suffix}")):
                self.checkpoint_policy.apply(path, history)
        self._write_history(history)

    def _write_history(self, history: list[dict[str, Any]]) -> None:
        with explaining_write_errors(self.folder / "history.json"):
            self.xp.link.update_history(history)

    def restore(
        self,
        path: AnyPath | None = None,
        *,
        best: bool = False,
        strict: bool = True,
        ignore: Collection[str] = (),
    ) -> bool:
        """Load a checkpoint, if there is one. All processes must call it; rank 0 decides whether the file exists.

        Args:
            path: A file that exists, or an http(s) URL; by default the newest checkpoint of this solver, if there is
                one. Checkpoints of Flashy are accepted.
            best: Whether to load the best checkpoint instead (see :meth:`keep_checkpoints`).
            strict: Whether missing or unexpected names of state are an error.
            ignore: Names of state not to load.

        Returns:
            Whether a checkpoint was loaded; false only without ``path``.

        Raises:
            CheckpointError: If the file cannot be read, if there is none at ``path``, or if its state does not match
                the registered state.
            DistributedError: If the processes do not see the same file.
        """
        self._finish_writing()
        newest = self._checkpoint_file() if path is None else path
        wanted = best_path(Path(newest)) if best else newest
        error: BaseException | None = None
        found = True
        try:
            if path is None and distrib.is_rank_zero():
                found = _is_there(Path(wanted))
        except CheckpointError as caught:
            error = caught
        distrib.raise_on_all_ranks(error, f"look for {wanted}")
        if not distrib.broadcast_object(found if distrib.is_rank_zero() else None):
            self._epoch_begin = self._random.capture()
            return False
        checkpoint: dict[str, Any] = {}
        runtime: dict[str, Any] = {}
        try:
            checkpoint = read_checkpoint(wanted)
            runtime = checkpoint.pop(_RUN_KEY, {})
            _check_run(runtime, wanted)
        except Exception as caught:
            error = caught
        distrib.raise_on_all_ranks(error, f"read {wanted}")
        history = checkpoint.get("history")
        epochs = len(history) if isinstance(history, list) else 0
        ids = distrib.gather_objects((runtime.get("id"), epochs))
        if any(other != ids[0] for other in ids):
            error = SolverError(
                f"Expected all processes to read the same checkpoint, but {wanted} is another one for some of them. "
                "Put the folder on a file system that they share."
            )
        try:
            if error is None:
                self._restored_from = wanted
                self.load_state_dict(checkpoint, strict=strict, ignore=ignore)
                for optimizer in self._optimizers_registered():
                    check_optimizer(optimizer, wanted)
                self._load_runtime(runtime)
        except Exception as caught:
            error = _load_error(caught, wanted)
        # A barrier: no process may continue, and overwrite the file, before all have read it.
        distrib.raise_on_all_ranks(error, f"load {wanted}")
        return True

    def _load_runtime(self, runtime: dict[str, Any]) -> None:
        self._start_epoch()
        self._finished_stages, self._resume = set(), None
        ranks = runtime.get("ranks", [])
        if len(ranks) != distrib.world_size():
            if ranks:
                self.logger.warning(
                    "The checkpoint was written by %d processes, and now there are %d: RNG states are not restored.",
                    len(ranks),
                    distrib.world_size(),
                )
            if runtime.get("stage"):
                raise StateError(
                    f"Expected {len(ranks)} processes to resume in the middle of the stage {runtime['stage']!r}, but "
                    f"got {distrib.world_size()}. Start as many, or restore an earlier checkpoint."
                )
            return
        mine = ranks[distrib.rank()]
        # An epoch is gone through again from its beginning. Older files have the random states of its middle only.
        self._random.restore(mine.get("epoch", mine["random"]))
        self._epoch_begin = self._random.capture()
        if runtime["stage"] is None:
            return
        self._pending_metrics = runtime["pending"]
        self._finished_stages = set(runtime["pending"])
        self._stage_ends = dict(mine.get("ends", {}))
        position = mine["position"]
        if position is not None:
            self._resume = {"stage": runtime["stage"], **position}
            self._load_gradients(position["gradients"])

    def _optimizers_registered(self) -> list[torch.optim.Optimizer]:
        sources = self.stateful.sources.values()
        values = [getattr(each.owner, each.name) if isinstance(each, AttributeWrapper) else each for each in sources]
        return [value for value in values if isinstance(value, torch.optim.Optimizer)]

    def _load_gradients(self, gradients: Mapping[str, Mapping[str, Any]]) -> None:
        for name, module in self._modules():
            for key, parameter in module.named_parameters():
                value = gradients.get(name, {}).get(key)
                parameter.grad = None if value is None else value.to(parameter.device)


def _is_there(path: Path) -> bool:
    """Return whether anything is at a path, if only a folder or a link to nothing: reading it says what is wrong."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    except NotADirectoryError as error:
        raise CheckpointError(
            f"Expected a folder for checkpoints at {path.parent}, but it is not one, or below a file. Choose another "
            "folder with BaseSolver(folder=...)."
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"Expected a checkpoint at {path}, or none, but the folder cannot be read: {error}. Choose another folder "
            "with BaseSolver(folder=...)."
        ) from error
    return True


def _check_run(runtime: Any, path: AnyPath) -> None:
    """Check the kinds of values in the state of the run."""
    kinds: dict[str, Any] = {"format": int, "id": str, "ranks": list, "pending": dict, "stage": str | None}
    if not isinstance(runtime, dict) or (
        runtime and not all(name in runtime and isinstance(runtime[name], kind) for name, kind in kinds.items())
    ):
        raise CheckpointError(
            f"Expected a checkpoint of a solver, but the state of the run in {path} is damaged. Use an earlier "
            "checkpoint."
        )
    if runtime.get("format", _FORMAT) > _FORMAT:
        raise CheckpointError(
            f"Expected a checkpoint of this flash-solver or an older one, but {path} was written by a later one: pip "
            "install --upgrade flash-solver."
        )


def _load_error(error: Exception, path: AnyPath) -> Exception:
    """Convert torch's errors of mismatched state into a StateError that names the file."""
    if isinstance(error, _MISMATCHES) and not isinstance(error, FlashError):
        reason = str(error).rstrip(".")
        found = StateError(
            f"Expected a checkpoint of the same model and optimizer, but the state in {path} does not fit: {reason}. "
            "Build them as in the program that wrote it, or ignore some with restore(ignore=[...])."
        )
        found.__cause__ = error
        return found
    return error

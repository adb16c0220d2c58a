"""BaseSolver: stages, metrics and checkpoints of a training, and nothing else."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sized
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from torch import nn

from flash.solver import distrib
from flash.solver.checkpoint import CheckpointWriter, read_checkpoint, write_checkpoint
from flash.solver.errors import Interrupted, SolverError, StateError
from flash.solver.formatter import Formatter
from flash.solver.logging import LogProgressBar, ResultLogger
from flash.solver.loop import ResumableLoop, StageRun, agree_to_save
from flash.solver.plain import plain_metrics, to_safe
from flash.solver.policy import CheckpointPolicy, best_path
from flash.solver.randomness import capture_random_state, restore_random_state
from flash.solver.sampling import set_epoch
from flash.solver.state import AttributeWrapper, StateDict, StateManager
from flash.solver.utils import AnyPath
from flash.solver.xp import FolderXP, get_xp

__all__ = ["BaseSolver"]

# Beside the registered state: what belongs to the run and not to the program.
_RUNTIME = "_flash"
_FORMAT = 1


class BaseSolver:
    """Runs the stages of epochs, reports their metrics, and saves and restores what is registered as state.

    A subclass sets its modules and optimizers as attributes, registers them, and writes ``run``. Everything in here
    can be overridden.

    Args:
        folder: Where everything goes. By default that of the experiment that :func:`~flash.solver.hydra_main` or
            Dora started.
        asynchronous: Whether checkpoints are written while training goes on. What went wrong is raised at the next
            commit, or by :meth:`wait_for_checkpoint`.

    Raises:
        SolverError: If there is neither a folder nor an experiment.

    Example:
        >>> import tempfile, torch
        >>> class Solver(BaseSolver):
        ...     def __init__(self, folder):
        ...         super().__init__(folder)
        ...         self.model = nn.Linear(2, 1)
        ...         self.optim = torch.optim.SGD(self.model.parameters(), lr=0.1)
        ...         self.register_stateful("model", "optim")
        ...     def run(self, epochs):
        ...         self.restore()
        ...         for epoch in range(self.epoch, epochs + 1):
        ...             self.run_stage("train", self.train)
        ...             self.commit()
        ...     def train(self):
        ...         loss = self.model(torch.ones(4, 2)).pow(2).mean()
        ...         loss.backward()
        ...         self.optim.step()
        ...         self.optim.zero_grad()
        ...         return {"loss": loss.item()}
        >>> folder = tempfile.mkdtemp()
        >>> Solver(folder).run(2)
        >>> again = Solver(folder)
        >>> again.restore(), again.epoch
        (True, 3)
    """

    #: The logger of all solvers. Programs configure it by this name, which is that of Flashy.
    logger_name = "flashy.solver"

    def __init__(self, folder: AnyPath | None = None, *, asynchronous: bool = False) -> None:
        self.stateful = StateManager()
        self.xp: Any = get_xp() if folder is None else FolderXP(folder)
        self.register_stateful("history")
        if folder is None:
            self.register_stateful("xp.cfg", "xp.sig", write_only=True)
        self.logger = logging.getLogger(self.logger_name)
        self.result_logger = ResultLogger(self.logger, xp=self.xp)
        self.asynchronous = asynchronous
        self.checkpoint_policy: CheckpointPolicy | None = None
        self._current_stage: str | None = None
        self._current_formatter: Formatter | None = None
        self._stage_run: StageRun | None = None
        # Of an epoch that was interrupted: the stages that need not run again, and where the unfinished one is.
        self._finished_stages: set[str] = set()
        self._resume: dict[str, Any] | None = None
        self._writer = CheckpointWriter()
        self._start_epoch()

    def _start_epoch(self) -> None:
        """Forget the metrics of the epoch before. Subclasses that write ``commit`` themselves call it."""
        self._pending_metrics: dict[str, Any] = {}

    # ------------------------------------------------------------------ where and when

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

    @property
    def current_stage(self) -> str:
        """The name of the stage that runs."""
        if self._current_stage is None:
            raise SolverError("Expected to be in a stage, but none runs. Call this from a method given to run_stage.")
        return self._current_stage

    @property
    def formatter(self) -> Formatter:
        """The formatter of the stage that runs."""
        if self._current_formatter is None:
            raise SolverError(
                "Expected to be in a stage, whose formatter is used, but none runs. Call this from a method given to "
                "run_stage, or pass formatter=Formatter()."
            )
        return self._current_formatter

    def get_formatter(self, stage_name: str) -> Formatter:
        """Return how the metrics of a stage are shown. Override it to choose digits and metrics."""
        return Formatter()

    # ------------------------------------------------------------------ logs

    def init_tensorboard(self, **kwargs: Any) -> None:
        """Report to TensorBoard too; arguments as of ``TensorboardLogger.from_xp``."""
        self.result_logger.init_tensorboard(**kwargs)

    def init_wandb(self, **kwargs: Any) -> None:
        """Report to Weights & Biases too; arguments as of ``WandbLogger.from_xp``."""
        self.result_logger.init_wandb(**kwargs)

    def log_progress(
        self,
        stage_name: str,
        iterable: Iterable[Any],
        total: int | None = None,
        updates: int = 5,
        *,
        resumable: bool = False,
        carry: Any = None,
        commit_every: int | timedelta | None = None,
    ) -> LogProgressBar:
        """Go through a loader, with a line of progress now and then. It is told the epoch, so that it shuffles anew.

        A resumable loop can be interrupted in the middle and gone on with: by SIGTERM, after which the step is
        finished and everything saved; or by anything, where ``commit_every`` saved everything before. What the loop
        changes has to be registered, or be in ``carry``.

        Args:
            stage_name: The stage.
            iterable: The items.
            total: Their number, where the iterable does not know it.
            updates: How many lines there are about.
            resumable: Whether the loop can be gone on with in the middle.
            carry: Averagers, lists, dicts and tensors of the stage that change from step to step; several as a tuple.
            commit_every: After how many steps, or how much time (a ``timedelta``), everything is saved.
        """
        set_epoch(iterable, self.epoch)
        formatter = self.formatter
        skipped = 0
        if resumable or carry is not None or commit_every is not None:
            assert self._stage_run is not None
            if total is None and isinstance(iterable, Sized):
                total = len(iterable)
            iterable = loop = ResumableLoop(iterable, self._stage_run, self._commit_partial, carry, commit_every)
            skipped = loop.skipped
        bar = self.result_logger.get_log_progress_bar(
            stage_name, iterable, total=total, updates=updates, step=self.epoch, step_name="epoch", formatter=formatter
        )
        bar.skipped = skipped
        return bar

    def log_hyperparams(self, params: Any, metrics: Mapping[str, Any] | None = None) -> None:
        """Report hyperparameters, and final metrics that belong to them."""
        self.result_logger.log_hyperparams(params, metrics)

    def log_metrics(self, stage_name: str, metrics: Mapping[str, Any], formatter: Formatter | None = None) -> None:
        """Report the metrics of a stage, and keep them for the history. ``run_stage`` does it by itself.

        Args:
            stage_name: The stage.
            metrics: Numbers; also tensors, arrays, texts and ``None``.
            formatter: How they are shown; by default as the stage that runs says.

        Raises:
            SolverError: If the stage has reported in this epoch, or no stage runs and there is no formatter.
        """
        if stage_name in self._pending_metrics:
            raise SolverError(
                f"Stage {stage_name} already exist for epoch {self.epoch}. Commit the epoch first, or give the stage "
                "another name."
            )
        chosen = self.formatter if formatter is None else formatter
        self._pending_metrics[stage_name] = metrics
        self.result_logger.log_metrics(stage_name, metrics, step=self.epoch, step_name="epoch", formatter=chosen)

    def log_audio(self, stage_name: str, key: str, audio: Any, sample_rate: int, **kwargs: Any) -> None:
        """Report a sound of shape ``(channels, samples)``, with values from -1 to 1."""
        self.result_logger.log_audio(stage_name, key, audio, sample_rate, self.epoch, **kwargs)

    def log_image(self, stage_name: str, key: str, image: Any, **kwargs: Any) -> None:
        """Report a picture of shape ``(channels, height, width)``: floats from 0 to 1, or bytes."""
        self.result_logger.log_image(stage_name, key, image, self.epoch, **kwargs)

    def log_text(self, stage_name: str, key: str, text: str, **kwargs: Any) -> None:
        """Report a text."""
        self.result_logger.log_text(stage_name, key, text, self.epoch, **kwargs)

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
        mine = {"random": capture_random_state(), "position": partial.get("position")}
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
        replay_metrics: bool = False,
    ) -> bool:
        """Go on from a checkpoint, if there is one. All processes call it, and the first one decides for all.

        Args:
            path: The file; by default the newest one of this solver. Files of Flashy will do.
            best: Whether the best one is taken instead (see :meth:`keep_checkpoints`).
            strict: Whether state that only the file or only the solver knows is an error.
            ignore: Names of state to leave alone.
            replay_metrics: Whether the metrics of the epochs so far are logged again.

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
        if replay_metrics:
            self._replay()
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
        restore_random_state(mine["random"])
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

    def _replay(self) -> None:
        for number, stages in enumerate(self.history, 1):
            for stage, metrics in stages.items():
                formatter = self.get_formatter(stage)
                self.result_logger._log_summary(stage, metrics, number, formatter=formatter)

    # ------------------------------------------------------------------ stages

    def run_stage(self, stage_name: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run a method as a stage, and report the metrics that it returns, with its ``duration`` in seconds.

        A stage that an interrupted run finished in this epoch does not run again; its metrics are returned.

        Args:
            stage_name: The name of the stage.
            method: Returns metrics by name, or ``None``.
            args: Arguments of the method.
            kwargs: Keyword arguments of the method.

        Raises:
            SolverError: If a stage runs already.
        """
        if self._current_stage is not None:
            raise SolverError(
                f"Expected no stage to run, but {self._current_stage!r} does, and {stage_name!r} is inside it. Run "
                "stages one after the other."
            )
        if stage_name in self._finished_stages:
            self._finished_stages.discard(stage_name)
            self.logger.info("The stage %s of epoch %d was finished before.", stage_name, self.epoch)
            done: dict[str, Any] = self._pending_metrics[stage_name]
            return done
        run = self._begin_stage(stage_name)
        try:
            metrics = method(*args, **kwargs)
            metrics = {} if metrics is None else metrics
            metrics["duration"] = time.perf_counter() - run.begin
            self.log_metrics(stage_name, metrics)
            self._stop_if_asked(run)
        finally:
            run.close()
            self._current_stage = self._current_formatter = self._stage_run = None
        return metrics

    def _begin_stage(self, stage_name: str) -> StageRun:
        formatter = self.get_formatter(stage_name)
        begin, resume = time.perf_counter(), self._resume
        if resume is not None and resume["stage"] == stage_name:
            begin -= resume["elapsed"]
            self._resume = None
        elif resume is not None:
            self._resume = resume = None
            self.logger.warning("The stage %s runs before the one that was interrupted.", stage_name)
        self._current_stage, self._current_formatter = stage_name, formatter
        self._stage_run = run = StageRun(stage_name, begin, resume)
        return run

    def _stop_if_asked(self, run: StageRun) -> None:
        if run.request is None:
            return
        signum, _ = agree_to_save(run.request)
        if signum:
            self._commit_partial(None, stops=True)
            raise Interrupted(signum)

    def run(self) -> Any:
        """Train. Subclasses write it."""
        raise NotImplementedError("Expected the solver to have a method run(), but it does not. Write one.")


def _readable(error: Exception, path: Path) -> Exception:
    """Weights that do not fit are an error of the file, not of torch."""
    if isinstance(error, RuntimeError | KeyError | ValueError) and not isinstance(error, StateError | SolverError):
        reason = str(error).rstrip(".")
        return StateError(
            f"Expected a checkpoint of the same model and optimizer, but the state in {path} does not fit: {reason}. "
            "Build them as the program that wrote it did, or leave some out with restore(ignore=[...])."
        )
    return error

"""BaseSolver: stages, metrics and checkpoints of a training run."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sized
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

from flash.core.run_state import explaining_damage
from flash.solver.checkpointing import Checkpointing
from flash.solver.errors import Interrupted, SolverError
from flash.solver.formatter import Formatter
from flash.solver.logging import LogProgressBar, ResultLogger
from flash.solver.loop import ResumableLoop, StageRun, sync_stop_request
from flash.solver.sampling import set_epoch
from flash.solver.utils import AnyPath
from flash.solver.xp import FolderXP, get_xp

__all__ = ["BaseSolver"]


class BaseSolver(Checkpointing):
    """Base class of solvers: runs stages, logs their metrics, and saves and restores the registered state.

    A subclass sets its modules and optimizers as attributes, registers them, and implements ``run``. Every method
    can be overridden.

    Args:
        folder: The output folder. By default the folder of the experiment that :func:`~flash.solver.hydra_main` or
            Dora started.
        asynchronous: Whether checkpoints are written in a background thread. Its errors are raised at the next
            commit, or by :meth:`wait_for_checkpoint`.

    Raises:
        SolverError: If there is neither a folder nor an experiment.

    Example:
        >>> import tempfile, torch
        >>> from torch import nn
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

    #: The name of the logger of all solvers: Flashy's, by which programs configure it.
    logger_name = "flashy.solver"

    def __init__(self, folder: AnyPath | None = None, *, asynchronous: bool = False) -> None:
        xp = get_xp() if folder is None else FolderXP(folder)
        super().__init__(xp, logging.getLogger(self.logger_name), asynchronous)
        if folder is None:
            self.register_stateful("xp.cfg", "xp.sig", write_only=True)
        self.result_logger = ResultLogger(self.logger, xp=self.xp)
        self._current_stage: str | None = None
        self._current_formatter: Formatter | None = None
        self._start_epoch()

    # ------------------------------------------------------------------ current stage

    @property
    def current_stage(self) -> str:
        """The name of the running stage."""
        if self._current_stage is None:
            raise SolverError(
                "Expected to be in a stage, but none is running. Call this from a method passed to run_stage."
            )
        return self._current_stage

    @property
    def formatter(self) -> Formatter:
        """The formatter of the running stage."""
        if self._current_formatter is None:
            raise SolverError(
                "Expected to be in a stage, whose formatter is used, but none is running. Call this from a method "
                "passed to run_stage, or pass formatter=Formatter()."
            )
        return self._current_formatter

    def get_formatter(self, stage_name: str) -> Formatter:
        """Return the formatter of a stage's metrics. Override it to choose digits and metrics."""
        return Formatter()

    # ------------------------------------------------------------------ logs

    def init_tensorboard(self, **kwargs: Any) -> None:
        """Also log to TensorBoard; arguments as of ``TensorboardLogger.from_xp``."""
        self.result_logger.init_tensorboard(**kwargs)

    def init_wandb(self, **kwargs: Any) -> None:
        """Also log to Weights & Biases; arguments as of ``WandbLogger.from_xp``."""
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
        """Iterate over a loader and log progress. Calls ``set_epoch`` of the loader or its sampler, for reshuffling.

        A resumable loop can be interrupted in the middle and resumed: after SIGTERM, the current step is finished
        and a checkpoint is written; after any other end, the loop resumes from the last checkpoint of
        ``commit_every``. State that the loop changes must be registered, or be in ``carry``.

        Args:
            stage_name: The stage.
            iterable: The items.
            total: The number of items, if the iterable has no length.
            updates: The approximate number of log lines.
            resumable: Whether the loop can be resumed in the middle.
            carry: Averagers, lists, dicts and tensors of the stage that change from step to step; several as a tuple.
            commit_every: The interval between checkpoints: a number of steps, or a ``timedelta``.
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
        """Log hyperparameters, and optionally their final metrics."""
        self.result_logger.log_hyperparams(params, metrics)

    def log_metrics(self, stage_name: str, metrics: Mapping[str, Any], formatter: Formatter | None = None) -> None:
        """Log the metrics of a stage, and add them to the history. ``run_stage`` calls it.

        Args:
            stage_name: The stage.
            metrics: Metrics by name: numbers, tensors, arrays, strings or ``None``.
            formatter: Formats the metrics; by default the formatter of the running stage.

        Raises:
            SolverError: If the stage has logged in this epoch, or no stage is running and there is no formatter.
        """
        if stage_name in self._pending_metrics:
            raise SolverError(
                f"Stage {stage_name} already exist for epoch {self.epoch}. Commit the epoch first, or choose another "
                "name for the stage."
            )
        chosen = self.formatter if formatter is None else formatter
        self._pending_metrics[stage_name] = metrics
        self.result_logger.log_metrics(stage_name, metrics, step=self.epoch, step_name="epoch", formatter=chosen)

    def log_audio(self, stage_name: str, key: str, audio: Any, sample_rate: int, **kwargs: Any) -> None:
        """Log audio of shape ``(channels, samples)``, with values from -1 to 1."""
        self.result_logger.log_audio(stage_name, key, audio, sample_rate, self.epoch, **kwargs)

    def log_image(self, stage_name: str, key: str, image: Any, **kwargs: Any) -> None:
        """Log an image of shape ``(channels, height, width)``: floats from 0 to 1, or uint8."""
        self.result_logger.log_image(stage_name, key, image, self.epoch, **kwargs)

    def log_text(self, stage_name: str, key: str, text: str, **kwargs: Any) -> None:
        """Log a text."""
        self.result_logger.log_text(stage_name, key, text, self.epoch, **kwargs)

    def restore(
        self,
        path: AnyPath | None = None,
        *,
        best: bool = False,
        strict: bool = True,
        ignore: Collection[str] = (),
        replay_metrics: bool = False,
    ) -> bool:
        """Load a checkpoint, if there is one. All processes must call it; rank 0 decides whether the file exists.

        Args:
            path: A file that exists, or an http(s) URL; by default the newest checkpoint of this solver, if there is
                one. Checkpoints of Flashy are accepted.
            best: Whether to load the best checkpoint instead (see ``keep_checkpoints``).
            strict: Whether missing or unexpected names of state are an error.
            ignore: Names of state not to load.
            replay_metrics: Whether the metrics of the previous epochs are logged again.

        Returns:
            Whether a checkpoint was loaded; false only without ``path``.

        Raises:
            CheckpointError: If the file cannot be read, if there is none at ``path``, or if its state does not match
                the registered state.
            DistributedError: If the processes do not see the same file.
        """
        found = super().restore(path, best=best, strict=strict, ignore=ignore)
        if found and replay_metrics:
            self._replay()
        return found

    def _replay(self) -> None:
        for number, stages in enumerate(self.history, 1):
            for stage, metrics in stages.items():
                formatter = self.get_formatter(stage)
                self.result_logger._log_summary(stage, metrics, number, formatter=formatter)

    # ------------------------------------------------------------------ stages

    def run_stage(self, stage_name: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run a method as a stage, and log the metrics that it returns, with its ``duration`` in seconds.

        A stage that an interrupted run finished in this epoch is skipped; its metrics are returned.

        Args:
            stage_name: The name of the stage.
            method: A callable that returns metrics by name, or ``None``.
            args: Arguments of the method.
            kwargs: Keyword arguments of the method.

        Raises:
            SolverError: If another stage is running.
        """
        if self._current_stage is not None:
            raise SolverError(
                f"Expected no running stage, but {stage_name!r} is started inside {self._current_stage!r}. Run stages "
                "one after the other."
            )
        if stage_name in self._finished_stages:
            self._finished_stages.discard(stage_name)
            self._enter_end_of(stage_name)
            self.logger.info("The stage %s of epoch %d was finished before.", stage_name, self.epoch)
            done: dict[str, Any] = self._pending_metrics[stage_name]
            return done
        run = self._begin_stage(stage_name)
        try:
            with nullcontext() if self._restored_from is None else explaining_damage(self._restored_from):
                metrics = method(*args, **kwargs)
            metrics = {} if metrics is None else metrics
            metrics["duration"] = time.perf_counter() - run.begin
            self.log_metrics(stage_name, metrics)
            self._stage_ends[stage_name] = self._random.capture()
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
            # Older files have no random states of the stage's beginning.
            if "begin" in resume:
                self._random.restore(resume["begin"])
        elif resume is not None:
            self._resume = resume = None
            self.logger.warning("The stage %s runs before the one that was interrupted.", stage_name)
        self._current_stage, self._current_formatter = stage_name, formatter
        self._stage_run = run = StageRun(stage_name, begin, resume, self._random)
        self._stage_begin = self._random.capture()
        return run

    def _stop_if_asked(self, run: StageRun) -> None:
        if run.request is None:
            return
        signum, _ = sync_stop_request(run.request)
        if signum:
            self._commit_partial(None, stops=True)
            raise Interrupted(signum)

    def run(self) -> Any:
        """Train. Subclasses implement it."""
        raise NotImplementedError("Expected the solver to have a method run(), but it does not. Write one.")

"""Logging of a run: console and file handlers, progress of a loop, and results of stages."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flash.errors import ConfigurationError
from flash.solver.formatter import Formatter
from flash.solver.loggers.base import ExperimentLogger
from flash.solver.loggers.localfs import LocalFSLogger
from flash.solver.processes import is_rank_zero, launch_rank
from flash.solver.utils import explaining_write_errors

if TYPE_CHECKING:
    from flash.solver.xp import Experiment

__all__ = ["LogProgressBar", "ResultLogger", "bold", "colorize", "setup_logging"]

_ANSI = re.compile("\033\\[[0-9;]*m")
_LEVEL_COLORS = {"DEBUG": "36", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


def colorize(text: str, color: str) -> str:
    r"""Wrap text in ANSI escape codes that color it.

    Args:
        text: The text.
        color: An ANSI code, such as ``"31"`` for red, or ``"1"`` for bold.

    Example:
        >>> colorize("loss", "1")
        '\x1b[1mloss\x1b[0m'
    """
    return f"\033[{color}m{text}\033[0m"


def bold(text: str) -> str:
    """Wrap text in ANSI escape codes that make it bold."""
    return colorize(text, "1")


class _LineFormatter(logging.Formatter):
    """Formatter of lines such as ``[11-21 09:41:44][name][INFO] - message``, optionally colored."""

    def __init__(self, colors: bool) -> None:
        super().__init__(datefmt="%m-%d %H:%M:%S")
        self.colors = colors

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # overrides logging.Formatter
        """Format the line of a record."""
        time_text, name, level = self.formatTime(record, self.datefmt), record.name, record.levelname
        if not self.colors:
            return f"[{time_text}][{name}][{level}] - {_ANSI.sub('', record.message)}"
        level = colorize(level, _LEVEL_COLORS.get(level, "0"))
        return f"[{colorize(time_text, '36')}][{colorize(name, '34')}][{level}] - {record.message}"


def setup_logging(
    with_file_log: bool = True,
    folder: str | Path | None = None,
    log_name: str = "solver.log.{rank}",
    level: int = logging.INFO,
) -> None:
    """Log to the console, and to one file per process.

    Existing handlers are removed. The console is colored if it is a terminal or ``FORCE_COLOR`` is set; files never
    are.

    Args:
        with_file_log: Whether to log to a file.
        folder: The file's folder; by default the experiment's.
        log_name: The file's name; ``{rank}`` is replaced by the rank of the process.
        level: The minimum level.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(_LineFormatter(sys.stderr.isatty() or "FORCE_COLOR" in os.environ))
    handlers: list[logging.Handler] = [console]
    if with_file_log:
        if folder is None:
            from flash.solver.xp import get_xp

            folder = get_xp().folder
        path = Path(folder) / log_name.format(rank=launch_rank())
        with explaining_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = logging.FileHandler(path)
        file.setFormatter(_LineFormatter(colors=False))
        handlers.append(file)
    for handler in handlers:
        handler.setLevel(level)
        root.addHandler(handler)


class LogProgressBar:
    """Iterates over an iterable and logs its progress, with the metrics of the last :meth:`update`.

    A line that is due at an item is logged before the next item is drawn. It shows the index of the item, from 0.

    Args:
        logger: The logger of the lines.
        iterable: The items.
        updates: The approximate number of lines; 0 for none.
        min_interval: The minimum number of items between lines.
        time_per_it: Whether to log seconds per item instead of items per second.
        total: The number of items, if the iterable has no length.
        name: The prefix of the lines.
        level: The level of the lines.
        delimiter: The separator between the parts of a line.
        items_delimiter: The separator between a metric's name and its value.
        formatter: Selects and formats the metrics.

    Example:
        >>> import logging
        >>> bar = LogProgressBar(logging.getLogger("doctest"), range(10), updates=5, name="Train")
        >>> [item for item in bar if bar.update(loss=0.5)]
        [2, 4, 6, 8]
    """

    def __init__(
        self,
        logger: logging.Logger,
        iterable: Iterable[Any],
        updates: int = 5,
        min_interval: int = 1,
        time_per_it: bool = False,
        total: int | None = None,
        name: str = "LogProgressBar",
        level: int = logging.INFO,
        delimiter: str = "|",
        items_delimiter: str = " ",
        formatter: Formatter | None = None,
    ) -> None:
        if total is None:
            if not isinstance(iterable, Sized):
                raise ConfigurationError(
                    "Expected an iterable with a length, but got one without. Pass total=..., the number of items."
                )
            total = len(iterable)
        self.iterable = iterable
        self.total = total
        self.updates = updates
        self.min_interval = min_interval
        self.time_per_it = time_per_it
        self.name = name
        self._logger = logger
        self._level = level
        self._delimiter = f" {delimiter} "
        self._items_delimiter = items_delimiter
        self._formatter = formatter or Formatter()
        self._metrics: Mapping[str, Any] = {}
        self._due = False
        self._index = 0
        #: The number of items that an interrupted run had processed.
        self.skipped = 0

    def update(self, **metrics: Any) -> bool:
        """Set the metrics of the current step, and return whether they will be logged."""
        self._metrics = metrics
        return self._due

    def __iter__(self) -> Iterator[Any]:
        """Yield the items."""
        self._metrics = {}
        self._begin = time.perf_counter()
        every = max(self.min_interval, self.total // self.updates) if self.updates > 0 else 0
        for index, item in enumerate(self.iterable, self.skipped):
            self._due = every > 0 and index >= 1 and index % every == 0
            yield item
            if self._due:
                self._index = index
                self._log()

    def _speed(self) -> str:
        elapsed = max(time.perf_counter() - self._begin, 1e-9)
        speed = (1 + self._index - self.skipped) / elapsed
        if speed < 1e-4:
            return "oo sec/it"
        if self.time_per_it:
            return f"{1 / speed:.2f} sec/it" if speed < 1 else f"{1000 / speed:.2f} ms/it"
        return f"{1 / speed:.2f} sec/it" if speed < 0.1 else f"{speed:.2f} it/sec"

    def _log(self) -> None:
        if not self._logger.isEnabledFor(self._level):
            return
        shown = self._formatter(self._metrics)
        metrics = [f"{key}{self._items_delimiter}{value}" for key, value in shown.items()]
        parts = [self.name, f"{self._index}/{self.total}", self._speed(), *metrics]
        self._logger.log(self._level, self._delimiter.join(parts))


class ResultLogger:
    """Logs the results of stages: as a line, and to all initialized experiment loggers.

    An experiment logger that fails logs one warning, and stops neither the run nor other loggers.

    Args:
        logger: The logger of the lines.
        level: The level of the lines.
        delimiter: The separator between the parts of a line.
        xp: The experiment in whose folder files are written; by default the current one.
    """

    def __init__(
        self,
        logger: logging.Logger,
        level: int = logging.INFO,
        delimiter: str = "|",
        xp: Experiment | None = None,
    ) -> None:
        self._logger = logger
        self._level = level
        self._delimiter = delimiter
        self._xp = xp
        self._experiment_loggers: dict[str, ExperimentLogger] = {}
        self._warned: set[tuple[str, str]] = set()
        if is_rank_zero():
            self._experiment_loggers["local"] = LocalFSLogger.from_xp(xp=xp)

    def init_tensorboard(self, **kwargs: Any) -> None:
        """Also log to TensorBoard, on rank 0; arguments as of ``TensorboardLogger.from_xp``."""
        from flash.solver.loggers.tensorboard import TensorboardLogger

        if is_rank_zero():
            self._experiment_loggers["tensorboard"] = TensorboardLogger.from_xp(**{"xp": self._xp, **kwargs})

    def init_wandb(self, **kwargs: Any) -> None:
        """Also log to Weights & Biases, on rank 0; arguments as of ``WandbLogger.from_xp``."""
        from flash.solver.loggers.wandb import WandbLogger

        if is_rank_zero():
            self._experiment_loggers["wandb"] = WandbLogger.from_xp(**{"xp": self._xp, **kwargs})

    def get_log_progress_bar(
        self,
        stage: str,
        iterable: Iterable[Any],
        updates: int = 5,
        total: int | None = None,
        step: int | None = None,
        step_name: str | None = None,
        **kwargs: Any,
    ) -> LogProgressBar:
        """Return a progress bar with the stage's title as name, such as ``Train | Epoch 3``."""
        name = self._title(stage, step, step_name)
        return LogProgressBar(
            self._logger, iterable, updates=updates, total=total, name=name, delimiter=self._delimiter, **kwargs
        )

    def _title(self, stage: str, step: int | None, step_name: str | None) -> str:
        title = stage.capitalize()
        if step is not None:
            title += f" {self._delimiter} {(step_name or 'step').capitalize()} {step}"
        return title

    def _log_summary(
        self,
        stage: str,
        metrics: Mapping[str, Any],
        step: int | None = None,
        step_name: str = "epoch",
        formatter: Formatter | None = None,
    ) -> None:
        """Log a summary line of a stage, such as ``Train Summary | Epoch 1 | loss=0.236 | duration=0.005``."""
        shown = (formatter or Formatter())(metrics)
        title = self._title(f"{stage} summary", step, step_name).replace(" summary", " Summary", 1)
        line = f" {self._delimiter} ".join([title, *(f"{key}={value}" for key, value in shown.items())])
        self._logger.log(self._level, bold(line))

    def log_metrics(
        self,
        stage: str,
        metrics: Mapping[str, Any],
        step: int | None = None,
        step_name: str = "epoch",
        formatter: Formatter | None = None,
    ) -> None:
        """Log the metrics of a stage to all loggers."""
        self._log_summary(stage, metrics, step, step_name, formatter)
        self._dispatch("log_metrics", stage, metrics, step)

    def log_hyperparams(self, params: Any, metrics: Mapping[str, Any] | None = None) -> None:
        """Log hyperparameters, and optionally their final metrics, to all loggers."""
        self._dispatch("log_hyperparams", params, metrics)

    def log_audio(
        self, stage: str, key: str, audio: Any, sample_rate: int, step: int | None = None, **kwargs: Any
    ) -> None:
        """Log audio of shape ``(channels, samples)``, with values from -1 to 1, to all loggers."""
        self._dispatch("log_audio", stage, key, audio, sample_rate, step, **kwargs)

    def log_image(self, stage: str, key: str, image: Any, step: int | None = None, **kwargs: Any) -> None:
        """Log an image of shape ``(channels, height, width)`` to all loggers."""
        self._dispatch("log_image", stage, key, image, step, **kwargs)

    def log_text(self, stage: str, key: str, text: str, step: int | None = None, **kwargs: Any) -> None:
        """Log a text to all loggers."""
        self._dispatch("log_text", stage, key, text, step, **kwargs)

    def _dispatch(self, method: str, *args: Any, **kwargs: Any) -> None:
        for name, logger in self._experiment_loggers.items():
            try:
                getattr(logger, method)(*args, **kwargs)
            except Exception:
                if (name, method) not in self._warned:
                    self._warned.add((name, method))
                    self._logger.warning("The logger %r failed in %s; the run continues.", name, method, exc_info=True)

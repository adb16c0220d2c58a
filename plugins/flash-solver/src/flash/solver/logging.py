"""Logs of a run: the console and files, progress of a loop, and the results of its stages."""

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

if TYPE_CHECKING:
    from flash.solver.xp import Experiment

__all__ = ["LogProgressBar", "ResultLogger", "bold", "colorize", "setup_logging"]

_ANSI = re.compile("\033\\[[0-9;]*m")
_LEVEL_COLORS = {"DEBUG": "36", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


def colorize(text: str, color: str) -> str:
    r"""Wrap text in the codes by which a terminal shows it in a colour.

    Args:
        text: The text.
        color: A number of the ANSI standard, such as ``"31"`` for red, or ``"1"`` for bold.

    Example:
        >>> colorize("loss", "1")
        '\x1b[1mloss\x1b[0m'
    """
    return f"\033[{color}m{text}\033[0m"


def bold(text: str) -> str:
    """Wrap text in the codes by which a terminal shows it bold."""
    return colorize(text, "1")


class _LineFormatter(logging.Formatter):
    """``[11-21 09:41:44][name][INFO] - message``, with colours only where somebody sees them."""

    def __init__(self, colors: bool) -> None:
        super().__init__(datefmt="%m-%d %H:%M:%S")
        self.colors = colors

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the name is that of Python's logging
        """Put the parts of a line together."""
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
    """Log to the console, and to a file of each process.

    Handlers that were there before are removed. Colours are for terminals alone (``FORCE_COLOR`` asks for them
    elsewhere); a file never has any.

    Args:
        with_file_log: Whether there is a file.
        folder: The file's folder; by default that of the experiment.
        log_name: The file's name; ``{rank}`` is the number of the process.
        level: The least important level that is shown.
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
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(target / log_name.format(rank=launch_rank()))
        file.setFormatter(_LineFormatter(colors=False))
        handlers.append(file)
    for handler in handlers:
        handler.setLevel(level)
        root.addHandler(handler)


class LogProgressBar:
    """Goes through an iterable and logs now and then how far it is, with the metrics of the last :meth:`update`.

    A line is logged before the item that follows the one that made it due. The number it shows is the position of
    that one, counted from 0.

    Args:
        logger: Where the lines go.
        iterable: The items.
        updates: How many lines there are about; 0 for none.
        min_interval: The least number of items from line to line.
        time_per_it: Whether seconds per item are shown, instead of items per second.
        total: The number of items, where the iterable does not know it.
        name: What the lines begin with.
        level: The lines' level.
        delimiter: What separates the parts of a line.
        items_delimiter: What separates a metric's name from its value.
        formatter: Chooses and formats metrics.

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
                    "Expected an iterable that knows its length, but this one does not. Pass total=..., the number "
                    "of items."
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
        #: How many items an interrupted run had been through already.
        self.skipped = 0

    def update(self, **metrics: Any) -> bool:
        """Give the metrics of the last step, and learn whether a line will show them."""
        self._metrics = metrics
        return self._due

    def __iter__(self) -> Iterator[Any]:
        """Go through the items."""
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
    """Logs the results of stages: a line for people, and every experiment logger that was started.

    An experiment logger that fails says so once and stops nothing, neither the run nor another logger.

    Args:
        logger: Where the lines go.
        level: Their level.
        delimiter: What separates their parts.
        xp: The experiment whose folder takes the files; by default the current one.
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
        self._complained: set[tuple[str, str]] = set()
        if is_rank_zero():
            self._experiment_loggers["local"] = LocalFSLogger.from_xp(xp=xp)

    def init_tensorboard(self, **kwargs: Any) -> None:
        """Log to TensorBoard too, from the first process; arguments as of ``TensorboardLogger.from_xp``."""
        from flash.solver.loggers.tensorboard import TensorboardLogger

        if is_rank_zero():
            self._experiment_loggers["tensorboard"] = TensorboardLogger.from_xp(**{"xp": self._xp, **kwargs})

    def init_wandb(self, **kwargs: Any) -> None:
        """Log to Weights & Biases too, from the first process; arguments as of ``WandbLogger.from_xp``."""
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
        """Return a progress bar that is named after the stage, such as ``Train | Epoch 3``."""
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
        """Log the line of a stage, such as ``Train Summary | Epoch 1 | loss=0.236 | duration=0.005``."""
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
        """Log the metrics of a stage everywhere."""
        self._log_summary(stage, metrics, step, step_name, formatter)
        self._tell("log_metrics", stage, metrics, step)

    def log_hyperparams(self, params: Any, metrics: Mapping[str, Any] | None = None) -> None:
        """Log hyperparameters, and final metrics that belong to them, everywhere."""
        self._tell("log_hyperparams", params, metrics)

    def log_audio(
        self, stage: str, key: str, audio: Any, sample_rate: int, step: int | None = None, **kwargs: Any
    ) -> None:
        """Log a sound of shape ``(channels, samples)``, with values from -1 to 1, everywhere."""
        self._tell("log_audio", stage, key, audio, sample_rate, step, **kwargs)

    def log_image(self, stage: str, key: str, image: Any, step: int | None = None, **kwargs: Any) -> None:
        """Log a picture of shape ``(channels, height, width)`` everywhere."""
        self._tell("log_image", stage, key, image, step, **kwargs)

    def log_text(self, stage: str, key: str, text: str, step: int | None = None, **kwargs: Any) -> None:
        """Log a text everywhere."""
        self._tell("log_text", stage, key, text, step, **kwargs)

    def _tell(self, method: str, *args: Any, **kwargs: Any) -> None:
        for name, logger in self._experiment_loggers.items():
            try:
                getattr(logger, method)(*args, **kwargs)
            except Exception:
                if (name, method) not in self._complained:
                    self._complained.add((name, method))
                    self._logger.warning("The logger %r failed at %s; the run goes on.", name, method, exc_info=True)

"""The output of a run: progress bar, summary of the network, and messages."""

from __future__ import annotations

import io
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr
from typing import Any, TextIO

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelSummary, TQDMProgressBar
from torch import Tensor, nn
from tqdm import tqdm

__all__ = [
    "FlashProgressBar",
    "NetworkSummary",
    "clean_console",
    "describe_modules",
    "epoch_name",
    "format_matrix",
    "training_quietly",
]

log = logging.getLogger(__name__)

# Messages of Lightning that advertise, or repeat what the progress bar and the summary show.
_LEFT_OUT = (
    "\N{ELECTRIC LIGHT BULB} Tip:",
    "GPU available: False",
    "TPU available: False",
    "HPU available: False",
    "`Trainer.fit` stopped: `max_epochs=",
    "Trainer already configured with model summary callbacks: [<class 'flash.",
)
# Warnings of Lightning about itself, about data without validation rows, and about per-step logging, which is in
# addition to the values per epoch.
_IGNORED = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    "Total length of `list` across ranks is zero",
    "The number of training batches .* is smaller than the logging interval",
)
# Of Lightning, at the start of training.
_EVAL_MODE = r"Found \d+ module\(s\) in eval mode"


def epoch_name(trainer: pl.Trainer, index: int) -> str:
    """Return the name of an epoch in messages, which count from 1.

    Args:
        trainer: The trainer, for the number of epochs.
        index: The index of the epoch, from 0 as in ``trainer.current_epoch``.

    Example:
        >>> epoch_name(pl.Trainer(max_epochs=3, logger=False, enable_checkpointing=False), 0)
        'epoch 1/3'
    """
    total = f"/{trainer.max_epochs}" if (trainer.max_epochs or 0) > 0 else ""
    return f"epoch {index + 1}{total}"


class FlashProgressBar(TQDMProgressBar):
    """Lightning's progress bar, redrawn at most about ten times per second, with a permanent line per epoch.

    Redrawing after each step, as the original does, can cost more than the step.

    Args:
        seconds: Minimum time between two redraws, in seconds.
    """

    def __init__(self, seconds: float = 0.1) -> None:
        super().__init__(leave=False)
        self._seconds = seconds
        self._drawn = 0.0
        self._unreported = False

    def _is_due(self, batch_idx: int, total: int | float) -> bool:
        now = time.monotonic()
        if now - self._drawn < self._seconds and batch_idx + 1 < total:
            return False
        self._drawn = now
        return True

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Redraw the bar if it is due."""
        if self._is_due(batch_idx, self.total_train_batches):
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Redraw the bar if it is due."""
        if self._is_due(batch_idx, self.total_val_batches_current_dataloader):
            super().on_validation_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)

    def on_test_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Redraw the bar if it is due."""
        if self._is_due(batch_idx, self.total_test_batches_current_dataloader):
            super().on_test_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)

    def on_predict_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Redraw the bar if it is due."""
        if self._is_due(batch_idx, self.total_predict_batches_current_dataloader):
            super().on_predict_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)

    # All metrics of an epoch are known only when the next one starts.
    def on_train_epoch_start(self, trainer: Any, *args: Any) -> None:
        """Print a line with the metrics of the previous epoch."""
        self._print_line(trainer)
        self._unreported = True
        super().on_train_epoch_start(trainer, *args)
        self.train_progress_bar.set_description(epoch_name(trainer, trainer.current_epoch).capitalize())

    def on_train_end(self, trainer: Any, *args: Any) -> None:
        """Print a line with the metrics of the last epoch, and clear the bar."""
        self._print_line(trainer)
        self.train_progress_bar.leave = False
        super().on_train_end(trainer, *args)

    def _print_line(self, trainer: pl.Trainer) -> None:
        numbers = {
            name: float(value)
            for name, value in sorted(trainer.callback_metrics.items(), key=_train_then_val)
            if name.startswith(("train_", "val_")) and not name.endswith("_step") and "_loss_" not in name
        }
        if self._unreported and self.is_enabled and numbers:
            line = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            # Both hooks run after current_epoch has been incremented.
            name = epoch_name(trainer, trainer.current_epoch - 1).capitalize()
            self.train_progress_bar.write(f"{name}  {line}")
        self._unreported = False

    def get_metrics(self, trainer: Any, pl_module: Any) -> dict[str, Any]:
        """Return the metrics of the bar, without the logger's version number."""
        numbers = dict(super().get_metrics(trainer, pl_module))
        numbers.pop("v_num", None)
        return numbers


def _train_then_val(item: tuple[str, Any]) -> tuple[bool, str]:
    name = item[0]
    return (not name.startswith("train_"), name)


class NetworkSummary(ModelSummary):
    """A line per module of the network: its class, its number of parameters, and whether they are frozen."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the summary."""
        if trainer.is_global_zero:
            log.info("%s", "\n".join(describe_modules(pl_module)))


def describe_modules(module: nn.Module) -> list[str]:
    """Return a line per child with parameters: its name, class, number of parameters, and whether they are frozen.

    Example:
        >>> network = nn.ModuleDict({"backbone": nn.Linear(9, 100).requires_grad_(False), "head": nn.Linear(100, 2)})
        >>> describe_modules(network)
        ['backbone  Linear  1,000 parameters, frozen', 'head      Linear    202 parameters']
    """
    rows = []
    for name, child in module.named_children():
        parameters = list(child.parameters())
        total = sum(each.numel() for each in parameters)
        if total:
            frozen = sum(each.numel() for each in parameters if not each.requires_grad)
            how = ", frozen" if frozen == total else f", {frozen:,} of them frozen" if frozen else ""
            rows.append((name, type(child).__name__.lstrip("_"), f"{total:,}", how))
    names, kinds, totals = (max((len(row[part]) for row in rows), default=0) for part in range(3))
    return [f"{name:{names}}  {kind:{kinds}}  {total:>{totals}} parameters{how}" for name, kind, total, how in rows]


def format_matrix(name: str, matrix: Tensor, names: Sequence[str] | None) -> str:
    """Return a matrix as a table, with the names of classes at the rows and columns that they belong to.

    Args:
        name: The name of the matrix, for the line above it.
        matrix: Numbers, shape ``(rows, columns)``.
        names: Names of the classes; sides of another length show indices.

    Example:
        >>> import torch
        >>> print(format_matrix("test_confusion_matrix", torch.tensor([[9, 1], [0, 12]]), ["ants", "bees"]))
        test_confusion_matrix:
              ants  bees
        ants     9     1
        bees     0    12
    """
    rows, columns = ([*names] if names and len(names) == size else list(map(str, range(size))) for size in matrix.shape)
    cells = [["", *columns]] + [
        [row, *(f"{value:.4g}" if isinstance(value, float) else str(value) for value in values)]
        for row, values in zip(rows, matrix.tolist(), strict=True)
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        [f"{first:{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True))]
        for first, *rest in cells
    )
    return "\n".join([f"{name}:", *map("  ".join, lines)])


@contextmanager
def clean_console(bar: Any = None, freezes: bool = False) -> Iterator[None]:
    """Leave out messages that are not for the user, and print the others above the progress bar.

    Args:
        bar: The progress bar of the run, if there is one.
        freezes: Whether the run has a finetuning strategy, which keeps modules in eval mode on purpose.

    Example:
        >>> with clean_console():
        ...     logging.getLogger("pytorch_lightning").info("TPU available: False, using: 0 TPU cores")
    """
    logger = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    logger.addFilter(_is_for_users)
    try:
        with warnings.catch_warnings(), ExitStack() as stack:
            for message in (*_IGNORED, *([_EVAL_MODE] if freezes else [])):
                warnings.filterwarnings("ignore", message)
            if isinstance(bar, TQDMProgressBar) and bar.is_enabled:
                stack.enter_context(_above_bar())
            yield
    finally:
        logger.removeFilter(_is_for_users)


def _is_for_users(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_LEFT_OUT)


@contextmanager
def _above_bar() -> Iterator[None]:
    """Print above the bar what is written to stderr, and by the handlers that loggers have for the console."""
    console = (sys.stdout, sys.stderr)
    loggers = map(logging.getLogger, ("", "flash", "pytorch_lightning"))
    handlers = [each for logger in loggers for each in logger.handlers if isinstance(each, logging.StreamHandler)]
    streams = {handler: handler.stream for handler in handlers if handler.stream in console}
    with redirect_stderr(_AboveBar(sys.stderr)):
        for handler, stream in streams.items():
            handler.setStream(_AboveBar(stream))
        try:
            yield
        finally:
            for handler, stream in streams.items():
                handler.setStream(stream)


class _AboveBar(io.TextIOBase):
    """A stream whose lines appear above the progress bars, which are cleared and drawn again."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._line = ""

    def write(self, text: str) -> int:
        lines, newline, self._line = (self._line + text).rpartition("\n")
        if newline:
            with tqdm.external_write_mode(file=sys.stdout):
                self._stream.write(lines + newline)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


@contextmanager
def training_quietly() -> Iterator[Callable[[], None]]:
    """Leave out what each of many trainings would say; warnings of the user's own code are shown.

    Yields:
        A function to call after a trainer is made, which sets the levels of loggers.
    """
    loggers = [logging.getLogger(name) for name in ("flash", "pytorch_lightning")]
    levels = [each.level for each in loggers]

    def silence() -> None:
        for each in loggers:
            each.setLevel(logging.ERROR)

    silence()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            yield silence
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)

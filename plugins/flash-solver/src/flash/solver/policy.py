"""CheckpointPolicy: retention of checkpoints besides the newest."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flash.errors import ConfigurationError
from flash.serialization import link_or_copy

__all__ = ["CheckpointPolicy"]


@dataclass(frozen=True)
class CheckpointPolicy:
    """Keeps the checkpoints of the last epochs, of every n-th epoch, and of the best epoch.

    The files are ``checkpoint_<epoch>.th`` and ``best.th``, beside ``checkpoint.th``.

    Args:
        last: The number of newest epochs to keep.
        every: The interval in epochs: keep epochs whose number is a multiple of it.
        best: The metric that determines the best epoch, as ``"<stage>/<metric>"``.
        mode: ``"min"`` if a lower value of the metric is better, ``"max"`` if a higher one is.

    Raises:
        ConfigurationError: If an argument is invalid.

    Example:
        >>> policy = CheckpointPolicy(best="valid/loss")
        >>> policy.is_best([{"valid": {"loss": 2.0}}, {"valid": {"loss": 1.0}}])
        True
    """

    last: int | None = None
    every: int | None = None
    best: str | None = None
    mode: Literal["min", "max"] = "min"

    def __post_init__(self) -> None:
        for name in ("last", "every"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ConfigurationError(f"Expected {name} to be a whole number of at least 1, but got {value!r}.")
        if self.mode not in ("min", "max"):
            raise ConfigurationError(f"Expected mode to be 'min' or 'max', but got {self.mode!r}.")
        if self.best is not None and len(self.best.split("/")) != 2:
            raise ConfigurationError(
                f"Expected best to name a stage and a metric, such as 'valid/loss', but got {self.best!r}."
            )

    def is_best(self, history: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether the last epoch of a history is better than all before it."""
        if self.best is None or not history:
            return False
        *before, now = (self._value(epoch) for epoch in history)
        return now < math.inf and all(now < value for value in before)

    def _value(self, epoch: Mapping[str, Any]) -> float:
        stage, metric = str(self.best).split("/")
        value = epoch.get(stage, {}).get(metric)
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            return math.inf
        return float(value) if self.mode == "min" else -float(value)

    def apply(self, newest: Path, history: Sequence[Mapping[str, Any]]) -> None:
        """Link the newest checkpoint to its permanent name if it is to be kept, and delete expired checkpoints.

        Args:
            newest: The file that was just written.
            history: The metrics of all epochs up to it.
        """
        epoch = len(history)
        if self.is_best(history):
            link_or_copy(newest, best_path(newest))
        if self.last is not None or self._is_due(epoch):
            link_or_copy(newest, epoch_path(newest, epoch))
        for number, path in _kept(newest):
            old = self.last is None or number <= epoch - self.last
            # Numbers beyond this epoch are left from a run that was restored to an earlier one.
            if number > epoch or (old and not self._is_due(number)):
                path.unlink(missing_ok=True)

    def _is_due(self, epoch: int) -> bool:
        return self.every is not None and epoch % self.every == 0


def epoch_path(newest: Path, epoch: int) -> Path:
    """Return the path of the kept checkpoint of an epoch."""
    return newest.with_name(f"{newest.stem}_{epoch}{newest.suffix}")


def best_path(newest: Path) -> Path:
    """Return the path of the kept checkpoint of the best epoch."""
    return newest.with_name(f"best{newest.suffix}")


def _kept(newest: Path) -> list[tuple[int, Path]]:
    pattern = re.compile(re.escape(newest.stem) + r"_(\d+)" + re.escape(newest.suffix))
    matches = ((pattern.fullmatch(path.name), path) for path in newest.parent.iterdir())
    return [(int(match[1]), path) for match, path in matches if match]

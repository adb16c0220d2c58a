"""TensorboardLogger: write metrics and media for TensorBoard."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch

from flash.solver.loggers.base import FolderLogger
from flash.solver.loggers.utils import add_prefix, audio_array, flat_params, image_array, numeric_metrics

__all__ = ["TensorboardLogger"]


class TensorboardLogger(FolderLogger):
    """Writes metrics and media for TensorBoard; without the package ``tensorboard`` it warns and does nothing.

    The event file is opened on the first write, with that epoch as ``purge_step``: values of an earlier run for this
    and later epochs, before it was restored from a checkpoint, are hidden.

    Args:
        save_dir: The folder.
        with_media_logging: Whether media are logged.
        name: The name of the run.
        kwargs: Arguments of ``torch.utils.tensorboard.SummaryWriter``.
    """

    default_sub_dir: ClassVar[str] = "tensorboard"

    def __init__(
        self, save_dir: str | Path, with_media_logging: bool = True, name: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(save_dir, with_media_logging, name)
        self._options = kwargs
        self._opened: Any = None
        self._make: Any = _summary_writer()

    def _writer(self, step: int | None) -> Any:
        if self._opened is None and self._make is not None:
            self._opened = self._make(str(self._save_dir), **{"purge_step": step, **self._options})
        return self._opened

    @property
    def writer(self) -> Any:
        """The ``SummaryWriter``, for direct use; ``None`` without the package."""
        return self._writer(None)

    def log_hyperparams(self, params: Any, metrics: Mapping[str, Any] | None = None) -> None:
        """Log hyperparameters, with nested names joined by dots."""
        writer = self._writer(None)
        if writer is not None:
            flat = {key: str(value) if value is None else value for key, value in flat_params(params).items()}
            writer.add_hparams(flat, numeric_metrics(metrics or {}), run_name=".")

    def log_metrics(self, prefix: str, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log the numeric metrics; a dict of numbers is logged as several curves in one chart."""
        writer = self._writer(step)
        if writer is None:
            return
        for tag, value in add_prefix(numeric_metrics(metrics), prefix, self.group_separator).items():
            if isinstance(value, dict):
                writer.add_scalars(tag, value, step)
            else:
                writer.add_scalar(tag, value, step)
        writer.flush()

    def log_audio(
        self, prefix: str, key: str, audio: Any, sample_rate: int, step: int | None = None, **kwargs: Any
    ) -> None:
        """Log audio as mono, the mean of all channels."""
        writer = self._writer(step) if self.with_media_logging else None
        if writer is not None:
            mono = torch.from_numpy(audio_array(audio) / 32767.0).float().mean(dim=1)
            writer.add_audio(self._tag(prefix, key), mono[None], step, sample_rate, **kwargs)

    def log_image(self, prefix: str, key: str, image: Any, step: int | None = None, **kwargs: Any) -> None:
        """Log an image."""
        writer = self._writer(step) if self.with_media_logging else None
        if writer is not None:
            writer.add_image(self._tag(prefix, key), image_array(image), step, **{"dataformats": "HWC", **kwargs})

    def log_text(self, prefix: str, key: str, text: str, step: int | None = None, **kwargs: Any) -> None:
        """Log a text."""
        writer = self._writer(step) if self.with_media_logging else None
        if writer is not None:
            writer.add_text(self._tag(prefix, key), str(text), step, **kwargs)


def _summary_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        message = "tensorboard package was not found: use pip install tensorboard (or flash-solver[tensorboard])."
        warnings.warn(message, stacklevel=4)
        return None
    return SummaryWriter

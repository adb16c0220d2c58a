"""What every experiment logger can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["ExperimentLogger", "FolderLogger"]


class ExperimentLogger(ABC):
    """Takes the metrics, hyperparameters and media of a run.

    ``prefix`` is the stage, ``key`` the name of what is logged, ``step`` the epoch: in this order everywhere.
    """

    @abstractmethod
    def log_hyperparams(self, params: Any, metrics: Mapping[str, Any] | None = None) -> None:
        """Log hyperparameters, and metrics that belong to them."""

    @abstractmethod
    def log_metrics(self, prefix: str, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log metrics; values that are no numbers are left out where there is no place for them."""

    @abstractmethod
    def log_audio(
        self, prefix: str, key: str, audio: Any, sample_rate: int, step: int | None = None, **kwargs: Any
    ) -> None:
        """Log a sound of shape ``(channels, samples)``, with values from -1 to 1."""

    @abstractmethod
    def log_image(self, prefix: str, key: str, image: Any, step: int | None = None, **kwargs: Any) -> None:
        """Log a picture of shape ``(channels, height, width)``: floats from 0 to 1, or bytes."""

    @abstractmethod
    def log_text(self, prefix: str, key: str, text: str, step: int | None = None, **kwargs: Any) -> None:
        """Log a text."""

    @property
    @abstractmethod
    def with_media_logging(self) -> bool:
        """Whether pictures, sounds and texts are logged; metrics always are."""

    @property
    @abstractmethod
    def save_dir(self) -> str | Path | None:
        """The folder of the files."""

    @property
    @abstractmethod
    def name(self) -> str | None:
        """The name of the run."""

    @property
    def group_separator(self) -> str:
        """What separates a prefix from a key."""
        return "/"


class FolderLogger(ExperimentLogger):
    """A logger whose files are in a folder.

    Args:
        save_dir: The folder.
        with_media_logging: Whether media are logged.
        name: The name of the run.
    """

    def __init__(self, save_dir: str | Path, with_media_logging: bool, name: str | None) -> None:
        self._save_dir = Path(save_dir)
        self._with_media_logging = with_media_logging
        self._name = name

    @property
    def with_media_logging(self) -> bool:
        """Whether media are logged."""
        return self._with_media_logging

    @property
    def save_dir(self) -> Path:
        """The folder of the files."""
        return self._save_dir

    @property
    def name(self) -> str | None:
        """The name of the run."""
        return self._name

    def _tag(self, prefix: str, key: str) -> str:
        return f"{prefix}{self.group_separator}{key}" if prefix else key

"""Base classes of experiment loggers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import Self

if TYPE_CHECKING:
    from flash.solver.xp import Experiment

__all__ = ["ExperimentLogger", "FolderLogger"]


class ExperimentLogger(ABC):
    """Base class of loggers of metrics, hyperparameters and media.

    ``prefix`` is the stage, ``key`` the name of the logged value, ``step`` the epoch: in this order in all methods.
    """

    @abstractmethod
    def log_hyperparams(self, params: Any, metrics: Mapping[str, Any] | None = None) -> None:
        """Log hyperparameters, and optionally their final metrics."""

    @abstractmethod
    def log_metrics(self, prefix: str, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log metrics; non-numeric values are skipped if the logger does not support them."""

    @abstractmethod
    def log_audio(
        self, prefix: str, key: str, audio: Any, sample_rate: int, step: int | None = None, **kwargs: Any
    ) -> None:
        """Log audio of shape ``(channels, samples)``, with values from -1 to 1."""

    @abstractmethod
    def log_image(self, prefix: str, key: str, image: Any, step: int | None = None, **kwargs: Any) -> None:
        """Log an image of shape ``(channels, height, width)``: floats from 0 to 1, or uint8."""

    @abstractmethod
    def log_text(self, prefix: str, key: str, text: str, step: int | None = None, **kwargs: Any) -> None:
        """Log a text."""

    @property
    @abstractmethod
    def with_media_logging(self) -> bool:
        """True if images, audio and texts are logged; metrics always are."""

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
        """The separator between prefix and key."""
        return "/"


class FolderLogger(ExperimentLogger):
    """Base class of loggers that write to a folder.

    Args:
        save_dir: The folder.
        with_media_logging: Whether media are logged.
        name: The name of the run.
    """

    #: The folder inside that of an experiment.
    default_sub_dir: ClassVar[str]

    def __init__(self, save_dir: str | Path, with_media_logging: bool, name: str | None) -> None:
        self._save_dir = Path(save_dir)
        self._with_media_logging = with_media_logging
        self._name = name

    @classmethod
    def from_xp(
        cls,
        with_media_logging: bool = True,
        name: str | None = None,
        sub_dir: str | None = None,
        xp: Experiment | None = None,
        **kwargs: Any,
    ) -> Self:
        """Create a logger that writes to a folder inside that of an experiment.

        Args:
            with_media_logging: Whether media are logged.
            name: The name of the run.
            sub_dir: The folder inside the experiment's; by default ``default_sub_dir``.
            xp: The experiment; by default the current one.
            kwargs: Other arguments of the class.
        """
        from flash.solver.xp import get_xp

        folder = (xp or get_xp()).folder
        return cls(folder / (sub_dir or cls.default_sub_dir), with_media_logging, name, **kwargs)

    @property
    def with_media_logging(self) -> bool:
        """True if media are logged."""
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

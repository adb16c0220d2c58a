"""LocalFSLogger: write media and hyperparameters to files in the experiment's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from flash.errors import ConfigurationError
from flash.solver.loggers.base import FolderLogger
from flash.solver.loggers.utils import flat_params, write_png, write_wav
from flash.solver.utils import writing_in_folder

__all__ = ["LocalFSLogger"]


class LocalFSLogger(FolderLogger):
    """Writes media to ``<stage>_<epoch>/<key>.png``, ``.wav`` and ``.txt``, and hyperparameters to a JSON file.

    Metrics are in the experiment's history already. The folder is created on the first write.

    Args:
        save_dir: The folder.
        with_media_logging: Whether media are written.
        name: The name of the run.
        use_subdirs: Whether to write to ``<stage>/<epoch>/<key>.png`` instead.
    """

    default_sub_dir: ClassVar[str] = "outputs"

    def __init__(
        self,
        save_dir: str | Path,
        with_media_logging: bool = True,
        name: str | None = None,
        use_subdirs: bool = False,
    ) -> None:
        super().__init__(save_dir, with_media_logging, name)
        self._use_subdirs = use_subdirs

    def log_hyperparams(self, params: Any, metrics: Mapping[str, Any] | None = None) -> None:
        """Write hyperparameters to ``hyperparams.json``, with nested names joined by dots."""
        path = self._save_dir / "hyperparams.json"
        with writing_in_folder(path, "w") as file:
            json.dump(flat_params(params), file, indent=2)

    def log_metrics(self, prefix: str, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Do nothing: the history has the metrics."""

    def log_audio(
        self, prefix: str, key: str, audio: Any, sample_rate: int, step: int | None = None, **kwargs: Any
    ) -> None:
        """Write a WAV file."""
        if self.with_media_logging:
            write_wav(self._path(prefix, key, step, ".wav"), audio, sample_rate)

    def log_image(self, prefix: str, key: str, image: Any, step: int | None = None, **kwargs: Any) -> None:
        """Write a PNG file."""
        if self.with_media_logging:
            write_png(self._path(prefix, key, step, ".png"), image)

    def log_text(self, prefix: str, key: str, text: str, step: int | None = None, **kwargs: Any) -> None:
        """Write a text file."""
        if self.with_media_logging:
            with writing_in_folder(self._path(prefix, key, step, ".txt"), "w") as file:
                file.write(str(text))

    def _path(self, prefix: str, key: str, step: int | None, suffix: str) -> Path:
        parts = [part for part in (prefix, None if step is None else str(step)) if part]
        folder = self._save_dir / self.group_separator.join(parts)
        path = folder / (key + suffix)
        if not path.resolve().is_relative_to(self._save_dir.resolve()):
            raise ConfigurationError(
                f"Expected a name inside {self._save_dir}, but {key!r} is outside of it. Use one without '..'."
            )
        return path

    @property
    def group_separator(self) -> str:
        """The separator between stage and epoch in folder names."""
        return "/" if self._use_subdirs else "_"

"""The folder of a run: its configuration, log, metrics, scores, learning curves and task."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

import yaml  # type: ignore[import-untyped,unused-ignore]  # stubs are another package

from flash.errors import ConfigurationError
from flash.figures import draw_curves
from flash.serialization import is_free, writing

__all__ = ["RunFolder"]

log = logging.getLogger(__name__)


class RunFolder:
    """A folder with ``config.yaml``, ``log.txt``, ``metrics.csv``, ``scores.json``, ``curves.png`` and ``task.ckpt``.

    Args:
        path: The folder; ``None`` for the next of ``run-1``, ``run-2``, ... that is not there yet.

    Raises:
        ConfigurationError: If there is a file at the path, or a folder that is not empty.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = _next() if path is None else Path(path)
        if not is_free(self.path):
            raise ConfigurationError(
                f"Expected an empty or a new folder for the run, but {self.path} is there already. Choose another with "
                "-o, or remove it."
            )

    @property
    def task_file(self) -> Path:
        """The checkpoint of the task."""
        return self.path / "task.ckpt"

    def create(self, config: Mapping[str, Any]) -> None:
        """Create the folder with the configuration, which ``flash fit --config`` repeats.

        Raises:
            CheckpointError: If it cannot be written.
        """
        with self._writing("config.yaml") as file:
            yaml.safe_dump(dict(config), file, sort_keys=False, allow_unicode=True)

    def write_scores(self, scores: Mapping[str, float]) -> None:
        """Write the scores of the task on the validation and test data."""
        with self._writing("scores.json") as file:
            file.write(json.dumps(dict(scores), indent=2) + "\n")

    def _writing(self, name: str, mode: str = "w") -> AbstractContextManager[IO[Any]]:
        encoding = None if "b" in mode else "utf-8"
        return writing(self.path / name, mode, folder_argument="-o FOLDER", encoding=encoding)

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Write what is logged to ``log.txt`` for the duration of the context."""
        handler = logging.FileHandler(self.path / "log.txt", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        loggers = [logging.getLogger(name) for name in ("flash", "pytorch_lightning", "py.warnings")]
        for each in loggers:
            each.addHandler(handler)
        try:
            yield
        finally:
            for each in loggers:
                each.removeHandler(handler)
            handler.close()

    def draw_curves(self, history: Sequence[Mapping[str, float]]) -> None:
        """Draw the metrics per epoch, train beside validation, if matplotlib is installed.

        Args:
            history: The history of the task; without metrics nothing is drawn.
        """
        if not any(len(epoch) > 1 for epoch in history):
            return
        try:
            figure = draw_curves(history)
        except ConfigurationError:
            log.info('No curves.png, since matplotlib is not installed: pip install "flash-core[figures]".')
            return
        with self._writing("curves.png", "wb") as file:
            figure.savefig(file)


def _next() -> Path:
    number = 1
    while (path := Path(f"run-{number}")).exists():
        number += 1
    return path

"""The folder of a baseline: its report, and while it runs what a killed run goes on from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from flash.errors import ConfigurationError
from flash.serialization import is_free, try_lock, writing

__all__ = ["Folder"]


class Folder:
    """A new folder, or that of a run with the same arguments that was killed.

    Args:
        path: The folder.
        arguments: What the run depends on, as JSON can hold it.

    Raises:
        ConfigurationError: If the folder is not empty, and not that of such a run.
        CheckpointError: If it cannot be written.

    Attributes:
        report: The file of the report.
        task_file: The checkpoint of the best task.
        runs: The folder of the checkpoints of trainings, which is removed at the end.
        arguments: What the run depends on, as JSON holds it.
        elapsed: The seconds that the run took before it was killed.
        seconds: The seconds of each training before it was killed, by name.
    """

    def __init__(self, path: str | Path, arguments: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.report = self.path / "report.html"
        self.task_file = self.path / "best.ckpt"
        self.runs = self.path / "runs"
        self._state = self.runs / "state.json"
        self.arguments = json.loads(json.dumps(arguments, default=str))
        self.elapsed = 0.0
        self.seconds: dict[str, float] = {}
        self._is_resumed = self._state.is_file()
        self._was_there = self.path.exists()
        if not self._is_resumed and not is_free(self.path):
            raise ConfigurationError(
                f"Expected an empty or a new folder for the report, but {self.path} is there already. Choose another "
                "with -o, or remove it."
            )
        self.runs.mkdir(parents=True, exist_ok=True)
        self._lock = self._locked()
        if self._is_resumed:
            try:
                self._resume()
            except ConfigurationError:
                self.close()
                raise
        self.keep(self.elapsed, self.seconds)

    def _locked(self) -> IO[str]:
        lock = try_lock(self.runs / "lock")
        if lock is None:
            raise ConfigurationError(
                f"Expected to be the only run in {self.path}, but another one is running there. Wait for it, or choose "
                "another folder with -o."
            )
        return lock

    def close(self) -> None:
        """Let another run have the folder."""
        self._lock.close()

    def _resume(self) -> None:
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
            arguments, self.elapsed, self.seconds = state["arguments"], state["elapsed"], state["seconds"]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                f"Expected the state of a run in {self._state}, but it is damaged ({error}). Remove {self.path}."
            ) from error
        if arguments != self.arguments:
            names = [name for name in self.arguments if arguments.get(name) != self.arguments[name]]
            raise ConfigurationError(
                f"Expected the arguments of the run in {self.path} that did not end, but {', '.join(names)} differs. "
                "Pass the same, choose another folder with -o, or remove this one."
            )

    @contextmanager
    def kept_if_it_begins(self) -> Iterator[None]:
        """Remove the folder of a new run if what is done in the context fails, so that the next one may differ."""
        try:
            yield
        except BaseException:
            if not self._is_resumed:
                shutil.rmtree(self.runs if self._was_there else self.path, ignore_errors=True)
            raise

    def keep(self, elapsed: float, seconds: Mapping[str, float]) -> None:
        """Write how far the run is."""
        self.elapsed, self.seconds = elapsed, dict(seconds)
        state = {"arguments": self.arguments, "elapsed": elapsed, "seconds": self.seconds}
        with writing(self._state, "w", encoding="utf-8", folder_argument="-o FOLDER") as file:
            file.write(json.dumps(state))

    def finish(self) -> None:
        """Remove what only a killed run needs."""
        shutil.rmtree(self.runs)

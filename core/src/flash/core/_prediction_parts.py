"""The folder of what a run predicted before it was interrupted, with what its predictions depend on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from flash.errors import CheckpointError
from flash.serialization import parts_folder, replacing, try_lock

__all__ = ["PredictionParts", "read_json", "write_json"]


_LOCK = "lock"


class PredictionParts:
    """A folder beside a target, of the name with ``.parts``, that one program writes and the same run goes on with.

    Args:
        target: What is written: a file or a folder.
        run: Returns what predictions depend on, as JSON can hold it. Parts of another run are not used.
        argument: Where the user chose the target, for error messages.
    """

    def __init__(self, target: Path, run: Callable[[], Mapping[str, Any]], argument: str) -> None:
        self.folder = parts_folder(target)
        self.run_file = self.folder / "run.json"
        self._target, self._run, self._argument = target, run, argument
        self._lock: IO[str] | None = None

    def begin(self, *, resume: bool, is_empty: Callable[[], bool]) -> bool:
        """Keep the parts of the same run, or remove those of another one.

        Args:
            resume: Whether to go on with them; otherwise they are removed.
            is_empty: Returns whether nothing is complete in them.

        Returns:
            ``False`` if there was something complete that is removed.

        Raises:
            CheckpointError: If another program is writing the target.
        """
        if not self.folder.is_dir():
            return True
        self._acquire()
        if resume and read_json(self.run_file) == self._known_run():
            return True
        was_empty = is_empty()
        self.remove()
        return was_empty

    def create(self, *, leads: bool = True) -> None:
        """Make the folder.

        Args:
            leads: Whether this process locks it and says what the run is: one of several.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if leads and self._lock is None:
            self._acquire()
            write_json(self.run_file, self._known_run())

    def remove(self) -> None:
        """Remove the folder, and let other programs write the target."""
        if self.folder.is_dir():
            # What says whose they are goes last, after lists of them: a run killed here can be told from another one.
            kept = {self.run_file, self.folder / _LOCK}
            for each in sorted(set(self.folder.iterdir()) - kept, key=lambda part: (part.is_file(), part.name)):
                shutil.rmtree(each) if each.is_dir() else each.unlink()
            shutil.rmtree(self.folder)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _known_run(self) -> dict[str, Any]:
        # As it is read again: JSON has lists alone.
        known: dict[str, Any] = json.loads(json.dumps(dict(self._run())))
        return known

    def _acquire(self) -> None:
        self._lock = try_lock(self.folder / _LOCK)
        if self._lock is None:
            raise CheckpointError(
                f"Expected to be the only program that writes {self._target}, but another one is writing it. Wait for "
                f"it, or choose another {'file' if self._target.suffix else 'folder'} with {self._argument}."
            )


def write_json(path: Path, content: Any) -> None:
    """Write a value to a file atomically."""
    with replacing(path, "w", encoding="utf-8") as file:
        json.dump(content, file)


def read_json(path: Path) -> Any:
    """Return the value in a file; ``None`` if it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None

"""Folders that are written in parts: an interrupted run goes on with those that it has."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from flash.errors import CheckpointError
from flash.serialization.files import explaining_write_errors, is_free, sync, try_lock

__all__ = ["UnfinishedFolder", "parts_folder", "resuming_folder"]


def parts_folder(target: Path) -> Path:
    """Return the folder with the parts of a file or a folder that is not complete yet.

    Example:
        >>> parts_folder(Path("runs/out.csv")).name
        'out.csv.parts'
    """
    return target.with_name(f"{target.name}.parts")


class UnfinishedFolder(NamedTuple):
    """A folder that is being written: its files, and what the next run needs to know of them.

    Args:
        content: The folder that becomes the new one.
        notes: A folder for what is known of the files; it is removed at the end.
    """

    content: Path
    notes: Path

    @property
    def path(self) -> Path:
        """The folder with both, which is removed to begin again."""
        return self.content.parent


@contextlib.contextmanager
def resuming_folder(path: str | Path, *, what: str = "folder", folder_argument: str) -> Iterator[UnfinishedFolder]:
    """Context manager: a folder to fill, with the files that an interrupted run wrote, which becomes a new folder.

    It lies in a folder of the name with ``.parts``. If it is left by an error, or its process is killed, it stays, but
    for a folder without files. Whoever fills it writes each file with :func:`~flash.serialization.replacing`, and
    decides which ones are kept.

    Args:
        path: A folder that does not exist yet, or is empty; the folders above it are created.
        what: What the folder is, for the error message.
        folder_argument: Where the user chose the folder, for the error message.

    Raises:
        CheckpointError: If the folder exists already, cannot be written, or another program is writing it.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "shards"
        >>> with contextlib.suppress(KeyboardInterrupt), resuming_folder(target, folder_argument="folder=") as folder:
        ...     _ = (folder.content / "first").write_text("written")
        ...     raise KeyboardInterrupt
        >>> target.exists()
        False
        >>> with resuming_folder(target, folder_argument="folder=") as folder:
        ...     _ = (folder.content / "second").write_text("written")
        >>> sorted(file.name for file in target.iterdir()), [each.name for each in target.parent.iterdir()]
        (['first', 'second'], ['shards'])
    """
    target = Path(path)
    if not is_free(target):
        raise CheckpointError(
            f"Expected a folder that does not exist yet, or is empty, as the new {what}, but {target} is there. Remove "
            f"it, or choose another one with {folder_argument}."
        )
    whole = parts_folder(target)
    folder = UnfinishedFolder(whole / "content", whole / "notes")
    with explaining_write_errors(target, what=what, folder_argument=folder_argument):
        whole.mkdir(parents=True, exist_ok=True)
        lock = try_lock(whole / "lock")
    if lock is None:
        raise CheckpointError(
            f"Expected to be the only program that writes {target}, but another one is writing it. Wait for it, or "
            f"choose another folder with {folder_argument}."
        )
    try:
        with explaining_write_errors(target, what=what, folder_argument=folder_argument):
            for each in folder:
                each.mkdir(exist_ok=True)
        yield folder
        with explaining_write_errors(target, what=what, folder_argument=folder_argument):
            for file in folder.content.rglob("*"):
                sync(file)
            os.replace(folder.content, target)  # noqa: PTH105  # onto an empty folder too
            sync(target.parent)
    finally:
        # Also after a run that was killed between its last two steps.
        if not any(file.is_file() for file in folder.content.rglob("*")):
            shutil.rmtree(whole, ignore_errors=True)
        lock.close()

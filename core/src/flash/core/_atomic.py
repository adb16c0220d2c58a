"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

__all__ = ["replacing"]


@contextlib.contextmanager
def replacing(target: Path, temporary: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a file that takes the place of ``target`` once it is complete and on the disk.

    Whatever happens, ``target`` is at any time either the old file or the new one, whole.

    Args:
        target: The file to write.
        temporary: What it is called until then, in the same folder; it does not stay.
        mode: As in ``open``.
    """
    try:
        with temporary.open(mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    # The new name is on the disk only when the folder is; Windows has no way to say that.
    with contextlib.suppress(OSError):
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

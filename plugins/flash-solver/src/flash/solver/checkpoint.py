"""Checkpoint files: read without executing code, written atomically, optionally in a background thread.

Checkpoints of Flashy are read too: :mod:`flash.solver.placeholders`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from flash import serialization
from flash.errors import CheckpointError, UnsafeCheckpointError
from flash.solver.placeholders import PLACEHOLDERS, replace_placeholders
from flash.solver.utils import AnyPath

__all__ = ["CheckpointWriter", "read_checkpoint"]

log = logging.getLogger(__name__)


def read_checkpoint(path: AnyPath, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint, of this package or of Flashy, without executing code.

    Args:
        path: The file.
        map_location: The device of its tensors, as in ``torch.load``.

    Raises:
        UnsafeCheckpointError: If loading would execute code.
        CheckpointError: If the file does not exist, is truncated, or is not a checkpoint.
    """
    checkpoint = serialization.read_checkpoint(path, map_location, allowed=PLACEHOLDERS)
    try:
        found: dict[str, Any] = serialization.from_serializable(replace_placeholders(checkpoint))
    except ValueError as error:
        raise UnsafeCheckpointError(f"The checkpoint was refused: {error}.") from error
    except RecursionError as error:
        raise CheckpointError(
            f"Expected a checkpoint, but the values in {path} contain each other too deeply. It is of another program: "
            "use an earlier checkpoint."
        ) from error
    return found


class CheckpointWriter:
    """Writes checkpoints, one at a time; errors of a background thread are raised by the next call.

    Example:
        >>> writer = CheckpointWriter()
        >>> writer.run(lambda: print("written"), in_background=False)
        written
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def run(self, job: Callable[[], None], in_background: bool) -> None:
        """Run a job after the previous one is done.

        Args:
            job: The function that writes the checkpoint.
            in_background: Whether to run it in a thread and return at once. The program waits for the thread at exit.

        Raises:
            CheckpointError: If the previous job failed in the background, or this one fails here.
        """
        self.wait()
        if in_background:
            self._thread = threading.Thread(target=self._run_job, args=(job,), name="checkpoint")
            self._thread.start()
        else:
            job()

    def _run_job(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # Any error is raised again in the training thread.
            self._error = error
            log.error("A checkpoint could not be written in the background: %s", error)

    def wait(self) -> None:
        """Block until the job in the background is done.

        Raises:
            CheckpointError: If it failed.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if isinstance(error, CheckpointError):
            raise error
        if error is not None:
            raise CheckpointError(f"A checkpoint could not be written in the background: {error}") from error

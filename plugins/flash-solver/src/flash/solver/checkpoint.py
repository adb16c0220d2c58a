"""Checkpoint files: read without executing code, written atomically, optionally in a background thread.

Checkpoints of Flashy are read too. They hold configurations as OmegaConf objects, whose classes are replaced by inert
placeholders here.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flash import serialization
from flash.errors import CheckpointError
from flash.solver.utils import AnyPath

__all__ = ["CheckpointWriter", "read_checkpoint"]

log = logging.getLogger(__name__)


class _Placeholder:
    """Placeholder of an OmegaConf object in a file: stores its state, and does nothing."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _placeholder_classes() -> list[type]:
    names = {
        "omegaconf.dictconfig": ("DictConfig",),
        "omegaconf.listconfig": ("ListConfig",),
        "omegaconf.base": ("Metadata", "ContainerMetadata", "Node", "SCMode"),
        "omegaconf.nodes": (
            *("AnyNode", "BooleanNode", "BytesNode", "EnumNode", "FloatNode", "IntegerNode", "PathNode", "StringNode"),
        ),
        "typing": ("Any", "Union", "Optional"),
    }
    made = [type(name, (_Placeholder,), {"__module__": module}) for module, group in names.items() for name in group]
    return [*made, type("defaultdict", (_DictPlaceholder,), {"__module__": "collections"})]


class _DictPlaceholder:
    """Placeholder of a ``defaultdict`` in a file: creates a dict, the only mapping that torch's unpickler fills."""

    def __new__(cls, *_: Any) -> Any:
        return {}


def _numpy_names() -> list[Any]:
    array: Any = np.empty(0).__reduce__()
    scalar: Any = np.float64(0).__reduce__()
    return [array[0], scalar[0], np.ndarray, np.dtype, *{type(np.dtype(code)) for code in "?bhilqBHILQefdFD"}]


_ALLOWED_GLOBALS: list[Any] = [*_placeholder_classes(), *_numpy_names(), dict, list, tuple, int, float, str, bool]


def _replace_placeholders(value: Any) -> Any:
    if isinstance(value, _Placeholder):
        state = value.state if isinstance(value.state, Mapping) else {}
        return _replace_placeholders(state.get("_content", state.get("_val")))
    if isinstance(value, dict):
        return {key: _replace_placeholders(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_replace_placeholders(item) for item in value)
    return value


def read_checkpoint(path: AnyPath, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint, of this package or of Flashy, without executing code.

    Args:
        path: The file.
        map_location: The device of its tensors, as in ``torch.load``.

    Raises:
        UnsafeCheckpointError: If loading would execute code.
        CheckpointError: If the file does not exist, is truncated, or is not a checkpoint.
    """
    checkpoint = serialization.read_checkpoint(path, map_location, allowed=_ALLOWED_GLOBALS)
    found: dict[str, Any] = serialization.from_serializable(_replace_placeholders(checkpoint))
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


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it where links are not supported; replacing the source later keeps the target."""
    import os
    import shutil

    temporary = target.with_name(target.name + ".tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    with contextlib.suppress(FileNotFoundError):
        temporary.replace(target)

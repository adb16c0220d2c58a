"""Checkpoint files: plain data, read without executing anything, written whole or not at all.

Files of Flashy are read too. They hold configurations as objects of OmegaConf, whose classes are replaced here by
ones that do nothing.
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


class _Stored:
    """Stands for an object of OmegaConf in a file: takes its state, and does nothing."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _stand_ins() -> list[type]:
    names = {
        "omegaconf.dictconfig": ("DictConfig",),
        "omegaconf.listconfig": ("ListConfig",),
        "omegaconf.base": ("Metadata", "ContainerMetadata", "Node", "SCMode"),
        "omegaconf.nodes": (
            *("AnyNode", "BooleanNode", "BytesNode", "EnumNode", "FloatNode", "IntegerNode", "PathNode", "StringNode"),
        ),
        "typing": ("Any", "Union", "Optional"),
    }
    made = [type(name, (_Stored,), {"__module__": module}) for module, group in names.items() for name in group]
    return [*made, type("defaultdict", (_PlainDict,), {"__module__": "collections"})]


class _PlainDict:
    """Stands for a ``defaultdict`` in a file: makes a dict, since torch fills no other kind."""

    def __new__(cls, *_: Any) -> Any:
        return {}


def _numpy_names() -> list[Any]:
    array: Any = np.empty(0).__reduce__()
    scalar: Any = np.float64(0).__reduce__()
    return [array[0], scalar[0], np.ndarray, np.dtype, *{type(np.dtype(code)) for code in "?bhilqBHILQefdFD"}]


_ALLOWED: list[Any] = [*_stand_ins(), *_numpy_names(), dict, list, tuple, int, float, str, bool]


def _without_stand_ins(value: Any) -> Any:
    if isinstance(value, _Stored):
        state = value.state if isinstance(value.state, Mapping) else {}
        return _without_stand_ins(state.get("_content", state.get("_val")))
    if isinstance(value, dict):
        return {key: _without_stand_ins(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_without_stand_ins(item) for item in value)
    return value


def read_checkpoint(path: AnyPath, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint, of this package or of Flashy, without executing anything that it holds.

    Args:
        path: The file.
        map_location: Where its tensors go, as in ``torch.load``.

    Raises:
        UnsafeCheckpointError: If loading would execute code.
        CheckpointError: If there is no such file, or it is truncated or no checkpoint.
    """
    checkpoint = serialization.read_checkpoint(path, map_location, allowed=_ALLOWED)
    found: dict[str, Any] = serialization.from_serializable(_without_stand_ins(checkpoint))
    return found


class CheckpointWriter:
    """Writes checkpoints now or in the background, one at a time; an error in the background is raised later.

    Example:
        >>> writer = CheckpointWriter()
        >>> writer.run(lambda: print("written"), in_background=False)
        written
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def run(self, job: Callable[[], None], in_background: bool) -> None:
        """Do a job once the one before is done.

        Args:
            job: What writes.
            in_background: Whether this call returns before it is done. The program waits for it before it ends.

        Raises:
            CheckpointError: If the job before failed in the background, or this one fails here.
        """
        self.wait()
        if in_background:
            self._thread = threading.Thread(target=self._try, args=(job,), name="checkpoint")
            self._thread.start()
        else:
            job()

    def _try(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # Whatever it is, it is raised in the thread that trains.
            self._error = error
            log.error("A checkpoint could not be written in the background: %s", error)

    def wait(self) -> None:
        """Wait until everything is written.

        Raises:
            CheckpointError: If that failed.
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
    """Give a file a second name, which it keeps when the first one gets another content."""
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

"""Experiments: folder, configuration and history of a run.

If Dora is installed, its own experiments are used. Otherwise ``XP`` reimplements them with the same signatures, folders
and files.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from hashlib import sha1
from pathlib import Path
from typing import Any, Protocol

from flash.errors import CheckpointError
from flash.solver.errors import SolverError
from flash.solver.processes import is_rank_zero
from flash.solver.serialization import metrics_to_json
from flash.solver.utils import AnyPath, writing_in_folder

__all__ = ["XP", "Experiment", "Link", "Settings", "get_xp", "is_xp"]


class History(Protocol):
    """Protocol of the history: the metrics of all epochs, mirrored to a file."""

    history: list[dict[str, Any]]

    def update_history(self, history: list[dict[str, Any]]) -> None:
        """Replace the history, and write it to the file."""


class Experiment(Protocol):
    """Protocol of the experiments that a solver accepts: Dora's ``XP`` and :class:`XP`."""

    cfg: Any
    sig: Any
    link: Any

    @property
    def folder(self) -> Path:
        """The output folder."""


class Link:
    """The history of an experiment, and its file ``history.json``.

    Args:
        history_file: The file; ``None`` to keep the history in memory only.

    Example:
        >>> link = Link()
        >>> link.push_metrics({"train": {"loss": 0.5}})
        >>> link.history
        [{'train': {'loss': 0.5}}]
    """

    def __init__(self, history_file: AnyPath | None = None) -> None:
        self.history: list[dict[str, Any]] = []
        self.history_file = None if history_file is None else Path(history_file)

    def load(self) -> None:
        """Read the file, if it exists.

        Raises:
            CheckpointError: If it is damaged.
        """
        if self.history_file is None or not self.history_file.exists():
            return
        try:
            history = json.loads(self.history_file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise _damaged(self.history_file, str(error)) from error
        if not isinstance(history, list) or not all(isinstance(epoch, dict) for epoch in history):
            raise _damaged(self.history_file, "it is no list of epochs")
        self.history = history

    def update_history(self, history: list[dict[str, Any]]) -> None:
        """Replace the history, and write the file on rank 0."""
        self.history[:] = metrics_to_json(history)
        self._write()

    def push_metrics(self, metrics: dict[str, Any]) -> None:
        """Append the metrics of an epoch, and write the file on rank 0."""
        self.history.append(metrics_to_json(metrics))
        self._write()

    def _write(self) -> None:
        if self.history_file is not None and is_rank_zero():
            with writing_in_folder(self.history_file, "w") as file:
                json.dump(self.history, file, indent=2)


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"Expected the metrics of a run in {path}, but the file is damaged: {reason}. Remove it: the checkpoint beside "
        "it has them too."
    )


@dataclass
class Settings:
    """The section ``dora`` of a configuration.

    Args:
        dir: The folder of all experiments.
        exclude: Patterns of settings that do not count for an experiment's signature, such as ``num_workers``.
        xps: The folder inside ``dir`` with one folder per experiment.
        history: The file with an experiment's metrics.
    """

    dir: Path = Path("./outputs")
    exclude: list[str] = field(default_factory=list)
    xps: str = "xps"
    history: str = "history.json"

    @classmethod
    def from_config(cls, section: dict[str, Any]) -> Settings:
        """Create settings from the section; keys that only Dora uses are ignored."""
        known = {key: value for key, value in section.items() if key in cls.__dataclass_fields__}
        settings = cls(**known)
        settings.dir = Path(settings.dir).absolute()
        settings.exclude = [*settings.exclude, "dora.*", "slurm.*"]
        return settings

    def is_excluded(self, name: str) -> bool:
        """Return whether a setting does not count for an experiment's signature."""
        return any(fnmatch(name, pattern) for pattern in self.exclude)


class XP:
    """An experiment, identified by the difference of its configuration from the default one.

    Args:
        dora: The settings of the folders.
        cfg: The configuration.
        argv: The command-line arguments.
        delta: The settings that differ from the default, as ``[(name, value)]``.
        sig: The signature; by default it is computed from ``delta``, as Dora does.

    Example:
        >>> XP(Settings(), cfg=None, argv=[], delta=[]).sig
        '97d170e1'
    """

    def __init__(
        self,
        dora: Settings,
        cfg: Any,
        argv: Sequence[str],
        delta: Sequence[tuple[str, Any]] | None = None,
        sig: str | None = None,
    ) -> None:
        self.dora = dora
        self.cfg = cfg
        self.argv = list(argv)
        self.delta = None if delta is None else [[key, value] for key, value in delta if not dora.is_excluded(key)]
        if sig is None:
            # Dora's algorithm: the hash names a folder, it is not used for security.
            text = json.dumps(sorted(self.delta or []))
            sig = sha1(text.encode(), usedforsecurity=False).hexdigest()[:8]
        self.sig: str | None = sig
        self.link: Any = Link(self.history)

    @property
    def folder(self) -> Path:
        """The output folder of the experiment."""
        return self.dora.dir / self.dora.xps / str(self.sig)

    @property
    def history(self) -> Path:
        """The file with the metrics."""
        return self.folder / self.dora.history

    @property
    def code_folder(self) -> Path:
        """The folder of the code."""
        return Path()

    @contextmanager
    def enter(self, stack: bool = False) -> Iterator[None]:
        """Make this the current experiment, for :func:`get_xp`.

        Args:
            stack: Whether it may be nested in another experiment.

        Raises:
            SolverError: If another experiment is running and ``stack`` is false.
        """
        if _xp_stack and not stack:
            raise SolverError("Expected no running experiment, but there is one. Use enter(stack=True).")
        _xp_stack.append(self)
        try:
            yield
        finally:
            _xp_stack.pop()


class FolderXP(XP):
    """An experiment that consists of a folder only, without a configuration.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: AnyPath) -> None:
        self._folder = Path(folder).absolute()
        super().__init__(Settings(), cfg=None, argv=[], delta=[], sig=self._folder.name)

    @property
    def folder(self) -> Path:
        """The folder."""
        return self._folder


_xp_stack: list[XP] = []


def _dora_xp() -> Any:
    """Return Dora's current experiment, if Dora is imported and one is running."""
    module = sys.modules.get("dora.xp")
    return module.get_xp() if module is not None and module.is_xp() else None


def get_xp() -> Any:
    """Return the running experiment, Dora's or one of this package.

    Raises:
        SolverError: If there is none.
    """
    found = _dora_xp() or (_xp_stack[-1] if _xp_stack else None)
    if found is None:
        raise SolverError(
            "Not in a xp! Start the program through a function decorated with hydra_main, or pass a folder to the "
            "solver: BaseSolver(folder='runs/first')."
        )
    return found


def is_xp() -> bool:
    """Return whether an experiment is running."""
    return bool(_xp_stack) or _dora_xp() is not None

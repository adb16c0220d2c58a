"""The experiment that a solver works in: its folder, its configuration and its history.

Dora's experiments are taken as they are. Without Dora there is the same in small: the same signatures, the same
folders, the same files.
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

from flash.solver.errors import SolverError
from flash.solver.plain import plain_metrics
from flash.solver.processes import is_rank_zero
from flash.solver.utils import AnyPath, write_and_rename

__all__ = ["XP", "Experiment", "Link", "Settings", "get_xp", "is_xp"]


class History(Protocol):
    """The metrics of all epochs, and the file that other programs read them from."""

    history: list[dict[str, Any]]

    def update_history(self, history: list[dict[str, Any]]) -> None:
        """Replace the history, and write the file."""


class Experiment(Protocol):
    """What a solver needs of an experiment; Dora's ``XP`` has it, and :class:`XP` here."""

    cfg: Any
    sig: Any
    link: Any

    @property
    def folder(self) -> Path:
        """Where everything goes."""


class Link:
    """The history of an experiment, and its file ``history.json``.

    Args:
        history_file: The file; ``None`` for a history without one.

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
        """Read the file, if there is one."""
        if self.history_file is not None and self.history_file.exists():
            self.history = json.loads(self.history_file.read_text(encoding="utf-8"))

    def update_history(self, history: list[dict[str, Any]]) -> None:
        """Replace the history, and write the file from the first process."""
        self.history[:] = plain_metrics(history)
        self._write()

    def push_metrics(self, metrics: dict[str, Any]) -> None:
        """Add an epoch, and write the file from the first process."""
        self.history.append(plain_metrics(metrics))
        self._write()

    def _write(self) -> None:
        if self.history_file is not None and is_rank_zero():
            self.history_file.parent.mkdir(parents=True, exist_ok=True)
            with write_and_rename(self.history_file, "w") as file:
                json.dump(self.history, file, indent=2)


@dataclass
class Settings:
    """The section ``dora`` of a configuration.

    Args:
        dir: The folder of all experiments.
        exclude: Patterns of settings that do not belong to an experiment's identity, such as ``num_workers``.
        xps: The folder inside ``dir`` with one folder an experiment.
        history: The file with an experiment's metrics.
    """

    dir: Path = Path("./outputs")
    exclude: list[str] = field(default_factory=list)
    xps: str = "xps"
    history: str = "history.json"

    @classmethod
    def from_config(cls, section: dict[str, Any]) -> Settings:
        """Take from the section what there is; what is Dora's alone is ignored."""
        known = {key: value for key, value in section.items() if key in cls.__dataclass_fields__}
        settings = cls(**known)
        settings.dir = Path(settings.dir).absolute()
        settings.exclude = [*settings.exclude, "dora.*", "slurm.*"]
        return settings

    def is_excluded(self, name: str) -> bool:
        """Whether a setting does not belong to an experiment's identity."""
        return any(fnmatch(name, pattern) for pattern in self.exclude)


class XP:
    """An experiment: a configuration, known by how it differs from the one without arguments.

    Args:
        dora: Where experiments are kept.
        cfg: The configuration.
        argv: The arguments that made it.
        delta: The settings that differ, as ``[(name, value)]``.
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
            # Dora's own way: it names a folder and protects nothing.
            text = json.dumps(sorted(self.delta or []))
            sig = sha1(text.encode(), usedforsecurity=False).hexdigest()[:8]
        self.sig: str | None = sig
        self.link: Any = Link(self.history)

    @property
    def folder(self) -> Path:
        """Where everything of this experiment goes."""
        return self.dora.dir / self.dora.xps / str(self.sig)

    @property
    def history(self) -> Path:
        """The file with the metrics."""
        return self.folder / self.dora.history

    @property
    def code_folder(self) -> Path:
        """Where the code runs."""
        return Path()

    @contextmanager
    def enter(self, stack: bool = False) -> Iterator[None]:
        """Make this the current experiment, for :func:`get_xp`.

        Args:
            stack: Whether it may be inside another one.

        Raises:
            SolverError: If it is inside another one, and may not be.
        """
        if _entered and not stack:
            raise SolverError("Expected no experiment to be running, but there is one. Use enter(stack=True).")
        _entered.append(self)
        try:
            yield
        finally:
            _entered.pop()


class FolderXP(XP):
    """An experiment that is a folder and nothing else.

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


_entered: list[XP] = []


def _dora_xp() -> Any:
    """Dora's current experiment; a program that is in one has imported Dora."""
    module = sys.modules.get("dora.xp")
    return module.get_xp() if module is not None and module.is_xp() else None


def get_xp() -> Any:
    """Return the experiment that runs now, Dora's or one of this package.

    Raises:
        SolverError: If there is none.
    """
    found = _dora_xp() or (_entered[-1] if _entered else None)
    if found is None:
        raise SolverError(
            "Not in a xp! Start the program through a function decorated with hydra_main, or give the solver a "
            "folder: BaseSolver(folder='runs/first')."
        )
    return found


def is_xp() -> bool:
    """Whether an experiment runs now."""
    return bool(_entered) or _dora_xp() is not None

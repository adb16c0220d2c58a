"""Renames: old names of a plugin's contributions, so that checkpoints and programs that use them keep working."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

from flash.errors import ConfigurationError
from flash.plugins._messages import show
from flash.plugins._spec import ANY_CASE_NAME, TASK_NAME, check_name, check_target

__all__ = ["RENAMABLE", "Renamed", "follow"]

#: The kinds of objects that checkpoints store by name.
RENAMABLE: Final = (
    *("class", "task", "backbone", "strategy"),
    *("output", "optimizer", "lr scheduler", "metric", "loss", "head", "augmentation"),
)


@dataclass(frozen=True)
class Renamed:
    """A contribution of the plugin that had another name before.

    Args:
        old: The name that older checkpoints store: for a class, or a function that changes structure, its
            ``"module:attribute"`` then; for anything else the name of its description, without the distribution.
        new: The name now, of the same form.
        of: The kind of the contribution: ``"class"``, ``"task"``, ``"backbone"``, ``"strategy"``, or a kind of
            component, such as ``"output"``.

    Raises:
        ConfigurationError: If ``of`` is not such a kind, or a name is malformed.

    Example:
        >>> Renamed("acme.tasks:ToneTagger", "acme.models:AudioClassifier").targets
        {'new': 'acme.models:AudioClassifier'}
        >>> Renamed("wav_cnn", "wav_cnn.v1", of="backbone").scope
        'backbone'
    """

    old: str
    new: str
    of: str = "class"

    kind: ClassVar[str] = "rename"
    target_fields: ClassVar[tuple[str, ...]] = ("new",)
    unique_name: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.of not in RENAMABLE:
            raise ConfigurationError(f"Renamed.of must be one of {', '.join(RENAMABLE)}, but got {show(self.of)}")
        for field in ("old", "new"):
            value = getattr(self, field)
            if self.of == "class":
                _check_path(field, value)
            else:
                check_name("Renamed", field, value, TASK_NAME if self.of == "task" else ANY_CASE_NAME)
        if self.old == self.new:
            raise ConfigurationError(f"Renamed.old and Renamed.new must differ, but both are {show(self.new)}")

    @property
    def name(self) -> str:
        """The old name."""
        return self.old

    @property
    def scope(self) -> str:
        """The kind of the contribution."""
        return self.of

    @property
    def summary(self) -> str:
        """A sentence with the new name, for listings."""
        return f"Is called {self.new} now."

    @property
    def targets(self) -> dict[str, str]:
        """The ``"module:attribute"`` string of a class, by the name of its field."""
        return {"new": self.new} if self.of == "class" else {}


def _check_path(field: str, value: object) -> None:
    try:
        check_target(f"Renamed.{field}", value)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}; if it is not a class, pass its kind, such as of='backbone'") from None


def follow(renames: Iterable[Renamed], old: str) -> str | None:
    """Return the current name after all renames, or None if the name was not renamed.

    Args:
        renames: The renames of one kind and one distribution.
        old: The name.

    Example:
        >>> follow([Renamed("a.b:C", "a.b:D"), Renamed("a.b:D", "a.e:D")], "a.b:C")
        'a.e:D'
    """
    table = {each.old: each.new for each in renames}
    name, passed = old, {old}
    while table.get(name, old) not in passed:
        name = table[name]
        passed.add(name)
    return None if name == old else name

"""The engines that commands train and predict with: ``--engine NAME``, and the options of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flash.cli._options import Option, function_options
from flash.plugins import get_host

__all__ = ["HELP", "ChosenEngine", "find_engine"]

#: The help of the option ``--engine``.
HELP = "where to run, such as ray of flash-ray (default: this process); flash components engines lists them"

# What the commands pass; an engine's own options are its further parameters.
_PASSED = {
    "fit": ("task", "data", "strategy", "trainer", "folder"),
    "predict": ("checkpoint", "source", "target", "id_field", "names", "output", "batch_size", "reading"),
}


@dataclass(frozen=True)
class ChosenEngine:
    """An engine, and what it can do for a command.

    Args:
        name: Its name, which is the group of its options.
        run: The function that a plugin registered for the command.
        options: The options of its own.
    """

    name: str
    run: Callable[..., Any]
    options: list[Option]

    @property
    def title(self) -> str:
        """The heading of its options."""
        return f"engine {self.name}"


def find_engine(name: str | None, command: str) -> ChosenEngine | None:
    """Return the engine that was asked for; ``None`` if none was.

    Args:
        name: The value of ``--engine``.
        command: ``"fit"`` or ``"predict"``.

    Raises:
        UnknownNameError: If no plugin has it; the message lists those that there are.
    """
    if name is None:
        return None
    run = get_host().engines()[name].load(command)
    return ChosenEngine(name, run, function_options(run, _PASSED[command]))

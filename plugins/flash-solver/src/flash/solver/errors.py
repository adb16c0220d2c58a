"""What can go wrong in a solver, besides the errors that every part of Flash raises."""

from __future__ import annotations

from flash.errors import CheckpointError, FlashError

__all__ = ["DistributedError", "Interrupted", "SolverError", "StateError"]


class SolverError(FlashError, RuntimeError):
    """A call at the wrong time: a stage inside a stage, metrics outside one, no experiment to work in."""


class StateError(CheckpointError, KeyError):
    """State that a checkpoint has and the solver does not know, or the other way round."""


class DistributedError(FlashError, RuntimeError):
    """Processes that do not agree, or cannot find each other."""


class Interrupted(SystemExit):  # It ends the program as asked; it is no error.
    """The program was asked to stop; everything up to the last step is saved.

    Args:
        signum: The signal that asked for it. The exit code is 128 plus its number, as in a shell.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum

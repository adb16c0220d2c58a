"""Errors of a solver, besides those in ``flash.errors``."""

from __future__ import annotations

from flash.errors import CheckpointError, FlashError

__all__ = ["DistributedError", "Interrupted", "SolverError", "StateError"]


class SolverError(FlashError, RuntimeError):
    """Invalid call order: a nested stage, metrics outside a stage, or no running experiment."""


class StateError(CheckpointError, KeyError):
    """Mismatch between the state in a checkpoint and the registered state."""


class DistributedError(FlashError, RuntimeError):
    """Processes with inconsistent data, or an error in another process."""


class Interrupted(SystemExit):  # It ends the program on request and is not an error.
    """Exit after a stop signal; the checkpoint holds everything up to the last step.

    Args:
        signum: The number of the signal. The exit code is 128 plus it, as in a shell.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum

"""A baseline for your data: checks, a race of models within a time limit, a leaderboard and a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash.plugins import lazy_exports

if TYPE_CHECKING:
    from .baseline import Baseline as Baseline
    from .baseline import run as run
    from .refitting import Refitted as Refitted
    from .refitting import refit as refit

__version__ = "0.1.0"

_EXPORTS = {"Baseline": ".baseline", "Refitted": ".refitting", "refit": ".refitting", "run": ".baseline"}

__all__ = ["Baseline", "Refitted", "refit", "run"]


# Hidden from type checkers, which would otherwise accept any misspelled name.
if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)

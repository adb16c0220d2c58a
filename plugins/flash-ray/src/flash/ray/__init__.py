"""Training on Ray Train and prediction on Ray Data: ``fit``, ``finetune`` and ``predict`` on many machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash.plugins import lazy_exports

if TYPE_CHECKING:
    from .prediction import predict as predict
    from .training import Run as Run
    from .training import finetune as finetune
    from .training import fit as fit

__version__ = "0.1.0"

_EXPORTS = {"Run": ".training", "finetune": ".training", "fit": ".training", "predict": ".prediction"}

__all__ = ["Run", "finetune", "fit", "predict"]


# Hidden from type checkers, which would otherwise accept any misspelled name.
if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)

"""The hackable loop: a solver runs stages, reports metrics and saves state; everything else is yours.

A project written for Flashy runs with ``import flash.solver as flashy``.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import adversarial as adversarial
    from . import distrib as distrib
    from . import formatter as formatter
    from . import loggers as loggers
    from . import logging as logging
    from . import solver as solver
    from . import state as state
    from . import utils as utils
    from .adversarial import AdversarialLoss as AdversarialLoss
    from .bridge import TaskSolver as TaskSolver
    from .ema import EMA as EMA
    from .errors import DistributedError as DistributedError
    from .errors import Interrupted as Interrupted
    from .errors import SolverError as SolverError
    from .errors import StateError as StateError
    from .formatter import Formatter as Formatter
    from .hydra import hydra_main as hydra_main
    from .loggers import ExperimentLogger as ExperimentLogger
    from .loggers import LocalFSLogger as LocalFSLogger
    from .loggers import TensorboardLogger as TensorboardLogger
    from .loggers import WandbLogger as WandbLogger
    from .logging import LogProgressBar as LogProgressBar
    from .logging import ResultLogger as ResultLogger
    from .logging import bold as bold
    from .logging import colorize as colorize
    from .logging import setup_logging as setup_logging
    from .policy import CheckpointPolicy as CheckpointPolicy
    from .solver import BaseSolver as BaseSolver
    from .state import StateManager as StateManager
    from .utils import averager as averager
    from .utils import readonly as readonly
    from .utils import write_and_rename as write_and_rename
    from .xp import XP as XP
    from .xp import Link as Link
    from .xp import get_xp as get_xp
    from .xp import is_xp as is_xp

__version__ = "0.1.0"

_MODULES = {
    *("adversarial", "bridge", "checkpoint", "distrib", "ema", "errors", "formatter", "hydra", "loggers", "logging"),
    *("plain", "policy", "processes", "sampling", "solver", "state", "utils", "xp"),
}

_EXPORTS = {
    "AdversarialLoss": ".adversarial",
    "BaseSolver": ".solver",
    "CheckpointPolicy": ".policy",
    "DistributedError": ".errors",
    "EMA": ".ema",
    "ExperimentLogger": ".loggers",
    "Formatter": ".formatter",
    "Interrupted": ".errors",
    "Link": ".xp",
    "LocalFSLogger": ".loggers",
    "LogProgressBar": ".logging",
    "ResultLogger": ".logging",
    "SolverError": ".errors",
    "StateError": ".errors",
    "StateManager": ".state",
    "TaskSolver": ".bridge",
    "TensorboardLogger": ".loggers",
    "WandbLogger": ".loggers",
    "XP": ".xp",
    "averager": ".utils",
    "bold": ".logging",
    "colorize": ".logging",
    "get_xp": ".xp",
    "hydra_main": ".hydra",
    "is_xp": ".xp",
    "readonly": ".utils",
    "setup_logging": ".logging",
    "write_and_rename": ".utils",
}

__all__ = [
    "EMA",
    "XP",
    "AdversarialLoss",
    "BaseSolver",
    "CheckpointPolicy",
    "DistributedError",
    "ExperimentLogger",
    "Formatter",
    "Interrupted",
    "Link",
    "LocalFSLogger",
    "LogProgressBar",
    "ResultLogger",
    "SolverError",
    "StateError",
    "StateManager",
    "TaskSolver",
    "TensorboardLogger",
    "WandbLogger",
    "averager",
    "bold",
    "colorize",
    "get_xp",
    "hydra_main",
    "is_xp",
    "readonly",
    "setup_logging",
    "write_and_rename",
]


# A type checker that saw this would take any misspelt name for one of them.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if "dora.hydra" in sys.modules and name == "BaseSolver":
            # Whoever makes a solver decorates the program that runs it right after.
            importlib.import_module(".hydra", __name__).serve_through_dora()
        if name in _MODULES:
            return importlib.import_module(f".{name}", __name__)
        if name not in _EXPORTS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_home(name), __name__), name)
        if name != "BaseSolver":
            globals()[name] = value
        return value


def _home(name: str) -> str:
    """Where a name is: Dora's own experiments are used where Dora is installed."""
    if name in ("XP", "Link") and importlib.util.find_spec("dora") is not None:
        return "dora"
    return _EXPORTS[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})

"""A customizable training loop: a solver runs stages, logs metrics and saves state; everything else is your code.

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
    from .task_solver import TaskSolver as TaskSolver
    from .utils import averager as averager
    from .utils import readonly as readonly
    from .utils import write_and_rename as write_and_rename
    from .xp import XP as XP
    from .xp import Link as Link
    from .xp import get_xp as get_xp
    from .xp import is_xp as is_xp

__version__ = "0.1.0"

_MODULES = {
    *("adversarial", "checkpoint", "distrib", "ema", "errors", "formatter", "hydra", "loggers", "logging", "policy"),
    *("processes", "sampling", "serialization", "solver", "state", "task_solver", "utils", "xp"),
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
    "TaskSolver": ".task_solver",
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


# A type checker that saw this would accept any misspelled name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if "dora.hydra" in sys.modules and name == "BaseSolver":
            # A program that defines a solver applies Dora's decorator right after.
            importlib.import_module(".hydra", __name__).patch_dora_hydra_main()
        if name in _MODULES:
            return importlib.import_module(f".{name}", __name__)
        if name not in _EXPORTS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_module_of(name), __name__), name)
        if name != "BaseSolver":
            globals()[name] = value
        return value


def _module_of(name: str) -> str:
    """Return the module that defines a name; if Dora is installed, XP and Link are Dora's own."""
    if name in ("XP", "Link") and importlib.util.find_spec("dora") is not None:
        return "dora"
    return _EXPORTS[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})

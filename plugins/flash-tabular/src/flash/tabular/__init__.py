"""Tabular classification and regression; all statistics are learned from training rows only."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data import TabularClassificationData as TabularClassificationData
    from .data import TabularData as TabularData
    from .data import TabularRegressionData as TabularRegressionData
    from .preprocess import TabularPreprocess as TabularPreprocess
    from .tasks import TabularClassifier as TabularClassifier
    from .tasks import TabularRegressor as TabularRegressor

__version__ = "0.1.0"

_EXPORTS = {
    "TabularClassificationData": ".data",
    "TabularClassifier": ".tasks",
    "TabularData": ".data",
    "TabularPreprocess": ".preprocess",
    "TabularRegressionData": ".data",
    "TabularRegressor": ".tasks",
}

__all__ = [
    "TabularClassificationData",
    "TabularClassifier",
    "TabularData",
    "TabularPreprocess",
    "TabularRegressionData",
    "TabularRegressor",
]


# A type checker that saw this would accept any misspelled name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _EXPORTS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_EXPORTS[name], __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

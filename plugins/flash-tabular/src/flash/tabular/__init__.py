"""Tabular classification and regression; all statistics are learned from training rows only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash.former import former_names
from flash.plugins import lazy_exports

from ._former import NAMES

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
    __getattr__, __dir__ = lazy_exports(__name__, _EXPORTS, former_names(__name__, NAMES))

"""Candidates for the baseline of texts, besides the default network."""

from __future__ import annotations

from typing import Any

from flash import DataModule, Task

from .classifier import TextClassifier
from .data import TextRegressionData
from .regressor import TextRegressor

__all__ = ["roberta_base"]


def roberta_base(data: DataModule) -> Task:
    """Return a task on RoBERTa (1907.11692), which is larger and better than the default."""
    cls: Any = TextRegressor if isinstance(data, TextRegressionData) else TextClassifier
    task: Task = cls.from_data(data, backbone="flash-text/roberta-base")
    return task

"""Candidates for the baseline of a table: the networks of the backbones besides the default one."""

from __future__ import annotations

from typing import Any

from flash import DataModule, Task

from .data import TabularRegressionData
from .tasks import TabularClassifier, TabularRegressor

__all__ = ["ft_transformer", "mlp", "resnet", "tabm_large"]


def tabm_large(data: DataModule) -> Task:
    """Return a TabM of 32 members with wider layers, as its authors use it (2410.24210)."""
    return _task(data, "tabm", k=32, n_blocks=3, d_block=256)


def mlp(data: DataModule) -> Task:
    """Return a multilayer perceptron."""
    return _task(data, "mlp")


def resnet(data: DataModule) -> Task:
    """Return a residual network."""
    return _task(data, "resnet")


def ft_transformer(data: DataModule) -> Task:
    """Return a transformer with a token per column (2106.11959)."""
    return _task(data, "ft_transformer")


def _task(data: DataModule, backbone: str, **options: Any) -> Task:
    """Return the task for the kind of data.

    Example:
        >>> from flash.tabular import TabularRegressionData
        >>> data = TabularRegressionData.from_source("sklearn", dataset="diabetes", verbose=False)
        >>> type(_task(data, "mlp", n_blocks=1)).__name__
        'TabularRegressor'
    """
    cls: Any = TabularRegressor if isinstance(data, TabularRegressionData) else TabularClassifier
    task: Task = cls.from_data(data, backbone=f"flash-tabular/{backbone}", backbone_kwargs=options)
    return task

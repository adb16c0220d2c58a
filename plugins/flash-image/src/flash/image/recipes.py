"""Candidates for the baseline of images, besides the default network."""

from __future__ import annotations

from typing import Any

from flash import DataModule, Task

from .classifier import ImageClassifier
from .data import ImageRegressionData
from .regressor import ImageRegressor

__all__ = ["convnext_tiny", "scratch"]


def convnext_tiny(data: DataModule) -> Task:
    """Return a task on ConvNeXt-Tiny (2201.03545), pretrained, which is larger and better than the default."""
    return _task(data, "convnext_tiny")


def scratch(data: DataModule) -> Task:
    """Return a task on ResNet-18 with random weights, which needs no model hub."""
    return _task(data, "resnet18", pretrained=False)


def _task(data: DataModule, backbone: str, **options: Any) -> Task:
    """Return the task for the kind of data."""
    cls: Any = ImageRegressor if isinstance(data, ImageRegressionData) else ImageClassifier
    task: Task = cls.from_data(data, backbone=f"flash-image/{backbone}", **options)
    return task

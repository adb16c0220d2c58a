"""What these tests share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import flash


def _linear(**kwargs: Any) -> flash.Task:
    return flash.Task(
        nn.Linear(3, 1), **{"loss_fn": nn.functional.mse_loss, "optimizer": "SGD", "learning_rate": 0.1, **kwargs}
    )


@pytest.fixture
def linear() -> Callable[..., Any]:
    """A task of one layer."""
    return _linear


def _regression_data(rows: int = 20, **kwargs: Any) -> flash.DataModule:
    x = torch.randn(rows, 3)
    y = x.sum(1, keepdim=True)
    options = {"val_data": x[:5], "val_targets": y[:5], "test_data": x[5:8], "test_targets": y[5:8], "seed": 0}
    return flash.DataModule.from_tensors(train_data=x, train_targets=y, batch_size=4, **{**options, **kwargs})


@pytest.fixture
def regression_data() -> Callable[..., Any]:
    """Rows whose target is one of their numbers."""
    return _regression_data

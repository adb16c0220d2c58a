"""Fixtures and small models that core's tests share."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import flash
from flash.testing._trainer import SILENT


@pytest.fixture
def trainer_options() -> dict[str, Any]:
    """The options of a trainer that leaves nothing behind."""
    return dict(SILENT)


class Backbone(nn.Module):
    """Two layers with batch norm and dropout: everything that freezing must keep still."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8, bias=False)  # Batch norm takes any bias away again.
        self.norm = nn.BatchNorm1d(8)
        self.activation = nn.ReLU()
        self.dropout = nn.Dropout(0.2)
        self.second = nn.Linear(8, 8)

    def forward(self, x: Any) -> Any:
        return self.second(self.dropout(self.activation(self.norm(self.first(x)))))


class Classifier(flash.Task):
    """A task with a backbone and a head."""

    def __init__(self, learning_rate: float = 0.1, optimizer: Any = "SGD", lr_scheduler: Any = None) -> None:
        super().__init__(
            loss_fn=nn.functional.cross_entropy,
            optimizer=optimizer,
            learning_rate=learning_rate,
            lr_scheduler=lr_scheduler,
        )
        self.backbone = Backbone()
        self.head = nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.backbone(x))


@pytest.fixture
def task_class() -> type[Classifier]:
    return Classifier


@pytest.fixture
def datamodule() -> flash.DataModule:
    """Forty rows whose class is the sign of their first number."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 4, generator=generator)
    return flash.DataModule.from_tensors(
        train_data=x,
        train_targets=(x[:, 0] > 0).long(),
        val_data=x[:8],
        val_targets=(x[:8, 0] > 0).long(),
        batch_size=8,
        seed=0,
    )

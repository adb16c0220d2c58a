"""Fixtures and small models that core's tests share."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import flash


@pytest.fixture(autouse=True)
def _quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test works in its own folder, seeded, without Lightning's announcements."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")


@pytest.fixture
def trainer_options() -> dict[str, Any]:
    """A trainer that leaves nothing behind."""
    return {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
    }


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

"""A small task with tensor data, to test strategies and callbacks."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import flash
from flash.core.classification import ClassificationTask

__all__ = ["LAYERS", "ToyTask", "toy_data"]

#: Number of layers of the toy backbone.
LAYERS = 3


class ToyTask(ClassificationTask):
    """A classifier with a backbone of linear layers with batch norm, and a head."""

    def __init__(self, width: int = 8, **kwargs: Any) -> None:
        super().__init__(num_classes=2, learning_rate=0.05, **kwargs)
        self.backbone = nn.Sequential(*(self._layer(width) for _ in range(LAYERS)))
        self.head = nn.Linear(width, 2)

    def forward(self, x: Any) -> Any:
        """Return one score per class, shape ``(batch, 2)``."""
        return self.head(self.backbone(x))

    @staticmethod
    def _layer(width: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width), nn.Tanh())


class HeadOnlyTask(ClassificationTask):
    """A task without a backbone."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(num_classes=2, model=nn.Linear(8, 2), **kwargs)


class NestedToyTask(ToyTask):
    """The same, with the layers of the backbone inside one child module, as in image networks."""

    def __init__(self, width: int = 8, **kwargs: Any) -> None:
        super().__init__(width, **kwargs)
        self.backbone = nn.Sequential(self.backbone)


def toy_data() -> flash.DataModule:
    """Return linearly separable points of two classes."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(48, 8, generator=generator)
    sides = (points[:, 0] > 0).long()
    return flash.DataModule.from_tensors(
        train_data=points[:32],
        train_targets=sides[:32],
        val_data=points[32:],
        val_targets=sides[32:],
        test_data=points[32:],
        test_targets=sides[32:],
        predict_data=points[32:],
        batch_size=8,
        seed=0,
    )

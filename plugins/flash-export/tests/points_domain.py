"""A domain that only a plugin knows: points in the plane."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from flash import Preprocess, Task
from flash.core.classification import ClassificationTask
from flash.core.regression import RegressionTask
from flash.data.portable import Portable, TensorSpec
from flash.data.tables import read_table


class Points(Preprocess):
    """Points of a table; the network gets them in another unit."""

    unit = 2.0

    def predict_load_data(self, data: Any) -> Any:
        if isinstance(data, str):
            table = read_table(data)
            data = [[float(cell or 0) for cell in row] for row in zip(table["x"], table["y"], strict=True)]
        return data

    def to_tensor_transform(self, sample: Any) -> Tensor:
        return torch.tensor(sample) / self.unit

    def per_batch_transform_on_device(self, batch: Any) -> Any:
        return batch - 0.5

    def portable(self) -> Portable:
        inputs = TensorSpec("float32", ("batch", 2))
        return Portable(inputs, encoder="points_encoder", settings={"unit": self.unit}, files={"note.txt": "points"})


class PointTask(Task):
    preprocess_cls: ClassVar[type[Preprocess]] = Points


class PointClassifier(PointTask, ClassificationTask):
    pass


class PointRegressor(PointTask, RegressionTask):
    pass


class Branching(nn.Module):
    """A network whose way depends on its inputs, which no export can trace."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum() > 0 else x - 1


class OfOneSize(nn.Module):
    """A network that fixes the size of its batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.zeros(len(x), 1)

"""A domain that only a plugin knows: dots in the plane."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from flash import DataModule, Task
from flash.baseline.samples import targets_of
from flash.core.classification import ClassificationTask
from flash.core.regression import RegressionTask
from flash.data.recognition import RawData, Recognition, certainty_of_kind
from flash.data.samples import SampleData, SamplePreprocess
from flash.data.targets import NumberTargets
from flash.plugins import Recipe, TaskSpec, hookimpl


class Dots(SamplePreprocess):
    """Points in the plane, written as text."""

    def load_sample(self, sample: Any, dataset: Any) -> Any:
        text, target = sample if isinstance(sample, tuple) else (sample, None)
        point = torch.tensor([float(each) for each in text.split()])
        return point if target is None else (point, target)


class DotNumbers(Dots):
    targets_cls = NumberTargets


class DotData(SampleData):
    preprocess_cls: ClassVar[type[SamplePreprocess]] = Dots

    @classmethod
    def recognize(cls, raw: RawData, target_fields: Any = None) -> Recognition | None:
        certainty = certainty_of_kind(raw, target_fields, cls.preprocess_cls.targets_cls.kind)
        if raw.table is None or "dot" not in raw.table or certainty is None:
            return None
        arguments = {"input_field": "dot", "target_fields": target_fields, "train_data_frame": raw.table}
        return Recognition("from_data_frame", arguments, f"it has dots, and {certainty[1]}", certainty[0])


class DotNumberData(DotData):
    preprocess_cls: ClassVar[type[SamplePreprocess]] = DotNumbers


def backbone() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 16), nn.Tanh())


class DotClassifier(ClassificationTask):
    def __init__(self, pretrained: bool = True, width: int = 16, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backbone = backbone()
        self.head = nn.Linear(width, self.num_classes)

    def forward_features(self, x: Any) -> Tensor:
        features: Tensor = self.backbone(x)
        return features

    def forward_head(self, features: Any) -> Tensor:
        return self.head(features)


class DotRegressor(RegressionTask):
    def __init__(self, pretrained: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backbone = backbone()
        self.head = nn.Linear(16, self.num_targets)

    def forward_features(self, x: Any) -> Tensor:
        features: Tensor = self.backbone(x)
        return features

    def forward_head(self, features: Any) -> Tensor:
        return self.to_target_units(self.head(features))


def scratch(data: DataModule) -> Task:
    return DotClassifier.from_data(data, pretrained=False, learning_rate=0.05)


def frozen(data: DataModule) -> tuple[Task, str]:
    return DotClassifier.from_data(data), "freeze"


def nearest(data: DataModule) -> Any:
    return Nearest()


def broken(data: DataModule) -> Task:
    raise RuntimeError("no such weights")


def wrong(data: DataModule) -> Any:
    return 3


class Nearest:
    """The class of the nearest train dot."""

    def fit(self, data: DataModule) -> None:
        self.points = torch.stack([x for x, _ in data.train_dataset])
        self.targets = targets_of(data.train_dataset)

    def predict(self, dataset: Any) -> Any:
        points = torch.stack([each[0] if isinstance(each, tuple) else each for each in dataset])
        places = torch.cdist(points, self.points).argmin(1)
        return torch.eye(int(self.targets.max()) + 1)[torch.from_numpy(self.targets)[places]]


class Plugin:
    @hookimpl
    def flash_tasks(self) -> Iterator[TaskSpec]:
        for kind, task, data in (
            ("classification", "DotClassifier", "DotData"),
            ("regression", "DotRegressor", "DotNumberData"),
        ):
            yield TaskSpec(f"dots/{kind}", task=f"{__name__}:{task}", data=f"{__name__}:{data}", summary="Dots.")

    @hookimpl
    def flash_recipes(self) -> Iterator[Recipe]:
        for name in ("scratch", "frozen", "nearest", "broken", "wrong"):
            yield Recipe(name, target=f"{__name__}:{name}", scope="dots/classification", summary=f"The {name} one.")


def rows(count: int = 120, seed: int = 0) -> dict[str, list[Any]]:
    """Return dots whose side of a circle is their color."""
    points = np.random.default_rng(seed).uniform(-1, 1, (count, 2)).round(3)
    inside = (points**2).sum(1) < 0.6
    return {
        "dot": [f"{x} {y}" for x, y in points.tolist()],
        "color": np.where(inside, "red", "blue").tolist(),
        "height": (points[:, 0] * 10 + 50).round(3).tolist(),
        "box": [f"box {row // 4}" for row in range(count)],
    }

"""flash-image keeps the contract that every plugin has to keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flash.core.finetuning import backbone_layers
from flash.image import ImageClassificationData, ImageClassifier, ImageRegressionData, ImageRegressor
from flash.testing import DataModuleConformance, PluginConformance, StrategyConformance, TaskConformance

SIZES = {"train": 32, "val": 12, "test": 7, "predict": 7}
CONFIG = {"input_size": (3, 32, 32), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "crop_pct": 1.0}
OPTIONS = {"data_config": CONFIG, "augmentation": "none"}


def make_images(count: int, seed: int) -> tuple[Any, list[str]]:
    """Noise that is brighter on the left or on the right."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 120, (count, 32, 32, 3), dtype=np.uint8)
    sides = ["left" if number % 2 else "right" for number in range(count)]
    for image, side in zip(images, sides, strict=True):
        image[:, slice(0, 16) if side == "left" else slice(16, 32)] += 100
    return images, sides


class TestPlugin(PluginConformance):
    plugin = "image"


class Images:
    @pytest.fixture
    def constructor(self) -> Callable[..., Any]:
        return ImageClassificationData.from_numpy

    @pytest.fixture
    def parts(self) -> Mapping[str, Mapping[str, Any]]:
        made = {stage: make_images(count, seed) for seed, (stage, count) in enumerate(SIZES.items())}
        parts: dict[str, dict[str, Any]] = {
            stage: {f"{stage}_data": images, f"{stage}_targets": sides} for stage, (images, sides) in made.items()
        }
        parts["predict"] = {"predict_data": made["predict"][0]}
        return {**parts, "options": OPTIONS}

    @pytest.fixture
    def constructors(self, parts: Any, tmp_path: Path) -> Mapping[str, Any]:
        images: dict[str, dict[str, Any]] = {"options": OPTIONS}
        folders: dict[str, dict[str, Any]] = {"options": OPTIONS}
        for stage in SIZES:
            pictures = [Image.fromarray(each) for each in parts[stage][f"{stage}_data"]]
            targets = parts[stage].get(f"{stage}_targets")
            images[stage] = {f"{stage}_images": pictures} | ({f"{stage}_targets": targets} if targets else {})
            folders[stage] = {f"{stage}_folder": tmp_path / stage}
            for number, picture in enumerate(pictures):
                file = tmp_path / stage / (targets[number] if targets else "") / f"{number:03}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                picture.save(file)
        return {
            "from_images": (ImageClassificationData.from_images, images),
            "from_folders": (ImageClassificationData.from_folders, folders),
        }

    @pytest.fixture
    def augmented(self) -> Mapping[str, Any]:
        return {"augmentation": "crop"}

    @pytest.fixture
    def bad_parts(self) -> Mapping[str, Mapping[str, Any]]:
        images, sides = make_images(8, 0)
        return {
            "targets are missing": {"train_data": images},
            "a target is missing": {"train_data": images, "train_targets": sides[:-1]},
            "there is one class": {"train_data": images, "train_targets": ["left"] * 8},
            "images are words": {"train_data": sides, "train_targets": sides},
            "images have two dimensions too few": {"train_data": images[:, 0, 0], "train_targets": sides},
        }


class TestData(Images, DataModuleConformance):
    pass


class TestClassifier(Images, TaskConformance):
    epochs = 6

    @pytest.fixture
    def make_task(self) -> Callable[..., Any]:
        return lambda data: ImageClassifier.from_data(
            data, backbone="test_resnet", pretrained=False, data_config=CONFIG, learning_rate=0.01
        )

    @pytest.fixture
    def raw_inputs(self, parts: Any) -> Any:
        return parts["predict"]["predict_data"]

    @pytest.fixture
    def bad_inputs(self) -> Mapping[str, Any]:
        return {"there is no such file": ["no_such_photo.jpg"], "it is a number": 3, "there is none": []}


class Numbers:
    """Images with a number each: how much brighter the right half is."""

    @pytest.fixture
    def constructor(self) -> Callable[..., Any]:
        return ImageRegressionData.from_numpy

    @pytest.fixture
    def parts(self) -> Mapping[str, Mapping[str, Any]]:
        parts: dict[str, dict[str, Any]] = {"options": OPTIONS}
        for seed, (stage, count) in enumerate(SIZES.items()):
            images, _ = make_images(count, seed)
            halves = images.astype(float).mean((1, 3))
            targets = halves[:, 16:].mean(1) - halves[:, :16].mean(1)
            parts[stage] = {f"{stage}_data": images, f"{stage}_targets": targets.tolist()}
        del parts["predict"]["predict_targets"]
        return parts

    @pytest.fixture
    def constructors(self, parts: Any) -> Mapping[str, Any]:
        names = {f"{stage}_data": f"{stage}_images" for stage in SIZES}
        images = {
            key: part if key == "options" else {names.get(name, name): value for name, value in part.items()}
            for key, part in parts.items()
        }
        return {"from_images": (ImageRegressionData.from_images, images)}

    @pytest.fixture
    def augmented(self) -> Mapping[str, Any]:
        return {"augmentation": "crop"}

    @pytest.fixture
    def bad_parts(self) -> Mapping[str, Mapping[str, Any]]:
        images, sides = make_images(8, 0)
        return {
            "targets are words": {"train_data": images, "train_targets": sides},
            "a target is missing": {"train_data": images, "train_targets": [*range(7), None]},
            "targets never change": {"train_data": images, "train_targets": [7] * 8},
        }


class TestNumberData(Numbers, DataModuleConformance):
    pass


class TestRegressor(Numbers, TaskConformance):
    epochs = 6

    @pytest.fixture
    def make_task(self) -> Callable[..., Any]:
        return lambda data: ImageRegressor.from_data(
            data, backbone="test_resnet", pretrained=False, data_config=CONFIG, learning_rate=0.01
        )

    @pytest.fixture
    def raw_inputs(self, parts: Any) -> Any:
        return parts["predict"]["predict_data"]

    @pytest.fixture
    def bad_inputs(self) -> Mapping[str, Any]:
        return {"there is no such file": ["no_such_photo.jpg"], "it is a number": 3, "there is none": []}


class RealNetwork(StrategyConformance):
    """Strategies on a network of timm, whose stem and blocks lie inside one module."""

    def make_data(self) -> ImageClassificationData:
        parts = {stage: make_images(count, seed) for seed, (stage, count) in enumerate((("train", 24), ("val", 8)))}
        return ImageClassificationData.from_numpy(
            *parts["train"], *parts["val"], batch_size=8, seed=0, data_config=CONFIG, augmentation="none"
        )

    def make_task(self) -> ImageClassifier:
        options: dict[str, Any] = {"pretrained": False, "data_config": CONFIG, "learning_rate": 0.01}
        return ImageClassifier(num_classes=2, backbone="test_resnet", **options)

    def all_layers(self) -> set[int]:
        return set(range(len(backbone_layers(self.make_task()))))


class TestFreezeUnfreeze(RealNetwork):
    @pytest.fixture
    def strategy(self) -> Any:
        return ("freeze_unfreeze", 2)

    def trains(self, epoch: int) -> set[int]:
        return self.all_layers() if epoch >= 2 else set()


class TestUnfreezeMilestones(RealNetwork):
    @pytest.fixture
    def strategy(self) -> Any:
        return ("unfreeze_milestones", ((1, 3), 2))

    def trains(self, epoch: int) -> set[int]:
        layers = self.all_layers()
        return layers if epoch >= 3 else set(sorted(layers)[-2:]) if epoch else set()

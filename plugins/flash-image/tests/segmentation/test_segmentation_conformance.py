"""Semantic segmentation keeps the contract that every task and data module has to keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from flash.image import SemanticSegmentation, SemanticSegmentationData
from flash.testing import DataModuleConformance, TaskConformance

SIZES = {"train": 24, "val": 8, "test": 7, "predict": 7}
SIDE = 32
CONFIG = {"input_size": (3, SIDE, SIDE), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
OPTIONS = {"data_config": CONFIG}


def make_scenes(count: int, seed: int) -> tuple[Any, Any]:
    """Noise with a bright bar, of class 1 if it is red and 2 if it is blue."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 100, (count, SIDE, SIDE, 3), dtype=np.uint8)
    masks = np.zeros((count, SIDE, SIDE), np.uint8)
    for row in range(count):
        top, index = int(random.integers(0, SIDE - 12)), row % 2 + 1
        images[row, top : top + 12, :, 0 if index == 1 else 2] += 150
        masks[row, top : top + 12] = index
    return images, masks


class Scenes:
    @pytest.fixture
    def constructor(self) -> Callable[..., Any]:
        return SemanticSegmentationData.from_numpy

    @pytest.fixture
    def parts(self) -> Mapping[str, Mapping[str, Any]]:
        made = {stage: make_scenes(count, seed) for seed, (stage, count) in enumerate(SIZES.items())}
        parts: dict[str, dict[str, Any]] = {
            stage: {f"{stage}_data": images, f"{stage}_targets": masks} for stage, (images, masks) in made.items()
        }
        parts["predict"] = {"predict_data": made["predict"][0]}
        return {**parts, "options": OPTIONS}

    @pytest.fixture
    def constructors(self, parts: Any, tmp_path: Path) -> Mapping[str, Any]:
        from PIL import Image

        names = ("from_images", "from_files", "from_folders", "from_datasets", "from_data_frame")
        made: dict[str, dict[str, dict[str, Any]]] = {name: {"options": dict(OPTIONS)} for name in names}
        made["from_data_frame"]["options"] |= {"input_field": "photo", "target_fields": "mask"}
        for stage in SIZES:
            images, masks = parts[stage][f"{stage}_data"], parts[stage].get(f"{stage}_targets")
            files: dict[str, list[Path]] = {"images": [], "masks": []}
            for name, arrays in (("images", images), ("masks", masks)):
                for row, array in enumerate(() if arrays is None else arrays):
                    file = tmp_path / stage / name / f"{row:03}.png"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(array).save(file)
                    files[name].append(file)
            made["from_images"][stage] = {f"{stage}_images": [Image.fromarray(each) for each in images]}
            made["from_files"][stage] = {f"{stage}_files": files["images"]}
            made["from_folders"][stage] = {f"{stage}_folder": tmp_path / stage / "images"}
            made["from_data_frame"][stage] = {f"{stage}_data_frame": {"photo": files["images"]}}
            dataset = list(images) if masks is None else list(zip(images, masks, strict=True))
            made["from_datasets"][stage] = {f"{stage}_dataset": dataset}
            if masks is not None:
                made["from_images"][stage][f"{stage}_targets"] = list(masks)
                made["from_files"][stage][f"{stage}_targets"] = files["masks"]
                made["from_folders"][stage][f"{stage}_target_folder"] = tmp_path / stage / "masks"
                made["from_data_frame"][stage][f"{stage}_data_frame"]["mask"] = files["masks"]
        return {name: (getattr(SemanticSegmentationData, name), arguments) for name, arguments in made.items()}

    def samples_of(self, batch: Any) -> list[Any]:
        """Masks of one size are a tensor, others a list of tensors."""
        inputs, masks = batch if isinstance(batch, tuple | list) else (batch, [])
        leaves = tree_leaves(inputs)
        return [
            [*(leaf[row] for leaf in leaves), *((masks[row],) if len(masks) else ())] for row in range(len(leaves[0]))
        ]


class TestSegmentationData(Scenes, DataModuleConformance):
    @pytest.fixture
    def augmented(self) -> Mapping[str, Any]:
        return {"augmentation": "jitter"}

    @pytest.fixture
    def bad_parts(self) -> Mapping[str, Mapping[str, Any]]:
        images, masks = make_scenes(8, 0)
        return {
            "masks are missing": {"train_data": images},
            "a mask is missing": {"train_data": images, "train_targets": masks[:-1]},
            "there is one class": {"train_data": images, "train_targets": 0 * masks},
            "masks are floats": {"train_data": images, "train_targets": masks / 2},
            "masks are words": {"train_data": images, "train_targets": ["a mask"] * 8},
            "masks are smaller": {"train_data": images, "train_targets": masks[:, ::2]},
            "images are words": {"train_data": ["an image"] * 8, "train_targets": masks},
            "a stage has another class": {
                "train_data": images,
                "train_targets": masks,
                "val_data": images,
                "val_targets": masks + 1,
            },
        }


class TestSegmentation(Scenes, TaskConformance):
    epochs = 6

    @pytest.fixture
    def make_task(self) -> Callable[..., Any]:
        return lambda data: SemanticSegmentation.from_data(
            data, backbone="test_resnet", pretrained=False, data_config=CONFIG, learning_rate=0.01
        )

    @pytest.fixture
    def raw_inputs(self, parts: Any) -> Any:
        return parts["predict"]["predict_data"]

    @pytest.fixture
    def bad_inputs(self) -> Mapping[str, Any]:
        return {"there is no such file": ["no_such_photo.jpg"], "it is a number": 3, "there is none": []}


def test_a_mask_of_one_size_is_a_tensor_in_training_and_a_list_elsewhere() -> None:
    images, masks = make_scenes(4, 0)
    data = SemanticSegmentationData.from_numpy(images, masks, images, masks, batch_size=2, **OPTIONS)
    inputs, targets = next(iter(data.train_dataloader()))
    assert inputs["image"].shape == (2, 3, SIDE, SIDE)
    assert targets.shape == (2, SIDE, SIDE)
    _, targets = next(iter(data.val_dataloader()))
    assert [each.shape for each in targets] == [torch.Size([1, SIDE, SIDE])] * 2

"""Detection keeps the contract that every task has to keep, on a network of transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from torch.utils._pytree import tree_leaves

from flash.image import ObjectDetectionData, ObjectDetector
from flash.testing import TaskConformance

SIZES = {"train": 24, "val": 8, "test": 7, "predict": 7}


def make_squares(count: int, seed: int) -> tuple[Any, list[list[str]], list[list[list[int]]]]:
    """Dark images with a red or blue square each."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 60, (count, 64, 64, 3), dtype=np.uint8)
    labels, boxes = [], []
    for row, image in enumerate(images):
        side, red = int(random.integers(20, 32)), row % 2 == 0
        left, top = (int(each) for each in random.integers(0, 64 - side, 2))
        image[top : top + side, left : left + side] = (230, 40, 40) if red else (40, 40, 230)
        labels.append(["red" if red else "blue"])
        boxes.append([[left, top, left + side, top + side]])
    return images, labels, boxes


class Squares:
    @pytest.fixture
    def constructor(self) -> Callable[..., Any]:
        return ObjectDetectionData.from_images

    @pytest.fixture
    def parts(self) -> Mapping[str, Mapping[str, Any]]:
        parts: dict[str, dict[str, Any]] = {"options": {}}
        for seed, (stage, count) in enumerate(SIZES.items()):
            images, labels, boxes = make_squares(count, seed)
            parts[stage] = {f"{stage}_images": list(images)}
            if stage != "predict":
                parts[stage] |= {f"{stage}_targets": labels, f"{stage}_bboxes": boxes}
        return parts

    def samples_of(self, batch: Any) -> list[Any]:
        inputs, targets = batch if isinstance(batch, tuple | list) else (batch, None)
        images = inputs["images"]
        return [
            [image, *(tree_leaves(targets[row]) if targets is not None else ())] for row, image in enumerate(images)
        ]


class TestTransformer(Squares, TaskConformance):
    epochs = 30

    @pytest.fixture
    def make_task(self, tmp_path: Path) -> Callable[..., Any]:
        config = transformers.YolosConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=[64, 64],
            patch_size=16,
            num_detection_tokens=4,
        )
        config.save_pretrained(tmp_path / "yolos")
        return lambda data: ObjectDetector.from_data(
            data, backbone=tmp_path / "yolos", pretrained=False, image_size=(64, 64), learning_rate=3e-3
        )

    @pytest.fixture
    def raw_inputs(self, parts: Any) -> Any:
        return parts["predict"]["predict_images"]

    @pytest.fixture
    def bad_inputs(self) -> Mapping[str, Any]:
        return {"there is no such file": ["no_such_photo.jpg"], "it is a number": 3, "there is none": []}

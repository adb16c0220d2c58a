"""Keypoint detection keeps the contract that every task has to keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
from torch.utils._pytree import tree_leaves

from flash.image import KeypointDetectionData, KeypointDetector
from flash.testing import TaskConformance

SIZES = {"train": 24, "val": 8, "test": 7, "predict": 7}


class TestKeypoints(TaskConformance):
    epochs = 8
    expected_failures: ClassVar[Mapping[str, str]] = {
        "test_a_new_process_loads_a_checkpoint_and_predicts_the_same": (
            "a new process does not know the tiny network; test_keypoints.py has one that it knows"
        )
    }

    @pytest.fixture
    def constructor(self) -> Callable[..., Any]:
        return KeypointDetectionData.from_images

    @pytest.fixture
    def parts(self, bars: Callable[..., Any]) -> Mapping[str, Mapping[str, Any]]:
        parts: dict[str, dict[str, Any]] = {"options": {}}
        for seed, (stage, count) in enumerate(SIZES.items()):
            drawn = bars(count, seed, stage)
            parts[stage] = {name: part for name, part in drawn.items() if stage != "predict" or "images" in name}
        return parts

    def samples_of(self, batch: Any) -> list[Any]:
        inputs, targets = batch if isinstance(batch, tuple | list) else (batch, None)
        images = inputs["images"]
        return [
            [image, *(tree_leaves(targets[row]) if targets is not None else ())] for row, image in enumerate(images)
        ]

    @pytest.fixture
    def make_task(self, tiny: dict[str, Any]) -> Callable[..., Any]:
        return lambda data: KeypointDetector.from_data(data, **tiny)

    @pytest.fixture
    def raw_inputs(self, parts: Any) -> Any:
        return parts["predict"]["predict_images"]

    @pytest.fixture
    def bad_inputs(self) -> Mapping[str, Any]:
        return {"there is no such file": ["no_such_photo.jpg"], "it is a number": 3, "there is none": []}

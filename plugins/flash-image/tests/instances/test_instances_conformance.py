"""Instance segmentation keeps the contract that every task has to keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
from torch.utils._pytree import tree_leaves

from flash.image import InstanceSegmentation, InstanceSegmentationData
from flash.testing import TaskConformance

SIZES = {"train": 24, "val": 8, "test": 7, "predict": 7}


class TestInstances(TaskConformance):
    epochs = 8
    expected_failures: ClassVar[Mapping[str, str]] = {
        "test_a_new_process_loads_a_checkpoint_and_predicts_the_same": (
            "a new process does not know the tiny network; test_instances.py has one that it knows"
        )
    }

    @pytest.fixture
    def constructor(self) -> Callable[..., Any]:
        return InstanceSegmentationData.from_images

    @pytest.fixture
    def parts(self, shapes: Callable[..., Any]) -> Mapping[str, Mapping[str, Any]]:
        parts: dict[str, dict[str, Any]] = {"options": {}}
        for seed, (stage, count) in enumerate(SIZES.items()):
            images, labels, masks = shapes(count, seed)
            parts[stage] = {f"{stage}_images": images}
            if stage != "predict":
                parts[stage] |= {f"{stage}_targets": labels, f"{stage}_masks": masks}
        return parts

    def samples_of(self, batch: Any) -> list[Any]:
        inputs, targets = batch if isinstance(batch, tuple | list) else (batch, None)
        images = inputs["images"]
        return [
            [image, *(tree_leaves(targets[row]) if targets is not None else ())] for row, image in enumerate(images)
        ]

    @pytest.fixture
    def make_task(self, tiny: dict[str, Any]) -> Callable[..., Any]:
        return lambda data: InstanceSegmentation.from_data(data, **tiny)

    @pytest.fixture
    def raw_inputs(self, parts: Any) -> Any:
        return parts["predict"]["predict_images"]

    @pytest.fixture
    def bad_inputs(self) -> Mapping[str, Any]:
        return {"there is no such file": ["no_such_photo.jpg"], "it is a number": 3, "there is none": []}

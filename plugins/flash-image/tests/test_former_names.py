"""Programs for Lightning Flash 0.x find the names of images, or are told what to write."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from flash.errors import ConfigurationError, FormerNameError
from flash.image import ImageClassificationData, ImageEmbedder


def test_classes_are_found_in_their_former_modules() -> None:
    from flash.image.classification.data import ImageClassificationData as FormerData  # type: ignore[import-not-found,import-untyped,unused-ignore]

    from flash.image.embedding import ImageEmbedder as FormerEmbedder  # type: ignore[attr-defined]

    assert FormerData is ImageClassificationData
    assert FormerEmbedder is ImageEmbedder


def test_a_task_that_is_not_here_says_what_to_write() -> None:
    with pytest.raises(FormerNameError, match=r"flash.image.StyleTransfer .*class MyTask\(flash.Task\)"):
        from flash.image import StyleTransfer  # type: ignore[attr-defined]  # noqa: F401


@pytest.mark.parametrize("argument", ["transform", "train_transform"])
def test_a_dict_of_transforms_says_what_to_write(argument: str) -> None:
    images = [Image.new("RGB", (9, 9))] * 2
    with pytest.raises(ConfigurationError, match=rf"Expected {argument} to be a callable .* class MyPreprocess"):
        ImageClassificationData.from_images(images, ["a", "b"], **{argument: {"to_tensor_transform": len}})


def test_a_transform_of_arrays_is_a_function_of_images() -> None:
    def transform(image: np.ndarray) -> dict[str, np.ndarray]:
        return {"image": 255 - image}

    data = ImageClassificationData.from_images(
        [Image.new("RGB", (9, 9))] * 2,
        ["a", "b"],
        augmentation=lambda image: Image.fromarray(transform(image=np.array(image))["image"]),
        image_size=8,
        batch_size=2,
        data_config={"input_size": (3, 8, 8), "mean": (0.0,) * 3, "std": (1.0,) * 3, "crop_pct": 1.0},
    )
    inputs, _ = next(iter(data.train_dataloader()))
    assert inputs.min() == inputs.max() == 255

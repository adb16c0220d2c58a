"""Transforms that see an image with its mask, one for each stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from flash.data.stage import Stage
from flash.errors import CheckpointError, ConfigurationError
from flash.image import SemanticSegmentation, SemanticSegmentationData
from flash.image.segmentation.preprocess import SemanticSegmentationPreprocess

Draw = Callable[..., Any]
CONFIG = {"input_size": (3, 64, 64), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}


def pairs(count: int = 6) -> tuple[list[Any], list[Any]]:
    """Images that are white where their mask is 1."""
    random = np.random.default_rng(0)
    masks = [np.kron(random.integers(0, 2, (4, 4)), np.ones((16, 16))).astype(np.uint8) for _ in range(count)]
    return [255 * np.repeat(mask[..., None], 3, 2) for mask in masks], masks


def moved_alike(dataset: Any, masks: list[Any]) -> bool:
    """Whether masks lie where the images are white; whether any is not where it was."""
    moved = False
    for row, mask in enumerate(masks):
        inputs, found = dataset[row]
        alike = ((inputs["image"].float().mean(0) > 127) == (found == 1)).float().mean()
        assert alike > 0.9, float(alike)
        moved = moved or not np.array_equal(found.numpy(), mask)
    return moved


@pytest.mark.parametrize("argument", ["augmentation", "train_transform", "transform"])
@pytest.mark.parametrize("library", ["torchvision", "albumentations"])
def test_a_train_transform_moves_an_image_with_its_mask(argument: str, library: str, album: Any) -> None:
    images, masks = pairs()
    transform = (
        v2.Compose([v2.RandomRotation(90), v2.RandomHorizontalFlip()])
        if library == "torchvision"
        else album.Compose([album.RandomRotate90(p=1), album.RandomResizedCrop((64, 64), scale=(0.5, 1.0))])
    )
    data = SemanticSegmentationData.from_images(images, masks, data_config=CONFIG, **{argument: transform})
    assert moved_alike(data.train_dataset, masks)


def test_each_stage_has_its_own_transform(draw: Draw) -> None:
    images, masks = pairs()
    data = SemanticSegmentationData.from_images(
        *(images, masks, images, masks, images, masks, images),
        data_config=CONFIG,
        train_transform=v2.RandomHorizontalFlip(1.0),
        val_transform=v2.RandomVerticalFlip(1.0),
        test_transform=v2.CenterCrop((32, 64)),
        predict_transform=v2.RandomInvert(1.0),
    )
    assert np.array_equal(data.train_dataset[0][1].numpy(), masks[0][:, ::-1])
    assert np.array_equal(data.val_dataset[0][1].numpy(), masks[0][::-1])
    inputs, mask = data.test_dataset[0]
    assert np.array_equal(mask.numpy(), masks[0][16:48])
    assert inputs["size"].tolist() == [32, 64]
    inputs = data.predict_dataset[0]
    assert torch.equal(inputs["image"].permute(1, 2, 0), 255 - torch.tensor(images[0]))
    preprocess = data.preprocess
    assert isinstance(preprocess, SemanticSegmentationPreprocess)
    assert not any(map(preprocess.is_deterministic, Stage))
    assert "RandomInvert" in preprocess.portable().reason


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (v2.CenterCrop(20), "Expected predict_transform to keep the size of an image to predict, 48 x 48, .* 20 x 20"),
        (lambda image: None, "Expected predict_transform to return an image, but got a NoneType"),
        (v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32)]), "Expected predict_transform .* Leave out ToDtype"),
    ],
)
def test_a_transform_for_prediction_keeps_the_size_in_which_masks_are_returned(
    transform: Any, said: str, draw: Draw
) -> None:
    images, masks = draw(2).parts()
    data = SemanticSegmentationData.from_images(
        images, masks, predict_images=images, data_config=CONFIG, predict_transform=transform
    )
    with pytest.raises(ConfigurationError, match=said):
        data.predict_dataset[0]


def test_arguments_that_contradict_each_other_or_are_no_transforms_are_errors() -> None:
    with pytest.raises(ConfigurationError, match="Expected augmentation or a transform for training, but got both"):
        SemanticSegmentationPreprocess("flip", train_transform=v2.RandomHorizontalFlip())
    with pytest.raises(ConfigurationError, match="Expected val_transform to be a transform of an image with its mask"):
        SemanticSegmentationPreprocess(val_transform={"to_tensor_transform": len})  # type: ignore[arg-type]
    data = SemanticSegmentationData.from_images(*pairs(), data_config=CONFIG, train_transform=lambda image, mask: image)
    with pytest.raises(ConfigurationError, match="Expected train_transform to return an image and its mask, but got a"):
        data.train_dataset[0]


def test_a_checkpoint_asks_for_the_transform_that_predictions_need(
    draw: Draw, tiny: dict[str, Any], trainer: Any
) -> None:
    images, masks = draw(4).parts()
    data = SemanticSegmentationData.from_images(images, masks, transform=v2.RandomInvert(1.0), batch_size=4)
    task = SemanticSegmentation.from_data(data, **tiny)
    run = trainer()
    run.fit(task, data)
    run.save_checkpoint("task.ckpt")
    said = r"Expected the transform .*RandomInvert.*SemanticSegmentationPreprocess\(transform="
    with pytest.raises(CheckpointError, match=said):
        SemanticSegmentation.load_from_checkpoint("task.ckpt")
    preprocess = SemanticSegmentationPreprocess(transform=v2.RandomInvert(1.0))
    loaded = SemanticSegmentation.load_from_checkpoint("task.ckpt", preprocess=preprocess)
    picture = Image.fromarray(images[0])
    assert np.array_equal(loaded.predict([picture])[0], task.predict([picture])[0])

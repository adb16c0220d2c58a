"""image_size: one argument for the size that detectors of all kinds resize images to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import flash
from flash.errors import ConfigurationError
from flash.image import ObjectDetectionData, ObjectDetector
from flash.image.detection.sizes import fixed_size_of

SSD = "ssdlite320_mobilenet_v3_large"


def sizes_seen(task: ObjectDetector, *images: torch.Tensor) -> list[tuple[int, int]]:
    """Return height and width of the images after the detector's transform."""
    model: Any = task.model
    return list(model.transform([*images])[0].image_sizes)


@pytest.mark.parametrize(
    ("image_size", "seen"), [(64, [(64, 32), (48, 64)]), ((40, 80), [(40, 80)] * 2), ([40, 80], [(40, 80)] * 2)]
)
def test_a_number_is_the_longer_side_and_a_pair_the_height_and_width(tiny: Any, image_size: Any, seen: Any) -> None:
    task = ObjectDetector(num_classes=2, image_size=image_size, **tiny).eval()
    assert sizes_seen(task, torch.rand(3, 200, 100), torch.rand(3, 30, 40)) == seen


def test_a_network_of_one_shape_takes_a_number_as_both_sides() -> None:
    task = ObjectDetector(num_classes=2, backbone=SSD, pretrained=False, image_size=96).eval()
    assert sizes_seen(task, torch.rand(3, 200, 100)) == [(96, 96)]
    assert fixed_size_of(task.model) == (96, 96)


@pytest.mark.parametrize(("backbone", "size"), [(SSD, (128, 160)), ("ssd300_vgg16", (300, 512))])
def test_the_default_boxes_of_another_size_cover_the_image(backbone: str, size: tuple[int, int]) -> None:
    task = ObjectDetector(num_classes=2, backbone=backbone, pretrained=False, image_size=size).eval()
    model: Any = task.model
    images, _ = model.transform([torch.rand(3, 50, 60)])
    features = list(model.backbone(images.tensors).values())
    (boxes,) = model.anchor_generator(images, features)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert (centers >= 0).all()
    assert (centers <= torch.tensor(size[::-1])).all()
    assert centers.max() > 0.9 * max(size)


def test_a_size_that_is_too_small_for_the_last_layer_is_an_error() -> None:
    with pytest.raises(
        ConfigurationError,
        match="image_size=128 to leave something of an image for the last layer.*Choose a larger one",
    ):
        ObjectDetector(num_classes=2, backbone="ssd300_vgg16", pretrained=False, image_size=128)


def test_a_checkpoint_keeps_the_size(draw: Callable[..., Any], tiny: Any, trainer: Callable[..., Any]) -> None:
    data = ObjectDetectionData.from_images(*draw(2).parts())
    task = ObjectDetector.from_data(data, image_size=(48, 56), score_threshold=0.0, **tiny)
    run = trainer(max_steps=1)
    run.fit(task, data)
    run.save_checkpoint("detector.ckpt")
    loaded = flash.Task.load_from_checkpoint("detector.ckpt")
    assert isinstance(loaded, ObjectDetector)
    assert fixed_size_of(loaded.model) == (48, 56)
    assert loaded.predict(draw(1).images) == task.predict(draw(1).images)


@pytest.mark.parametrize("image_size", [0, 1.5, True, "512", (3, 4, 5), (64, 0), ()])
def test_what_is_no_size_is_an_error(tiny: Any, image_size: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=r"image_size to be the length of the longer side .*image_size=512, or"
    ):
        ObjectDetector(num_classes=2, image_size=image_size, **tiny)


def test_one_size_beside_another_is_an_error(tiny: Any) -> None:
    with pytest.raises(ConfigurationError, match="image_size, or min_size and max_size, but got both. Leave out min_"):
        ObjectDetector(num_classes=2, image_size=64, min_size=64, max_size=80, **tiny)


def test_a_module_that_does_not_resize_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="a Flatten has no such transform. Set the size where you make"):
        ObjectDetector(num_classes=2, backbone=nn.Flatten(), image_size=64)

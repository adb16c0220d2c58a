"""Geometry, augmentation and normalization: what timm does, in fewer passes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform
from torchvision.transforms import v2

from flash.errors import ConfigurationError, UnknownNameError
from flash.image.config import ImageConfig
from flash.image.transforms import ImageTransforms, augmentations

Picture = Callable[..., Image.Image]
CONFIG: dict[str, Any] = {
    "input_size": (3, 64, 64),
    "interpolation": "bicubic",
    "mean": (0.48, 0.45, 0.40),
    "std": (0.22, 0.23, 0.24),
    "crop_pct": 0.875,
    "crop_mode": "center",
}


def transforms(augmentation: Any = "none", **changes: Any) -> ImageTransforms:
    return ImageTransforms(ImageConfig.of({**CONFIG, **changes}), augmentation)


def seen(image: Image.Image, **changes: Any) -> torch.Tensor:
    """What the network sees of a picture."""
    made = transforms(**changes)
    return made.normalize(made.to_tensor(image)[None])[0]


# ---------------------------------------------------------------------- evaluation


@pytest.mark.parametrize("size", [(64, 64), (100, 75), (75, 100), (333, 500), (64, 300), (30, 20), (1, 1)])
@pytest.mark.parametrize(
    "crop", [{"crop_pct": 0.875}, {"crop_pct": 1.0}, {"crop_pct": 0.9, "interpolation": "bilinear"}]
)
def test_the_network_sees_what_timm_would_show_it(
    picture: Picture, size: tuple[int, int], crop: dict[str, Any]
) -> None:
    image = picture("red", size=size)
    theirs: Any = create_transform(**{**CONFIG, **crop}, is_training=False)
    # One level of 255, where resizing in one step rounds once.
    assert (seen(image, **crop) - theirs(image)).abs().max() < 1.01 / 255 / 0.22


@pytest.mark.parametrize(
    "changes",
    [
        {"crop_mode": "squash"},
        {"crop_mode": "border"},
        {"input_size": (3, 48, 64)},
        {"crop_pct": 1.25},
        {"interpolation": "nearest"},
        {"interpolation": "lanczos"},
    ],
)
def test_rarer_crops_are_timms_own(picture: Picture, changes: dict[str, Any]) -> None:
    image = picture("blue", size=(120, 90))
    theirs: Any = create_transform(**{**CONFIG, **changes}, is_training=False)
    assert seen(image, **changes).shape == (3, *{**CONFIG, **changes}["input_size"][1:])
    assert (seen(image, **changes) - theirs(image)).abs().max() < 1.01 / 255 / 0.22


def test_the_data_config_of_any_timm_model_fits() -> None:
    for name in ("resnet18", "vit_tiny_patch16_224", "tf_efficientnet_lite0"):
        config = resolve_data_config({}, model=timm.create_model(name, num_classes=0))
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8))
        made = ImageTransforms(ImageConfig.of(config))
        theirs: Any = create_transform(**config, is_training=False)
        ours = made.normalize(made.to_tensor(image)[None])[0]
        assert (ours - theirs(image)).abs().max() < 1.01 / 255 / min(config["std"])


def test_a_picture_a_thousand_times_as_long_as_wide_costs_no_more_than_others() -> None:
    assert transforms().to_tensor(Image.new("RGB", (1, 30_000))).shape == (3, 64, 64)


def test_samples_are_bytes_and_batches_are_floats() -> None:
    tensor = transforms().to_tensor(Image.new("RGB", (80, 80), (128, 0, 255)))
    assert tensor.dtype is torch.uint8
    batch = transforms().normalize(torch.stack([tensor, tensor]))
    assert batch.dtype is torch.float32
    assert batch.is_contiguous()
    expected = [(128 / 255 - 0.48) / 0.22, (0 - 0.45) / 0.23, (1 - 0.40) / 0.24]
    torch.testing.assert_close(batch[1, :, 5, 5], torch.tensor(expected))


def test_normalizing_can_be_undone() -> None:
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    before = images.clone()
    made = transforms()
    torch.testing.assert_close(made.denormalize(made.normalize(images)), before / 255)
    assert torch.equal(images, before)


def test_networks_that_see_gray_get_one_channel() -> None:
    made = transforms(input_size=(1, 64, 64))
    tensor = made.to_tensor(Image.new("RGB", (80, 80), (90, 90, 90)))
    assert tensor.shape == (1, 64, 64)
    value = float(made.normalize(tensor[None])[0, 0, 3, 3])
    assert value == pytest.approx((90 / 255 - np.mean(CONFIG["mean"])) / np.mean(CONFIG["std"]), abs=1e-5)


def test_transforms_go_to_other_processes_without_what_is_on_a_device() -> None:
    made = transforms("trivial")
    made.normalize(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
    assert copy.deepcopy(made)._constants == {}
    assert copy.deepcopy(made).to_tensor(Image.new("RGB", (9, 9)), train=True).shape == (3, 64, 64)


# ---------------------------------------------------------------------- configurations


@pytest.mark.parametrize(("size", "expected"), [(32, (32, 32)), ((32, 48), (32, 48)), ([24, 24], (24, 24))])
def test_another_size_can_be_asked_for(size: Any, expected: tuple[int, int]) -> None:
    config = ImageConfig.of(CONFIG, size)
    assert (config.height, config.width) == expected
    assert ImageTransforms(config).to_tensor(Image.new("RGB", (99, 50))).shape == (3, *expected)


@pytest.mark.parametrize("size", [0, -1, True, (1, 2, 3), "large", (0, 5)])
def test_sizes_that_are_none_are_refused(size: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected image_size to be a number of pixels"):
        ImageConfig.of(CONFIG, size)


def test_what_a_configuration_lacks_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"but mean and std is not in \['input_size'\].*resolve_data_config"):
        ImageConfig.of({"input_size": (3, 8, 8)})
    with pytest.raises(ConfigurationError, match=r"3 channels, or of 1, but its input_size is \(4, 8, 8\)"):
        ImageConfig.of({**CONFIG, "input_size": (4, 8, 8)})
    with pytest.raises(ConfigurationError, match="interpolation to be one of nearest, .*, but got 'cubic'"):
        transforms(interpolation="cubic")


# ---------------------------------------------------------------------- augmentation


@pytest.mark.parametrize("name", ["flip", "crop", "trivial", "randaugment"])
def test_augmentations_differ_from_call_to_call_and_follow_the_seed(picture: Picture, name: str) -> None:
    image = picture("green", size=(120, 90))
    made = transforms(name)

    def run() -> list[torch.Tensor]:
        torch.manual_seed(3)
        return [made.to_tensor(image, train=True) for _ in range(8)]

    once, again = run(), run()
    assert all(torch.equal(one, other) for one, other in zip(once, again, strict=True))
    assert any(not torch.equal(once[0], other) for other in once[1:])
    assert {tuple(tensor.shape) for tensor in once} == {(3, 64, 64)}
    # Only in training.
    assert torch.equal(made.to_tensor(image), transforms().to_tensor(image))


def test_flip_mirrors_and_does_nothing_else(picture: Picture) -> None:
    image = picture("green", size=(120, 90))
    plain, made = transforms().to_tensor(image), transforms("flip")
    results = [made.to_tensor(image, train=True) for _ in range(20)]
    kinds = {torch.equal(result, plain) for result in results}
    assert kinds == {True, False}
    assert all(torch.equal(result, plain) or torch.equal(result, plain.flip(-1)) for result in results)


def test_torchvision_transforms_and_callables_are_augmentations(picture: Picture) -> None:
    image = picture("blue", size=(120, 90))
    compose = v2.Compose([v2.RandomResizedCrop(64), v2.ToImage(), v2.ToDtype(torch.uint8)])
    assert transforms(compose).to_tensor(image, train=True).shape == (3, 64, 64)
    # What has another size is resized as for evaluation.
    mirror = transforms(v2.RandomHorizontalFlip(1.0), crop_pct=1.0)
    mirrored = mirror.to_tensor(picture("blue", size=(90, 90)), train=True)
    plain = mirror.to_tensor(picture("blue", size=(90, 90)))
    torch.testing.assert_close(mirrored.int(), plain.flip(-1).int(), atol=1, rtol=0)


def test_an_augmentation_that_makes_floats_is_refused_rather_than_normalized_twice() -> None:
    made = transforms(v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]))
    with pytest.raises(ConfigurationError, match=r"got torch.float32.*pass all of it as train_transform"):
        made.to_tensor(Image.new("RGB", (9, 9)), train=True)
    with pytest.raises(ConfigurationError, match="an image or a uint8 tensor, but got ndarray"):
        transforms(np.asarray).to_tensor(Image.new("RGB", (9, 9)), train=True)


def test_own_augmentations_can_be_given_a_name(picture: Picture) -> None:
    @augmentations("upside_down", summary="For this test.")
    def upside_down(config: ImageConfig) -> Any:
        return v2.RandomVerticalFlip(1.0)

    try:
        image = picture("red", size=(64, 64))
        result = transforms("upside_down", crop_pct=1.0).to_tensor(image, train=True)
        assert torch.equal(result, transforms(crop_pct=1.0).to_tensor(image).flip(1))
    finally:
        augmentations.remove("upside_down")


def test_a_name_that_does_not_exist_is_answered_with_one_that_does() -> None:
    made = transforms("trivia")
    with pytest.raises(UnknownNameError, match="trivial"):
        made.to_tensor(Image.new("RGB", (9, 9)), train=True)


def test_pictures_are_decoded_only_as_large_as_their_transforms_need() -> None:
    assert transforms().min_size(train=True) == (73, 73)
    assert transforms("flip").min_size(train=True) == (73, 73)
    # The smallest crop has 0.35 of the area, and still 64 pixels a side.
    assert transforms("crop").min_size(train=True) == (109, 109)
    assert transforms("crop").min_size(train=False) == (73, 73)
    assert transforms(lambda image: image).min_size(train=True) is None

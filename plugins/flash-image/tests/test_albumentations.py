"""Transforms of albumentations: recognized without an import, called by name, seeded as all others are."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors

from flash.errors import ConfigurationError
from flash.image import ImageClassificationData
from flash.image.albumentations import Albumentations, as_callable, is_albumentations
from flash.testing import in_clean_process

CONFIG: dict[str, Any] = {"input_size": (3, 8, 8), "mean": (0.0,) * 3, "std": (1.0,) * 3, "crop_pct": 1.0}


def noise(size: int = 8, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8))


def test_compositions_and_single_transforms_are_recognized(album: Any) -> None:
    for transform in (album.HorizontalFlip(p=1), album.Compose([]), album.OneOf([album.NoOp()])):
        assert is_albumentations(transform)
        assert isinstance(as_callable(transform), Albumentations)
    assert as_callable(noise) is noise


def test_images_stay_images_and_floats_have_their_channels_first(album: Any) -> None:
    image = noise()
    mirrored = as_callable(album.HorizontalFlip(p=1))(image)
    assert np.array_equal(np.asarray(mirrored), np.asarray(image)[:, ::-1])
    floats = as_callable(album.Normalize(mean=(0,) * 3, std=(1,) * 3, p=1))(image)
    torch.testing.assert_close(floats, torch.tensor(np.asarray(image)).permute(2, 0, 1) / 255)
    tensor = as_callable(album.Compose([album.Normalize(mean=(0,) * 3, std=(1,) * 3), album.ToTensorV2()]))(image)
    torch.testing.assert_close(tensor, floats)


def test_a_mask_moves_with_its_image(album: Any) -> None:
    image = noise()
    mask = torch.tensor(np.asarray(image)[..., 0].copy())
    for transform in (album.HorizontalFlip(p=1), album.Compose([album.RandomRotate90(p=1), album.RandomCrop(5, 6)])):
        changed, moved = as_callable(transform)(image, tv_tensors.Mask(mask[None]))
        assert np.array_equal(np.asarray(changed)[..., 0], moved.numpy())
        assert not np.array_equal(moved.numpy(), mask.numpy())


def test_random_numbers_follow_the_seed_of_torch_unless_it_has_one_of_its_own(album: Any) -> None:
    def run(transform: Any) -> list[bytes]:
        torch.manual_seed(3)
        return [transform(noise()).tobytes() for _ in range(12)]

    made = as_callable(album.Compose([album.RandomBrightnessContrast(p=1)]))
    first = run(made)
    assert run(made) == run(pickle.loads(pickle.dumps(made))) == first
    assert len(set(first)) > 6
    own = as_callable(album.Compose([album.RandomBrightnessContrast(p=1)], seed=5))
    assert run(own) != run(own), "it goes on where it was"


def test_it_augments_and_it_makes_the_input_of_a_network(album: Any) -> None:
    images, targets = [noise(seed=seed) for seed in range(4)], ["a", "b"] * 2
    mirror = album.Compose([album.HorizontalFlip(p=1)])
    for options in ({"augmentation": mirror}, {"train_transform": mirror}):
        dm = ImageClassificationData.from_images(images, targets, data_config=CONFIG, batch_size=4, **options)
        pixels = dm.train_dataset[1][0]
        assert torch.equal(pixels, torch.tensor(np.asarray(images[1])).permute(2, 0, 1).flip(-1))
        assert "HorizontalFlip" in str(dm.preprocess and dm.preprocess.state_dict())
    floats = album.Compose([album.Normalize(), album.ToTensorV2()])
    dm = ImageClassificationData.from_images(images, targets, data_config=CONFIG, augmentation=floats)
    with pytest.raises(ConfigurationError, match=r"got torch.float32.*pass all of it as train_transform"):
        dm.train_dataset[0]


def test_an_array_that_is_no_image_is_an_error() -> None:
    for image, said in ((np.zeros(3), r"but got shape \(3,\)"), ("image", "but got str")):
        with pytest.raises(ConfigurationError, match=rf"of \(height, width, channels\), {said}"):
            Albumentations(lambda image, image_=image: {"image": image_})(noise())


@pytest.mark.process
def test_the_plugin_does_not_import_it(tmp_path: Path) -> None:
    code = "import sys, flash.image.segmentation.preprocess; result = 'albumentations' in sys.modules"
    assert not in_clean_process(tmp_path, code)

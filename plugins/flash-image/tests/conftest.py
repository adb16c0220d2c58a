"""Fixtures that the tests of images share: drawn pictures and tiny networks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from flash.image import ImageClassificationData

# Tests import what they share from modules beside this file.
sys.path.insert(0, str(Path(__file__).parent))

SIZE = 32
#: What the tiny networks of these tests see.
CONFIG = {"input_size": (3, SIZE, SIZE), "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "crop_pct": 1.0}


def _draw(kind: str, seed: int, size: int = SIZE) -> Image.Image:
    """A red square or a blue circle somewhere on a noisy gray."""
    random = np.random.default_rng(seed)
    picture = Image.fromarray(random.integers(100, 156, (size, size, 3), dtype=np.uint8))
    side = int(random.integers(size // 3, size // 2))
    left, top = (int(random.integers(0, size - side)) for _ in range(2))
    box = (left, top, left + side, top + side)
    pencil = ImageDraw.Draw(picture)
    if "square" in kind:
        pencil.rectangle(box, fill=(200, 40, 40))
    if "circle" in kind:
        pencil.ellipse(box, fill=(40, 40, 200))
    return picture


@pytest.fixture
def draw() -> Callable[..., Image.Image]:
    """Draws a picture: ``draw("square", seed)``."""
    return _draw


@pytest.fixture
def shapes() -> Callable[..., ImageClassificationData]:
    """Makes data of squares and circles in memory: ``shapes(train=40, val=20, shuffled=False, **options)``."""

    def make(train: int = 40, val: int = 20, shuffled: bool = False, **options: Any) -> ImageClassificationData:
        targets = [("square", "circle")[seed % 2] for seed in range(train + val)]
        pictures = [_draw(target, seed) for seed, target in enumerate(targets)]
        if shuffled:
            targets = list(np.random.default_rng(0).permutation(targets))
        return ImageClassificationData.from_images(
            train_images=pictures[:train],
            train_targets=targets[:train],
            val_images=pictures[train:],
            val_targets=targets[train:],
            **{"batch_size": 20, "seed": 0, **options},
        )

    return make


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A folder with ``train``, ``val`` and ``test`` of classes ``ants`` (squares) and ``bees``, and ``new``."""
    for stage, count in (("train", 6), ("val", 4), ("test", 4)):
        for kind, name in (("square", "ants"), ("circle", "bees")):
            folder = tmp_path / stage / name
            folder.mkdir(parents=True)
            for number in range(count):
                _draw(kind, 100 * len(stage) + number).save(folder / f"{number}.jpg")
    (tmp_path / "new").mkdir()
    for number in range(3):
        _draw("square", number).save(tmp_path / "new" / f"{number}.jpg")
    return tmp_path


COLORS = {"blue": (40, 60, 220), "green": (40, 200, 60), "red": (220, 50, 40)}


def _paint(color: str, size: tuple[int, int] = (40, 30), seed: int = 0) -> Image.Image:
    """A picture of one color with some noise; ``size`` is (width, height)."""
    noise = np.random.default_rng(seed).integers(-30, 30, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.array(COLORS[color]) + noise, 0, 255).astype(np.uint8))


@pytest.fixture
def picture() -> Callable[..., Image.Image]:
    """Paints a picture: ``picture("red", size=(40, 30), seed=0)``."""
    return _paint


@pytest.fixture
def class_folders(tmp_path: Path) -> Callable[..., Path]:
    """Writes a folder with one folder a color: ``class_folders("train", images=4, colors=("red", "blue"))``."""

    def make(name: str, images: int = 4, colors: tuple[str, ...] = ("blue", "red"), seed: int = 0) -> Path:
        for color in colors:
            (tmp_path / name / color).mkdir(parents=True)
            for number in range(images):
                _paint(color, seed=1000 * seed + number).save(tmp_path / name / color / f"{number:03d}.png")
        return tmp_path / name

    return make


@pytest.fixture
def album(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library albumentations, which looks for a later version of itself unless told not to."""
    monkeypatch.setenv("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations

    return albumentations


@pytest.fixture
def tiny() -> dict[str, Any]:
    """The arguments of a task that give it a tiny network with random weights, for pictures of 32 pixels."""
    return {"backbone": "test_resnet", "pretrained": False, "data_config": CONFIG}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, torch.Tensor]]:
    """The caches of the hub and of torch, empty; puts weights of a timm model there, as a download would."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))

    def put(name: str) -> dict[str, torch.Tensor]:
        weights: dict[str, torch.Tensor] = timm.create_model(name).state_dict()
        folder = tmp_path / "hub" / f"models--timm--{name}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("1234")
        (folder / "snapshots" / "1234").mkdir(parents=True)
        save_file(weights, folder / "snapshots" / "1234" / "model.safetensors")
        return weights

    return put

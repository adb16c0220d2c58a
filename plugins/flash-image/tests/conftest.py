"""Fixtures that the tests of images share: quiet runs, drawn pictures, and real photos where they are."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Tiny networks are slower, and no two runs are equal, with several threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test waits for a model hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest
import torch
from PIL import Image

import flash

SHARED = Path(os.environ.get("FLASH_SHARED", Path(__file__).resolve().parents[4] / "shared"))
COLOURS = {"blue": (40, 60, 220), "green": (40, 200, 60), "red": (220, 50, 40)}


@pytest.fixture(autouse=True)
def _quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test works in its own folder, seeded, without Lightning's announcements."""
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")


@pytest.fixture
def trainer() -> Callable[..., flash.Trainer]:
    """Makes trainers that leave nothing behind."""

    def make(**options: Any) -> flash.Trainer:
        silent: dict[str, Any] = {
            "max_epochs": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "accelerator": "cpu",
        }
        return flash.Trainer(**{**silent, **options})

    return make


def draw(colour: str, size: tuple[int, int] = (40, 30), seed: int = 0) -> Image.Image:
    """A picture of one colour with some noise; ``size`` is (width, height)."""
    noise = np.random.default_rng(seed).integers(-30, 30, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8))


@pytest.fixture
def picture() -> Callable[..., Image.Image]:
    """Draws a picture: ``picture("red", size=(40, 30), seed=0)``."""
    return draw


@pytest.fixture
def class_folders(tmp_path: Path) -> Callable[..., Path]:
    """Writes a folder with one folder a colour: ``class_folders("train", images=4, colours=("red", "blue"))``."""

    def make(name: str, images: int = 4, colours: tuple[str, ...] = ("blue", "red"), seed: int = 0) -> Path:
        for colour in colours:
            (tmp_path / name / colour).mkdir(parents=True)
            for number in range(images):
                picture = draw(colour, seed=1000 * seed + number)
                picture.save(tmp_path / name / colour / f"{number:03d}.png")
        return tmp_path / name

    return make


@pytest.fixture
def photos() -> Path:
    """The folder of real photos of ants and bees, with ``train`` and ``val``."""
    folder = SHARED / "data/image/hymenoptera_data"
    if not folder.is_dir():
        pytest.skip("the photos are not there: set FLASH_SHARED to the folder that holds data/image/hymenoptera_data")
    return folder

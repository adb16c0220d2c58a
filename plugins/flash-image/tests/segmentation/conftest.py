"""Fixtures that the tests of segmentation share: drawn shapes with their masks, a tiny network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

CONFIG = {"input_size": (3, 64, 64), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
LABELS = ["ground", "circle", "square"]


@dataclass
class Drawn:
    """Noise with a circle (1) and a square (2) of random colors, and the mask of each image."""

    images: list[np.ndarray[Any, Any]]
    masks: list[np.ndarray[Any, Any]]

    def parts(self) -> tuple[Any, Any]:
        return self.images, self.masks

    def save(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Write images and masks, into folders ``images`` and ``masks``."""
        found: tuple[list[Path], list[Path]] = ([], [])
        for row, pair in enumerate(zip(self.images, self.masks, strict=True)):
            for paths, name, array in zip(found, ("images", "masks"), pair, strict=True):
                path = folder / name / f"{row:03}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(path)
                paths.append(path)
        return found


def draw_shapes(count: int, seed: int = 0, sizes: Sequence[tuple[int, int]] = ((48, 48),)) -> Drawn:
    """Draw shapes; ``sizes`` are widths and heights, which take turns."""
    random = np.random.default_rng(seed)
    drawn = Drawn([], [])
    for row in range(count):
        width, height = sizes[row % len(sizes)]
        image = random.integers(100, 156, (height, width, 3), dtype=np.uint8)
        mask = np.zeros((height, width), np.uint8)
        rows, columns = np.mgrid[:height, :width]
        shorter = min(width, height)
        for index in (1, 2):
            side = int(random.integers(shorter // 3, shorter // 2))
            top, left = int(random.integers(0, height - side)), int(random.integers(0, width - side))
            down, across = rows - top, columns - left
            square = (down >= 0) & (down < side) & (across >= 0) & (across < side)
            middle = (side - 1) / 2
            circle = (down - middle) ** 2 + (across - middle) ** 2 <= (side / 2) ** 2
            # Dark or bright in each channel, so that a color says nothing of the shape.
            image[circle if index == 1 else square] = random.choice((0, 255), 3)
            mask[circle if index == 1 else square] = index
        drawn.images.append(image)
        drawn.masks.append(mask)
    return drawn


@pytest.fixture
def draw() -> Callable[..., Drawn]:
    """Draws images with their masks: ``draw(count, seed=0, sizes=((48, 48),))``."""
    return draw_shapes


@pytest.fixture
def tiny() -> dict[str, Any]:
    """The arguments of a task that give it a tiny network with random weights, for images of 64 pixels."""
    return {"backbone": "test_resnet", "pretrained": False, "data_config": CONFIG}

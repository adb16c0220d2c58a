"""Fixtures that these tests share: drawn pictures and short requests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw

from flash.image import ImageClassificationData
from flash.text import TextClassificationData


def draw(kind: str, seed: int) -> Image.Image:
    """A square or a circle of any color somewhere on a noisy gray."""
    random = np.random.default_rng(seed)
    picture = Image.fromarray(random.integers(100, 156, (64, 64, 3), dtype=np.uint8))
    side = int(random.integers(20, 40))
    left, top = (int(random.integers(0, 64 - side)) for _ in range(2))
    pencil = ImageDraw.Draw(picture)
    shape = pencil.rectangle if kind == "square" else pencil.ellipse
    red, green, blue = (int(value) for value in random.integers(0, 256, 3))
    shape((left, top, left + side, top + side), fill=(red, green, blue))
    return picture


@pytest.fixture
def drawn() -> Callable[[str, int], Image.Image]:
    """Draws a picture: ``drawn("square", seed)``."""
    return draw


@pytest.fixture
def shapes() -> Callable[..., ImageClassificationData]:
    """Makes data of squares and circles: ``shapes(train=40, val=20)``."""

    def make(train: int = 8, val: int = 8) -> ImageClassificationData:
        targets = [("square", "circle")[number % 2] for number in range(train + val)]
        pictures = [draw(target, number) for number, target in enumerate(targets)]
        return ImageClassificationData.from_images(
            train_images=pictures[:train],
            train_targets=targets[:train],
            val_images=pictures[train:],
            val_targets=targets[train:],
            image_size=64,
            batch_size=8,
            seed=0,
        )

    return make


THINGS = ["parcel", "lamp", "shirt", "chair", "kettle", "book", "phone", "tent", "radio", "carpet"]
SENTENCES = {
    "delivery": ["When will my {} arrive?", "The {} that I ordered is not here yet."],
    "refund": ["I want my money back for the {}.", "Please return what I paid for this {}."],
}


@pytest.fixture
def requests() -> Callable[..., TextClassificationData]:
    """Makes data of what customers write, with other words in validation than in training."""

    def make() -> TextClassificationData:
        rows = [[(each[0].format(thing), label) for label, each in SENTENCES.items()] for thing in THINGS]
        others = [[(each[1].format(thing), label) for label, each in SENTENCES.items()] for thing in THINGS]
        train, val = ([row for pair in part for row in pair] for part in (rows, others))
        return TextClassificationData.from_lists(
            [text for text, _ in train],
            [label for _, label in train],
            val_data=[text for text, _ in val],
            val_targets=[label for _, label in val],
            batch_size=10,
            seed=0,
        )

    return make

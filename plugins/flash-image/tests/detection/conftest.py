"""What the tests of detection share: drawn images with boxes, a tiny detector."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor

from flash.image import ObjectDetector


@pytest.fixture(autouse=True)
def _own_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torchvision looks for its weights in the test's own folder."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch_home"))


@dataclass
class Drawn:
    """Dark images, each with a red or blue square."""

    images: list[np.ndarray[Any, Any]]
    labels: list[list[str]]
    boxes: list[list[list[int]]]

    def parts(self) -> tuple[Any, Any, Any]:
        return self.images, self.labels, self.boxes

    def save(self, folder: Path, suffix: str = ".png") -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{row:03}{suffix}" for row in range(len(self.images))]
        for path, image in zip(paths, self.images, strict=True):
            Image.fromarray(image).save(path)
        return paths

    def coco(self, file: Path, names: Sequence[str]) -> Path:
        """Write the annotations; ids are neither in a row nor in order, as in COCO's own files."""
        ids = {"red": 70, "blue": 3}
        annotations = [
            {"id": 1000 + row, "image_id": row + 7, "category_id": ids[label], "iscrowd": 0, "bbox": xywh(box)}
            for row, (labels, boxes) in enumerate(zip(self.labels, self.boxes, strict=True))
            for label, box in zip(labels, boxes, strict=True)
        ]
        images = [
            {"id": row + 7, "file_name": name, "width": image.shape[1], "height": image.shape[0]}
            for row, (name, image) in enumerate(zip(names, self.images, strict=True))
        ]
        categories = [{"id": number, "name": name} for name, number in ids.items()]
        file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
        return file


def xywh(box: Sequence[float]) -> list[float]:
    left, top, right, bottom = box
    return [left, top, right - left, bottom - top]


@pytest.fixture
def draw() -> Callable[..., Drawn]:
    """Draws images with one square each."""
    return draw_squares


def draw_squares(count: int, seed: int = 0, sizes: Sequence[tuple[int, int]] = ((64, 64),)) -> Drawn:
    """Draw squares; ``sizes`` are widths and heights, which take turns."""
    random = np.random.default_rng(seed)
    drawn = Drawn([], [], [])
    for row in range(count):
        width, height = sizes[row % len(sizes)]
        image = random.integers(0, 60, (height, width, 3), dtype=np.uint8)
        side = int(random.integers(16, 32))
        left, top = int(random.integers(0, width - side)), int(random.integers(0, height - side))
        red = bool(random.integers(0, 2)) if row > 1 else bool(row)
        image[top : top + side, left : left + side] = (230, 40, 40) if red else (40, 40, 230)
        drawn.images.append(image)
        drawn.labels.append(["red" if red else "blue"])
        drawn.boxes.append([[left, top, left + side, top + side]])
    return drawn


def tiny_detector(num_classes: int, min_size: int = 64, max_size: int = 128, width: int = 8) -> FasterRCNN:
    """A Faster R-CNN on three layers, with few boxes to look at."""
    layers: list[nn.Module] = []
    for number in range(3):
        channels = width << number
        layers += [
            nn.Conv2d(3 if number == 0 else channels // 2, channels, 3, 2, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        ]
    body: Any = nn.Sequential(*layers)
    body.out_channels = width << 2
    return FasterRCNN(
        body,
        num_classes=None,
        min_size=min_size,
        max_size=max_size,
        image_mean=[0.5] * 3,
        image_std=[0.25] * 3,
        rpn_anchor_generator=AnchorGenerator(((16, 24, 32),), ((1.0,),)),
        rpn_pre_nms_top_n_train=200,
        rpn_pre_nms_top_n_test=100,
        rpn_post_nms_top_n_train=50,
        rpn_post_nms_top_n_test=20,
        rpn_batch_size_per_image=64,
        box_batch_size_per_image=16,
        box_head=nn.Sequential(nn.Flatten(), nn.Linear(body.out_channels * 49, 64), nn.ReLU()),
        box_predictor=FastRCNNPredictor(64, num_classes),
    )


@pytest.fixture(autouse=True)
def _tiny() -> Iterator[None]:
    """The backbone ``"tiny"``, in the registry of detectors."""
    ObjectDetector.backbones.register("tiny", tiny_detector)
    yield
    ObjectDetector.backbones.remove("tiny")


@pytest.fixture
def tiny() -> dict[str, Any]:
    """The arguments of a task that give it the tiny detector."""
    return {"backbone": "tiny", "pretrained": False, "learning_rate": 3e-3}

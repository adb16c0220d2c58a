"""What the tests of instance segmentation share: drawn shapes with masks, a tiny Mask R-CNN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from torch import nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor

from flash.image import InstanceSegmentation


def draw_shapes(count: int, seed: int = 0, side: int = 64) -> tuple[Any, list[list[str]], list[Any]]:
    """Draw dark images with a disk or a triangle each, and return them with labels and masks."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    images, labels, masks = [], [], []
    for number in range(count):
        image = random.integers(0, 60, (side, side, 3), dtype=np.uint8)
        radius = int(random.integers(9, 15))
        y, x = (int(each) for each in random.integers(radius, side - radius, 2))
        is_disk = number % 2 == 0
        if is_disk:
            mask = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
        else:
            mask = (np.abs(columns - x) <= (rows - y + radius) / 2) & (np.abs(rows - y) <= radius)
        image[mask] = (230, 60, 60) if is_disk else (60, 60, 230)
        images.append(image)
        labels.append(["disk" if is_disk else "triangle"])
        masks.append(mask[None])
    return images, labels, masks


@pytest.fixture
def shapes() -> Callable[..., tuple[Any, list[list[str]], list[Any]]]:
    """Draws images with one shape each."""
    return draw_shapes


def tiny_segmenter(num_classes: int, width: int = 8) -> MaskRCNN:
    """A Mask R-CNN on three layers, with few boxes to look at."""
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
    return MaskRCNN(
        body,
        num_classes=None,
        min_size=64,
        max_size=64,
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
        mask_head=nn.Sequential(nn.Conv2d(body.out_channels, 32, 3, padding=1), nn.ReLU()),
        mask_predictor=MaskRCNNPredictor(32, 32, num_classes),
    )


@pytest.fixture(autouse=True)
def _tiny() -> Iterator[None]:
    """The backbone ``"tiny"``, in the registry of instance segmentation."""
    InstanceSegmentation.backbones.register("tiny", tiny_segmenter)
    yield
    InstanceSegmentation.backbones.remove("tiny")


@pytest.fixture
def tiny() -> dict[str, Any]:
    """The arguments of a task that give it the tiny network."""
    return {"backbone": "tiny", "pretrained": False, "learning_rate": 3e-3}

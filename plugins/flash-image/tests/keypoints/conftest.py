"""What the tests of keypoints share: drawn bars with two points, a tiny Keypoint R-CNN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from torch import nn
from torchvision.models.detection import KeypointRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign

from flash.image import KeypointDetector

ENDS = ["left_end", "right_end"]


def draw_bars(count: int, seed: int = 0, stage: str = "train", side: int = 64) -> dict[str, Any]:
    """Draw dark images with a bar each, which has a red square of 4 pixels at its left and at its right end.

    Returns:
        The arguments of ``KeypointDetectionData.from_images`` for a stage.
    """
    random = np.random.default_rng(seed)
    images, labels, points, boxes = [], [], [], []
    for number in range(count):
        image = random.integers(0, 60, (side, side, 3), dtype=np.uint8)
        length, height = int(random.integers(24, 34)), 16
        left, top = int(random.integers(0, side - length)), int(random.integers(0, side - height))
        image[top : top + height, left : left + length] = 150 if number % 2 == 0 else (90, 90, 200)
        for start in (left + 3, left + length - 7):
            image[top + 6 : top + 10, start : start + 4] = (230, 40, 40)
        images.append(image)
        labels.append(["gray" if number % 2 == 0 else "blue"])
        points.append(np.array([[[left + 5, top + 8], [left + length - 5, top + 8]]], dtype=np.float32))
        boxes.append([[left, top, left + length, top + height]])
    names = ("images", "targets", "keypoints", "bboxes")
    return {f"{stage}_{name}": part for name, part in zip(names, (images, labels, points, boxes), strict=True)}


@pytest.fixture
def bars() -> Callable[..., dict[str, Any]]:
    """Draws images with one bar each."""
    return draw_bars


def tiny_network(num_classes: int, num_keypoints: int, width: int = 8, size: int = 64) -> KeypointRCNN:
    """A Keypoint R-CNN on three layers, with few boxes to look at."""
    layers: list[nn.Module] = []
    for number in range(3):
        channels = width << number
        layers += [
            nn.Conv2d(3 if number == 0 else channels // 2, channels, 3, 2 if number else 1, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        ]
    body: Any = nn.Sequential(*layers)
    body.out_channels = width << 2
    return KeypointRCNN(
        body,
        num_classes=None,
        min_size=size,
        max_size=size,
        image_mean=[0.5] * 3,
        image_std=[0.25] * 3,
        rpn_anchor_generator=AnchorGenerator(((16, 24, 32),), ((0.5, 1.0),)),
        rpn_pre_nms_top_n_train=200,
        rpn_pre_nms_top_n_test=100,
        rpn_post_nms_top_n_train=50,
        rpn_post_nms_top_n_test=20,
        rpn_batch_size_per_image=64,
        box_batch_size_per_image=16,
        box_head=nn.Sequential(nn.Flatten(), nn.Linear(body.out_channels * 49, 64), nn.ReLU()),
        box_predictor=FastRCNNPredictor(64, num_classes),
        keypoint_roi_pool=MultiScaleRoIAlign(["0"], 14, 2),
        keypoint_head=KeypointRCNNHeads(body.out_channels, (32, 32)),
        keypoint_predictor=KeypointRCNNPredictor(32, num_keypoints),
    )


@pytest.fixture(autouse=True)
def _tiny() -> Iterator[None]:
    """The backbone ``"tiny"``, in the registry of keypoint detection."""
    KeypointDetector.backbones.register("tiny", tiny_network)
    yield
    KeypointDetector.backbones.remove("tiny")


@pytest.fixture
def tiny() -> dict[str, Any]:
    """The arguments of a task that give it the tiny network."""
    return {"backbone": "tiny", "pretrained": False, "learning_rate": 3e-3}

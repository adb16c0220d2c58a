"""Detectors that tests of several packages share."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn
from torchvision.models.detection import FasterRCNN, KeypointRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign

#: The pixels of a side of :func:`squares`.
SIDE = 64


def squares(count: int = 24, seed: int = 0) -> tuple[list[Any], list[list[str]], list[Any]]:
    """Return dark images with a red or a blue square each, but for the last one of six, their classes and boxes."""
    random = np.random.default_rng(seed)
    images, labels, boxes = [], [], []
    for row in range(count):
        image = random.integers(0, 60, (SIDE, SIDE, 3), np.uint8)
        left, top = (int(each) for each in random.integers(0, SIDE - 24, 2))
        name = ("red", "blue")[row % 2]
        if row % 6 < 5:
            image[top : top + 24, left : left + 24] = (230, 40, 40) if name == "red" else (40, 40, 230)
        images.append(image)
        labels.append([name] if row % 6 < 5 else [])
        boxes.append([[left, top, left + 24, top + 24]] if row % 6 < 5 else [])
    return images, labels, boxes


def tiny_detector(**sizes: Any) -> nn.Module:
    """A Faster R-CNN on one layer whose scores differ."""
    layers = nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU())
    vars(layers)["out_channels"] = 8
    anchors = AnchorGenerator(((16, 32),), ((1.0,),))
    heads = {"box_head": nn.Sequential(nn.Flatten(), nn.Linear(8 * 49, 16)), "box_predictor": FastRCNNPredictor(16, 4)}
    return _spread(FasterRCNN(layers, None, rpn_anchor_generator=anchors, **heads, **sizes))


def small_detector(num_classes: int, **options: Any) -> nn.Module:
    """A Faster R-CNN on three layers, which learns to find squares in some epochs."""
    layers: list[nn.Module] = []
    for before, after in ((3, 8), (8, 16), (16, 32)):
        layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    body = nn.Sequential(*layers)
    vars(body)["out_channels"] = 32
    heads = {
        "box_head": nn.Sequential(nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU()),
        "box_predictor": FastRCNNPredictor(64, num_classes),
    }
    few = {"rpn_pre_nms_top_n_train": 200, "rpn_post_nms_top_n_train": 50, "rpn_batch_size_per_image": 64}
    scales = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "box_batch_size_per_image": 16}
    return FasterRCNN(body, None, **heads, **few, **scales, **{**_options(), **options})


def tiny_segmenter(num_classes: int) -> nn.Module:
    """A Mask R-CNN on one layer."""
    layers = nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU())
    vars(layers)["out_channels"] = 8
    heads = {
        **_boxes(num_classes),
        "mask_head": nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()),
        "mask_predictor": MaskRCNNPredictor(8, 8, num_classes),
    }
    return MaskRCNN(layers, None, **heads, **_options())


def tiny_pose(num_classes: int, num_keypoints: int) -> nn.Module:
    """A Keypoint R-CNN on one layer."""
    layers = nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU())
    vars(layers)["out_channels"] = 8
    heads = {
        **_boxes(num_classes),
        "keypoint_roi_pool": MultiScaleRoIAlign(["0"], 14, 2),
        "keypoint_head": KeypointRCNNHeads(8, (8,)),
        "keypoint_predictor": KeypointRCNNPredictor(8, num_keypoints),
    }
    return KeypointRCNN(layers, None, **heads, **_options())


def spread(model: Any) -> nn.Module:
    """Give a network of two stages weights with which scores, masks and heat maps differ."""
    _spread(model).roi_heads.box_predictor.cls_score.weight.data.mul_(4)
    return model


def _spread(model: Any) -> Any:
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=1.4 * parameter[0].numel() ** -0.5)
    return model


def _boxes(num_classes: int) -> dict[str, nn.Module]:
    return {
        "box_head": nn.Sequential(nn.Flatten(), nn.Linear(8 * 49, 16)),
        "box_predictor": FastRCNNPredictor(16, num_classes),
    }


def _options() -> dict[str, Any]:
    anchors = AnchorGenerator(((16, 32),), ((1.0,),))
    sizes = {"min_size": 64, "max_size": 64, "rpn_post_nms_top_n_test": 10, "box_score_thresh": 0.0}
    return {"rpn_anchor_generator": anchors, **sizes}

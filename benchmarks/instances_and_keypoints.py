"""Training of instance segmentation and of keypoint detection, beside loops of PyTorch on the same networks.

Images of 128 x 128 pixels with three objects each, a mask or five points an object; Mask R-CNN and Keypoint R-CNN of
torchvision on a ResNet-18 with random weights, few regions a step, one thread, batches of 4. The loops have the same
networks, losses, optimizer and batch size, and images and targets as tensors that are made before, where Flash decodes
the masks of each sample. The bar is 1.05 of the loop's time. Run: ``nox -s bench -- instances_and_keypoints``.
"""

from __future__ import annotations

import argparse
import logging
import time
from typing import Any

import numpy as np
import torch
from _timing import Clock, compare, quiet, table
from torch import nn
from torch.utils.data import DataLoader
from torchvision.models.detection import KeypointRCNN, MaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

import flash
from flash.image import InstanceSegmentation, InstanceSegmentationData, KeypointDetectionData, KeypointDetector

BATCH, RATE, SIDE, OBJECTS, POINTS = 4, 1e-4, 128, 3, 5
NAMES = [f"point{number}" for number in range(POINTS)]
SILENT: dict[str, Any] = dict.fromkeys(
    ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
)


def network(kind: str) -> nn.Module:
    """Return a network for two classes and the background, the same each time."""
    torch.manual_seed(0)
    body = resnet_fpn_backbone(backbone_name="resnet18", weights=None, trainable_layers=5)
    # Few regions a step: those of a default network take half a minute a step here.
    sizes: dict[str, Any] = {"min_size": SIDE, "max_size": SIDE, "box_batch_size_per_image": 16}
    if kind == "masks":
        return MaskRCNN(body, 3, **sizes)
    return KeypointRCNN(body, 3, num_keypoints=POINTS, **sizes)


def draw(count: int) -> tuple[Any, list[list[int]], list[Any], list[Any]]:
    """Return images, the classes of their objects, and masks and points of these."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    images = random.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    labels, masks, points = [], [], []
    for _ in range(count):
        radii, middles = random.integers(12, 25, OBJECTS), random.integers(30, SIDE - 30, (OBJECTS, 2))
        disks = (rows - middles[:, 1, None, None]) ** 2 + (columns - middles[:, 0, None, None]) ** 2
        masks.append(disks <= radii[:, None, None] ** 2)
        shifts = random.uniform(-0.6, 0.6, (OBJECTS, POINTS, 2)) * radii[:, None, None]
        points.append((middles[:, None] + shifts).astype(np.float32))
        labels.append(random.integers(0, 2, OBJECTS).tolist())
    return images, labels, masks, points


def ways(kind: str, rows: int, epochs: int) -> dict[str, Any]:
    """Return the two ways of training a network."""
    images, labels, masks, points = draw(rows)
    options: dict[str, Any] = {"batch_size": BATCH, "seed": 0, "labels": [0, 1]}
    learned: dict[str, Any] = {"learning_rate": RATE, "lr_scheduler": None}

    def make() -> tuple[flash.Task, flash.DataModule]:
        if kind == "masks":
            data: flash.DataModule = InstanceSegmentationData.from_images(list(images), labels, masks, **options)
            return InstanceSegmentation.from_data(data, backbone=network(kind), **learned), data
        data = KeypointDetectionData.from_images(list(images), labels, points, keypoints=NAMES, **options)
        return KeypointDetector.from_data(data, backbone=network(kind), **learned), data

    def by_flash() -> float:
        task, data = make()
        clock = Clock()
        flash.Trainer(max_epochs=epochs, accelerator="cpu", callbacks=[clock], **SILENT).fit(task, data)
        return clock.seconds

    def by_hand() -> float:
        model = network(kind).train()
        dataset: Any = make()[1].train_dataset
        parts = ("boxes", "labels", "masks" if kind == "masks" else "keypoints")
        samples: Any = [(image / 255, {name: target[name] for name in parts}) for image, target in dataset]
        loader: Any = DataLoader(samples, BATCH, shuffle=True, collate_fn=lambda batch: tuple(zip(*batch, strict=True)))
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, fused=True)
        start = time.perf_counter()
        for _ in range(epochs):
            for x, y in loader:
                loss = torch.stack(list(model(list(x), list(y)).values())).sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return time.perf_counter() - start

    return {"a loop": by_hand, "flash": by_flash}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=24)
    options = parser.parse_args()
    quiet()
    logging.getLogger("flash").setLevel(logging.WARNING)
    for name, kind in (("instance segmentation", "masks"), ("keypoints", "points")):
        print(name)
        table(compare(ways(kind, options.images, 1), options.rounds), "ms", 1e3)


if __name__ == "__main__":
    main()

"""Predictions per second: Flash, and the bare network under ``inference_mode``.

``tf_efficientnet_lite0`` with random weights, batch 32, one thread. Images in memory: ``task.predict`` of a
tensor, and the network on its slices, with an argmax. Photos on disk: ``task.predict`` of files and
``trainer.predict``, and the network on the batches of torchvision's ``ImageFolder``. Run:
``nox -s bench -- image_prediction``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import timm
import torch
from _timing import compare, quiet, table
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

import flash
from flash.image import ImageClassificationData, ImageClassifier

PHOTOS = Path(__file__).resolve().parents[2] / "shared/data/image/hymenoptera_data/val"
NAME = "tf_efficientnet_lite0"
BATCH = 32


class Benchmark:
    """A task, the same network without it, and the images that both see."""

    def __init__(self, folder: Path, images: int) -> None:
        self.folder = folder
        self.task = ImageClassifier(2, backbone=NAME, pretrained=False)
        self.network = torch.nn.Sequential(self.task.backbone, self.task.head).eval()
        self.images = torch.rand(images, 3, 224, 224)
        self.data = ImageClassificationData.from_tensors(predict_data=self.images, batch_size=BATCH)
        self.task.use_data(self.data)
        self.files = sorted(str(file) for file in folder.rglob("*.jpg"))

    def predict_tensors(self) -> float:
        start = time.perf_counter()
        self.task.predict(self.images, output="classes", batch_size=BATCH)
        return time.perf_counter() - start

    def bare_tensors(self) -> float:
        start = time.perf_counter()
        found: list[int] = []
        with torch.inference_mode():
            for batch in self.images.split(BATCH):
                found += self.network(batch).argmax(1).tolist()
        return time.perf_counter() - start

    def predict_files(self) -> float:
        start = time.perf_counter()
        self.task.predict(self.files, output="classes", batch_size=BATCH)
        return time.perf_counter() - start

    def trainer_predicts_files(self) -> float:
        start = time.perf_counter()
        data = ImageClassificationData.from_files(predict_files=self.files, batch_size=BATCH)
        options: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        flash.Trainer(accelerator="cpu", enable_checkpointing=False, **options).predict(
            self.task, datamodule=data, output="classes"
        )
        return time.perf_counter() - start

    def bare_files(self) -> float:
        config = timm.data.resolve_data_config({}, model=self.task.backbone.network)
        start = time.perf_counter()
        transform = timm.data.create_transform(**config)
        pictures = ImageFolder(self.folder, transform, is_valid_file=lambda path: path.endswith(".jpg"))
        found: list[int] = []
        with torch.inference_mode():
            for batch, _ in DataLoader(pictures, BATCH):
                found += self.network(batch).argmax(1).tolist()
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=PHOTOS, help="a folder with one folder of photos a class")
    parser.add_argument("--images", type=int, default=128, help="how many images are in memory")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    quiet()
    benchmark = Benchmark(options.folder, options.images)
    print(f"{options.images} images in memory, ratio to the bare network:")
    table(
        compare(
            {"bare network": benchmark.bare_tensors, "task.predict": benchmark.predict_tensors},
            options.rounds,
        ),
        "s",
        1.0,
    )
    print(f"{len(benchmark.files)} photos on disk, ratio to the bare network on ImageFolder's batches:")
    table(
        compare(
            {
                "bare network, ImageFolder": benchmark.bare_files,
                "task.predict": benchmark.predict_files,
                "trainer.predict": benchmark.trainer_predicts_files,
            },
            options.rounds,
        ),
        "s",
        1.0,
    )


if __name__ == "__main__":
    main()

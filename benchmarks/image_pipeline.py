"""Images per second of the input pipeline: Flash, and torchvision's ``ImageFolder`` with the same transforms.

Both give normalised float batches of the same pictures, in order: Resize, CenterCrop, ToTensor and Normalize an image
there; here decoding and one resize of the centre an image in the worker, and normalisation a batch after it. Beside the
times, how far the pixels are apart. Run: ``nox -s bench -- image_pipeline``, with ``--folder`` for other pictures.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from _timing import compare, quiet, table
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from flash.image import ImageClassificationData

PHOTOS = Path(__file__).resolve().parents[2] / "shared/data/image/hymenoptera_data/train"
CONFIG: dict[str, Any] = {
    "input_size": (3, 224, 224),
    "interpolation": "bilinear",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "crop_pct": 0.875,
}
BATCH = 32


def torchvision_batches(folder: Path, workers: int) -> Iterator[Tensor]:
    steps = [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize(CONFIG["mean"], CONFIG["std"]),
    ]
    dataset = ImageFolder(str(folder), transforms.Compose(steps))
    loader = DataLoader(dataset, BATCH, num_workers=workers, persistent_workers=workers > 0)
    while True:
        yield from (images for images, _ in loader)


def flash_batches(folder: Path, workers: int) -> Iterator[Tensor]:
    data = ImageClassificationData.from_folders(
        folder, folder, batch_size=BATCH, num_workers=workers, data_config=CONFIG
    )
    loader, hooks = data.val_dataloader(), data.val_dataset.hooks
    while True:
        yield from (hooks.transform_on_device(batch)[0] for batch in loader)


def epoch(batches: Iterator[Tensor], images: int) -> float:
    """Seconds an image of a whole pass."""
    start, seen = time.perf_counter(), 0
    while seen < images:
        seen += len(next(batches))
    return (time.perf_counter() - start) / images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=PHOTOS, help="a folder with one folder a class")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    quiet()
    images = len(ImageFolder(str(options.folder)))
    theirs, ours = (next(make(options.folder, 0)) for make in (torchvision_batches, flash_batches))
    difference = (theirs - ours).abs() * torch.tensor(CONFIG["std"]).view(3, 1, 1) * 255
    print(f"Pixels of a batch differ by at most {difference.max():.2f} of 255.")
    for workers in (0, 2):
        pipelines = {
            "torchvision ImageFolder": torchvision_batches(options.folder, workers),
            "Flash": flash_batches(options.folder, workers),
        }
        medians = compare(
            {name: lambda batches=batches: epoch(batches, images) for name, batches in pipelines.items()},
            options.rounds,
        )
        rates = ", ".join(f"{name} {1 / seconds:.0f}" for name, seconds in medians.items())
        print(f"{workers} workers, {images} images, median of {options.rounds} passes; images a second: {rates}")
        table(medians, "ms", 1e3)


if __name__ == "__main__":
    main()

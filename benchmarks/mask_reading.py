"""Reading of images with masks for training: Flash, and a data set of torchvision with transforms of both together.

Both give normalized float images of 224 pixels and masks of that size, of the same photos and PNG masks: there with
``tv_tensors`` and ``torchvision.transforms.v2`` (Resize, ToDtype, Normalize), the usual way for its segmentation data
sets; here by the train loader of ``SemanticSegmentationData.from_folders``. Nothing is augmented. The bar is 1.0 of
torchvision's time. Run: ``nox -s bench -- mask_reading``, with ``--folder`` for other pictures.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _timing import compare, quiet, table
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from flash.image import SemanticSegmentationData

PHOTOS = Path(__file__).resolve().parents[2] / "shared/data/image/hymenoptera_data/train"
SIZE, BATCH = 224, 16
CONFIG: dict[str, Any] = {
    "input_size": (3, SIZE, SIZE),
    "interpolation": "bilinear",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}


class Photos(Dataset[Any]):
    """Images with masks, as torchvision's own data sets read them."""

    def __init__(self, images: Path, masks: Path) -> None:
        self.files = sorted(images.iterdir())
        self.masks = masks
        mean, std = CONFIG["mean"], CONFIG["std"]
        scaled = v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64}, scale=True)
        self.transforms = v2.Compose([v2.ToImage(), v2.Resize((SIZE, SIZE)), scaled, v2.Normalize(mean, std)])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> Any:
        image = Image.open(self.files[row]).convert("RGB")
        mask = Image.open(self.masks / f"{self.files[row].stem}.png")
        return self.transforms(image, tv_tensors.Mask(np.array(mask)))


def write(photos: Path, folder: Path) -> int:
    """Copy photos and make masks of them, and return their number."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    files = sorted(photos.rglob("*.jpg"))
    for number, file in enumerate(files):
        (folder / "images" / f"{number:04}.jpg").write_bytes(file.read_bytes())
        gray = np.asarray(Image.open(file).convert("L"))
        Image.fromarray((gray // 64).astype(np.uint8)).save(folder / "masks" / f"{number:04}.png")
    return len(files)


def torchvision_batches(folder: Path, workers: int) -> Iterator[Any]:
    dataset = Photos(folder / "images", folder / "masks")
    loader = DataLoader(dataset, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    while True:
        yield from loader


def flash_batches(folder: Path, workers: int) -> Iterator[Any]:
    data = SemanticSegmentationData.from_folders(
        str(folder / "images"),
        str(folder / "masks"),
        batch_size=BATCH,
        num_workers=workers,
        data_config=CONFIG,
        augmentation="none",
        seed=0,
    )
    loader, hooks = data.train_dataloader(), data.train_dataset.hooks
    while True:
        yield from (hooks.transform_on_device(batch) for batch in loader)


def epoch(batches: Iterator[Any], images: int) -> float:
    """Return the seconds per image of a whole pass."""
    start, seen = time.perf_counter(), 0
    while seen < images:
        seen += len(next(batches)[1])
    return (time.perf_counter() - start) / images


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=PHOTOS, help="a folder of photos")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        images = write(options.folder, folder)
        for workers in (0, 2):
            pipelines = {
                "torchvision": torchvision_batches(folder, workers),
                "Flash": flash_batches(folder, workers),
            }
            medians = compare(
                {name: lambda batches=batches: epoch(batches, images) for name, batches in pipelines.items()},
                options.rounds,
            )
            print(f"{workers} workers, {images} images with masks, median of {options.rounds} passes (bar: 1.0)")
            table(medians, "ms", 1e3)


if __name__ == "__main__":
    main()

"""A folder with a hundred thousand images is listed and trained on in memory that is bounded for each image."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flash.testing import in_clean_process

COUNT = 100_000
# What a data module may keep for each image, and what it may need for it while it is made.
MOST_KEPT, MOST_NEEDED = 60, 160

PROGRAM = """
import gc
import resource
import tracemalloc
from pathlib import Path

import torch
import flash
from flash.image import ImageClassificationData, ImageClassifier

def value(name):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024

class Tiny(torch.nn.Sequential):
    num_features = 4
    def __init__(self):
        super().__init__(torch.nn.Conv2d(3, 4, 3, stride=2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
                         torch.nn.Flatten())

def run(folder):
    data = ImageClassificationData.from_folders(
        folder, val_split=0.1, seed=0, batch_size=250, num_workers=2,
        data_config={"input_size": (3, 8, 8), "mean": (0.5,) * 3, "std": (0.25,) * 3},
    )
    task = ImageClassifier.from_data(data, backbone=Tiny())
    trainer = flash.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False, max_epochs=1,
    )
    trainer.fit(task, data)
    return len(data.train_dataset), len(data.val_dataset), trainer.global_step

run(warm)
tracemalloc.start()
data = ImageClassificationData.from_folders(folder, val_split=0.1, seed=0)
gc.collect()
kept, needed = tracemalloc.get_traced_memory()
tracemalloc.stop()
del data
limit = value("VmData") + ceiling
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    result = [kept, needed, *run(folder)]
except MemoryError:
    result = None
"""


def write_images(folder: Path, count: int) -> None:
    """Write small images, each another one, into a folder for each of ten classes."""
    pixels = np.random.default_rng(0).integers(0, 255, (count, 8, 8, 3), dtype=np.uint8)
    for name in range(10):
        (folder / f"class_{name}").mkdir(parents=True)
    for row, image in enumerate(pixels):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG", compress_level=1)
        (folder / f"class_{row % 10}" / f"image_{row:06}.png").write_bytes(file.getvalue())


@pytest.mark.slow
@pytest.mark.process
def test_a_hundred_thousand_images_are_trained_under_a_ceiling_of_memory(tmp_path: Path) -> None:
    """Beside what a small training needs, 100 MB of private memory, which the system enforces."""
    write_images(tmp_path / "warm", 1_000)
    write_images(tmp_path / "many", COUNT)
    found = in_clean_process(tmp_path, PROGRAM, warm=tmp_path / "warm", folder=tmp_path / "many", ceiling=100_000_000)
    assert found is not None, "There was no memory left."
    kept, needed, trained, validated, steps = found
    assert (trained, validated, steps) == (90_000, 10_000, 360)
    assert kept / COUNT < MOST_KEPT
    assert needed / COUNT < MOST_NEEDED

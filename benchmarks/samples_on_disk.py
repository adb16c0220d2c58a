"""Images in shards on disk, and in a stream, beside the same images in memory: an epoch of decoded batches.

Each way reads, decodes and collates all images once, shuffled where it shuffles, in turn. Run:
``nox -s bench -- samples_on_disk``.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from _timing import compare, quiet, table
from PIL import Image

from flash.data.shards import write_shards
from flash.image import ImageClassificationData

# An epoch from the disk beside one from memory.
BAR = 1.3
CONFIG = {"input_size": (3, 64, 64), "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop_pct": 1.0}


def images(count: int) -> Iterator[dict[str, Any]]:
    """JPEGs of 64 pixels, of some 1.5 kB."""
    random = np.random.default_rng(0)
    for row in range(count):
        small = Image.fromarray(random.integers(0, 255, (8, 8, 3), dtype=np.uint8))
        file = io.BytesIO()
        small.resize((64, 64), Image.Resampling.BICUBIC).save(file, "JPEG")
        yield {"image": file.getvalue(), "label": f"class {row % 10}"}


def epoch_of(data: Any, count: int) -> Callable[[], float]:
    """Return a function that reads an epoch and returns the seconds it took."""

    def run() -> float:
        started = time.perf_counter()
        read = sum(len(targets) for _, targets in data.train_dataloader())
        assert read == count
        return time.perf_counter() - started

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    quiet()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        shards = Path(folder) / "shards"
        write_shards(images(given.images), shards)
        stream = datasets.load_dataset("parquet", data_files=str(shards / "*"), split="train", streaming=True)
        for workers in (0, 2):
            options: dict[str, Any] = {"data_config": CONFIG, "num_workers": workers, "batch_size": 64, "seed": 0}
            ways = {
                f"{name}, {workers} workers": ImageClassificationData.from_parquet(
                    "image", "label", train_file=shards, in_memory=in_memory, **options
                )
                for name, in_memory in (("in memory", True), ("on disk", False))
            }
            ways[f"a stream, {workers} workers"] = ImageClassificationData.from_datasets(stream, **options)
            medians = compare({name: epoch_of(data, given.images) for name, data in ways.items()}, given.rounds)
            table(medians, "ms", 1000)
            ratio = medians[f"on disk, {workers} workers"] / medians[f"in memory, {workers} workers"]
            print(f"  on disk beside in memory: {ratio:.2f} (bar: {BAR})")


if __name__ == "__main__":
    main()

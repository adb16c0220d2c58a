"""Recordings per second of the input pipeline: Flash, and a loop of soundfile and soxr that a person would write.

Both give batches of the middle seconds of the same files, resampled and mono. Run: ``nox -s bench -- audio``. The bar:
at most 1.1 times the time of the loop.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import torch
from _timing import compare, quiet, table
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from flash.audio import AudioClassificationData

OWN, RATE, SECONDS = 44100, 16000, 5.0
BATCH = 32


class Plain(Dataset[Tensor]):
    """The middle of each file."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.rglob("*.wav"))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        with soundfile.SoundFile(self.files[index]) as file:
            count = min(len(file), round(SECONDS * file.samplerate))
            file.seek((len(file) - count) // 2)
            samples = soxr.resample(file.read(count, dtype="float32", always_2d=True).mean(1), file.samplerate, RATE)
        return torch.nn.functional.pad(torch.from_numpy(samples), (0, round(SECONDS * RATE) - len(samples)))


def plain_batches(folder: Path, workers: int) -> Iterator[Tensor]:
    loader = DataLoader(Plain(folder), BATCH, num_workers=workers, persistent_workers=workers > 0)
    while True:
        yield from loader


def flash_batches(folder: Path, workers: int) -> Iterator[Tensor]:
    loader: Any = AudioClassificationData.from_folders(
        folder, folder, batch_size=BATCH, num_workers=workers, duration=SECONDS
    ).val_dataloader()
    while True:
        yield from (inputs["waveform"] for inputs, _ in loader)


def epoch(batches: Iterator[Tensor], count: int) -> float:
    """Seconds per recording of a whole pass."""
    start, seen = time.perf_counter(), 0
    while seen < count:
        seen += len(next(batches))
    return (time.perf_counter() - start) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(options.files):
            path = folder / "ab"[number % 2] / f"{number}.wav"
            path.parent.mkdir(exist_ok=True)
            noise = np.random.default_rng(number).normal(0, 0.1, (8 * OWN, 2))
            soundfile.write(path, noise, OWN)
        one, other = (next(make(folder, 0)) for make in (plain_batches, flash_batches))
        print(f"Samples of a batch differ by at most {(one - other).abs().max():.1e}.")
        for workers in (0, 2):
            pipelines = {
                "soundfile and soxr": plain_batches(folder, workers),
                "Flash": flash_batches(folder, workers),
            }
            medians = compare(
                {
                    name: lambda batches=batches: epoch(batches, options.files)  # type: ignore[misc]  # bound now
                    for name, batches in pipelines.items()
                },
                options.rounds,
            )
            print(f"{workers} workers, {options.files} files of 8 s in stereo, median of {options.rounds} passes")
            table(medians, "ms", 1e3)


if __name__ == "__main__":
    main()

"""What the benchmarks share: interleaved repetitions, medians and ratios, since machines are noisy."""

from __future__ import annotations

import logging
import statistics
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from pytorch_lightning.callbacks import Callback


def quiet() -> None:
    """Leave the benchmark's own lines alone on the screen."""
    warnings.filterwarnings("ignore")
    for name in ("pytorch_lightning", "lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    torch.set_num_threads(1)


def compare(candidates: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Run the candidates in turn, several rounds, and return the median of each; a first round does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(rounds + 1):
        for name, run in candidates.items():
            measured = run()
            if turn:
                seconds[name].append(measured)
    return {name: statistics.median(values) for name, values in seconds.items()}


def table(medians: Mapping[str, float], unit: str, scale: float) -> None:
    """Print each median, and its ratio to the first one."""
    base = next(iter(medians.values()))
    for name, value in medians.items():
        print(f"  {name:44s} {value * scale:10.1f} {unit}   {value / base:5.2f}")


class Clock(Callback):
    """The time between the first and the last step of a training."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def on_train_start(self, *_: Any) -> None:
        import time

        self._start = time.perf_counter()

    def on_train_end(self, *_: Any) -> None:
        import time

        self.seconds = time.perf_counter() - self._start

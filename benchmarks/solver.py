"""What a stage of a solver costs a step, beside the same loop written out.

    python benchmarks/solver.py

Both train the same tiny network on the same batches, in turns. The ratio of a bar that logs five times,
and of a loop that can be gone on with in the middle, to the bare loop should be at most 1.03.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from flash.solver import BaseSolver, averager

STEPS, ROUNDS, ROWS, WIDTH = 300, 60, 64, 64


class Solver(BaseSolver):
    """Trains a tiny network."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))
        self.optim = torch.optim.SGD(self.model.parameters(), lr=1e-3)
        self.register_stateful("model", "optim")
        self.batches = list(torch.randn(STEPS, ROWS, WIDTH))

    def step(self, batch: torch.Tensor) -> float:
        loss = self.model(batch).pow(2).mean()
        loss.backward()
        self.optim.step()
        self.optim.zero_grad()
        return loss.item()

    def train(self, **options: Any) -> dict[str, Any]:
        average, metrics = averager(), {}
        progress = self.log_progress("train", self.batches, **({"carry": average} if options.pop("carry", 0) else {}))
        for batch in progress:
            metrics = average({"loss": self.step(batch)})
            progress.update(**metrics)
        return metrics

    def bare(self) -> dict[str, Any]:
        return loop(self.step, self.batches)


def loop(step: Callable[[Any], float], batches: Iterable[Any]) -> dict[str, Any]:
    total, count = 0.0, 0
    for batch in batches:
        total += step(batch)
        count += 1
    return {"loss": total / count}


def timed(function: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def main() -> None:
    torch.set_num_threads(1)
    logging.getLogger("flashy.solver").setLevel(logging.ERROR)
    solver = Solver(tempfile.mkdtemp())

    def stage(**options: Any) -> None:
        solver.run_stage("train", solver.train, **options)
        solver._start_epoch()

    kinds = {"bare loop": solver.bare, "stage": stage, "stage, resumable": lambda: stage(carry=True)}
    for kind in kinds.values():
        kind()
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, kind in kinds.items():
            times[name].append(timed(kind))
    # The least of many short runs: what else the machine does only ever adds.
    best = {name: min(values) for name, values in times.items()}
    for name, seconds in best.items():
        print(f"{name:18} {seconds / STEPS * 1e6:8.1f} us a step   {seconds / best['bare loop']:.3f}")


if __name__ == "__main__":
    main()

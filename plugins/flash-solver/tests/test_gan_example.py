"""The example with two networks, two optimizers and real pictures."""

from __future__ import annotations

import runpy
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from flash.solver import distrib

pytest.importorskip("sklearn", reason="the digits are scikit-learn's")
PROGRAM = str(Path(__file__).resolve().parents[3] / "examples" / "solver_gan" / "train.py")


def train(folder: Path, epochs: int, stop_at: int | None = None) -> Any:
    program = runpy.run_path(PROGRAM)
    if stop_at is not None:
        program["DigitsSolver"].log_image = _stopping(program["DigitsSolver"].log_image, stop_at)
    solver = program["main"](["--folder", str(folder), "--epochs", str(epochs)])
    history = [{key: epoch[key] for key in epoch} for epoch in solver.history]
    for epoch in history:
        for metrics in epoch.values():
            metrics.pop("duration")
    return history, [parameter.sum().item() for parameter in solver.generator.parameters()]


def _stopping(original: Callable[..., Any], epoch: int) -> Callable[..., Any]:
    def log_image(self: Any, *args: Any) -> None:
        original(self, *args)
        if self.epoch == epoch:
            signal.raise_signal(signal.SIGKILL)

    return log_image


@pytest.mark.train
def test_the_digits_become_better(tmp_path: Path) -> None:
    history, _ = train(tmp_path, 12)
    assert history[-1]["valid"]["distance"] < 0.7 * history[0]["valid"]["distance"]
    assert history[-1]["valid"]["digits"] >= 4
    assert (tmp_path / "best.th").exists()
    assert (tmp_path / "outputs" / "valid_12" / "digits.png").exists()


@pytest.mark.process
def test_a_run_that_was_killed_goes_on_exactly(tmp_path: Path, in_process: Callable[..., Any]) -> None:
    straight = train(tmp_path / "a", 4)
    code, _ = in_process(train, tmp_path / "b", 4, 3)
    assert code == -signal.SIGKILL
    assert train(tmp_path / "b", 4) == straight


@pytest.mark.process
def test_it_trains_in_two_processes(tmp_path: Path, in_processes: Callable[..., Any]) -> None:
    def work(rank: int) -> Any:
        assert distrib.world_size() == 2
        torch.set_num_threads(1)
        return train(tmp_path, 2)

    (first, weights), (second, other) = in_processes(2, work)
    assert weights == other
    assert first[1]["train"] == second[1]["train"]

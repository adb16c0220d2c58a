"""The solver of the README, killed and stopped at random steps, equals one that was never interrupted, bit for bit."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import flash.solver as flashy
from flash.serialization import write_checkpoint
from flash.solver.checkpoint import read_checkpoint

pytestmark = pytest.mark.process

#: Resumes in the middle of the training, at least, of all chains of kills.
RESUMES = 50
EPOCHS, STEPS, CHAINS = 4, 20, 5


class Solver(flashy.BaseSolver):
    """The one of the README, which dies in a step."""

    def __init__(self, folder: Path, die: int = -1, by: int = signal.SIGKILL) -> None:
        super().__init__(folder)
        self.model = torch.nn.Linear(32, 1)
        self.optim = torch.optim.Adam(self.model.parameters(), lr=0.1)
        self.register_stateful("model", "optim")
        self.die, self.by, self.steps = die, by, 0

    def run(self, epochs: int = EPOCHS) -> None:
        self.restore()
        for _ in range(self.epoch, epochs + 1):
            self.run_stage("train", self.train)
            self.commit()

    def train(self) -> Any:
        average = flashy.averager()
        batches = torch.randn(STEPS, 4, 32)
        for batch in self.log_progress("train", batches, carry=average, commit_every=3):
            loss = self.model(batch).abs().mean()
            loss.backward()
            self.optim.step()
            self.optim.zero_grad()
            metrics = average({"loss": loss})
            self.steps += 1
            if self.steps == self.die:
                os.kill(os.getpid(), self.by)
        return metrics


def live(folder: Path, seed: int, die: int = -1, by: int = signal.SIGKILL) -> Any:
    torch.manual_seed(seed)
    solver = Solver(folder, die, by)
    solver.run()
    return result(solver)


def result(solver: flashy.BaseSolver) -> Any:
    losses = [{name: value for name, value in epoch["train"].items() if name != "duration"} for epoch in solver.history]
    state = solver.state_dict()
    weights = {name: value.tolist() for name, value in state["model"].items()}
    moments = {
        key: {name: value.tolist() for name, value in each.items()} for key, each in state["optim"]["state"].items()
    }
    return losses, weights, moments


@pytest.mark.slow
def test_a_solver_that_is_killed_and_stopped_at_random_steps_equals_the_whole_one(
    tmp_path: Path, in_process: Callable[..., Any]
) -> None:
    _, whole = in_process(live, tmp_path / "whole", 0)
    assert len(whole[0]) == EPOCHS
    resumes = {signal.SIGKILL: 0, signal.SIGTERM: 0}
    for chain in range(CHAINS):
        found, counts = resume_until_done(live, tmp_path / str(chain), in_process, chain)
        assert found == whole
        for by, count in counts.items():
            resumes[by] += count
    assert sum(resumes.values()) >= RESUMES
    assert min(resumes.values()) >= RESUMES // 5


def resume_until_done(live: Callable[..., Any], folder: Path, in_process: Callable[..., Any], seed: int) -> Any:
    """The result of the last life, and the number of lives that started in the middle, by what ended the one before."""
    chance = random.Random(seed)
    by = signal.SIGKILL
    counts = {signal.SIGKILL: 0, signal.SIGTERM: 0}
    for life in range(200):
        is_resumed = (folder / "checkpoint.th").exists()
        counts[by] += is_resumed
        by = chance.choice([signal.SIGKILL, signal.SIGTERM])
        code, found = in_process(live, folder, life if is_resumed else 0, chance.randint(1, 9), by)
        if code == 0:
            return found, counts
        assert code in (-signal.SIGKILL, 128 + signal.SIGTERM)
    raise AssertionError("it never ends")


def test_two_solvers_in_one_folder_leave_whole_files_alone(tmp_path: Path, in_process: Callable[..., Any]) -> None:
    path = tmp_path / "checkpoint.th"
    write_checkpoint({"weights": torch.zeros(100_000)}, path)
    writers = []
    for value in (1.0, 2.0):
        if (pid := os.fork()) == 0:
            failed = 0
            for _ in range(50):
                try:
                    write_checkpoint({"weights": torch.full((100_000,), value)}, path)
                except BaseException:
                    failed += 1
            os._exit(failed)
        writers.append(pid)
    codes: dict[int, int] = {}
    while len(codes) < len(writers):
        weights = read_checkpoint(path)["weights"]
        assert bool((weights == weights[0]).all())
        for pid in set(writers) - set(codes):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                codes[pid] = os.waitstatus_to_exitcode(status)
    assert list(codes.values()) == [0, 0]
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.th"]

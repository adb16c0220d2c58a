"""A run that is interrupted anywhere gives, bit for bit, what an uninterrupted one gives."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from flash.errors import ConfigurationError
from flash.serialization import write_checkpoint
from flash.solver import EMA, BaseSolver, StateError, averager
from flash.solver.checkpoint import read_checkpoint

EPOCHS, BATCHES = 3, 6


class Noisy(Dataset[Tensor]):
    """Samples that are made of all kinds of random numbers."""

    def __len__(self) -> int:
        return 4 * BATCHES

    def __getitem__(self, index: int) -> Tensor:
        noise = torch.rand(3) + float(np.random.rand()) + random.random()
        return index + noise


class Solver(BaseSolver):
    """Trains with dropout, shuffles, random augmentations, an average and an EMA; dies where it is told to."""

    def __init__(self, folder: Path, die: str = "", by: int = signal.SIGKILL, every: Any = None, workers: int = 0):
        super().__init__(folder)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 1))
        self.optim = torch.optim.Adam(self.model.parameters(), lr=0.01)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optim, 1, 0.9)
        self.ema = EMA(self.model, 0.9)
        self.register_stateful("model", "optim", "schedule", "ema")
        self.loader = DataLoader(Noisy(), 4, shuffle=True, num_workers=workers)
        self.die, self.by, self.every = die, by, every

    def maybe_die(self, where: str) -> None:
        if where == self.die:
            os.kill(os.getpid(), self.by)

    def run(self) -> None:
        self.restore()
        for _ in range(self.epoch, EPOCHS + 1):
            self.run_stage("train", self.train)
            self.maybe_die(f"after train {self.epoch}")
            with self.ema.swap():
                self.run_stage("valid", self.valid)
            self.maybe_die(f"before commit {self.epoch}")
            self.commit()
            self.maybe_die(f"after commit {self.epoch - 1}")

    def train(self) -> dict[str, Any]:
        self.model.train()
        average = averager()
        seen: list[Any] = []
        progress = self.log_progress("train", self.loader, carry=(average, seen), commit_every=self.every)
        metrics: dict[str, Any] = {}
        for batch in progress:
            loss = self.model(batch / 10).pow(2).mean()
            loss.backward()
            if len(seen) % 2:  # gradients of two steps are accumulated
                self.optim.step()
                self.optim.zero_grad()
                self.ema.update()
            seen.append(float(batch.sum()))
            metrics = average({"loss": loss})
            self.maybe_die(f"in train {self.epoch} {len(seen)}")
        self.schedule.step()
        return {**metrics, "seen": sum(seen), "steps": len(seen)}

    def valid(self) -> dict[str, Any]:
        self.model.eval()
        average = averager()
        metrics: dict[str, Any] = {}
        with torch.no_grad():
            for index, batch in enumerate(self.log_progress("valid", self.loader, carry=average)):
                metrics = average({"loss": self.model(batch / 10).mean(), "noise": torch.rand(1)})
                self.maybe_die(f"in valid {self.epoch} {index + 1}")
        return metrics


def result(solver: BaseSolver) -> tuple[Any, Any]:
    history = [
        {stage: {key: value for key, value in metrics.items() if key != "duration"} for stage, metrics in epoch.items()}
        for epoch in solver.history
    ]
    state = solver.state_dict()
    tensors = [value.tolist() for name in ("model",) for value in state[name].values()]
    tensors += [value.tolist() for value in state["ema"]["average"].values()]
    return history, tensors


def train(folder: Path, *args: Any) -> tuple[Any, Any]:
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    solver = Solver(folder, *args)
    solver.run()
    return result(solver)


def go_on(folder: Path, *args: Any) -> tuple[Any, Any]:
    if not (folder / "checkpoint.th").exists():
        return train(folder, *args)
    torch.manual_seed(1234)
    random.seed(1)
    solver = Solver(folder, *args)
    solver.run()
    return result(solver)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    torch.set_num_threads(1)
    return train(tmp_path_factory.mktemp("straight"))


PLACES = [
    *(f"before commit {epoch}" for epoch in range(1, EPOCHS + 1)),
    *(f"after commit {epoch}" for epoch in range(1, EPOCHS + 1)),
    *("in train 1 3", "in train 2 1", "in train 2 6", "after train 2", "in valid 2 4"),
]


@pytest.mark.process
@pytest.mark.parametrize("every", [None, 2, timedelta(microseconds=1)], ids=["epochs", "steps", "time"])
@pytest.mark.parametrize("place", PLACES)
def test_a_run_that_was_killed_anywhere_equals_the_uninterrupted_one(
    tmp_path: Path, in_process: Callable[..., Any], uninterrupted: Any, place: str, every: Any
) -> None:
    code, _ = in_process(train, tmp_path, place, signal.SIGKILL, every)
    assert code == -signal.SIGKILL
    assert go_on(tmp_path, "", 0, every) == uninterrupted


@pytest.mark.process
@pytest.mark.parametrize("place", ["in train 1 1", "in train 2 3", "in valid 3 2", "in valid 1 5"])
def test_a_run_that_was_asked_to_stop_saves_the_step_and_goes_on_from_it(
    tmp_path: Path, in_process: Callable[..., Any], uninterrupted: Any, place: str
) -> None:
    code, _ = in_process(train, tmp_path, place, signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    partial = read_checkpoint(tmp_path / "checkpoint.th")["_flash"]
    _, stage, _, step = place.split()
    assert partial["stage"] == stage
    assert partial["ranks"][0]["position"]["index"] == int(step)
    assert list(partial["pending"]) == ([] if stage == "train" else ["train"])
    assert go_on(tmp_path) == uninterrupted


@pytest.mark.process
@pytest.mark.parametrize("stage", ["train", "valid"])
def test_a_run_that_was_asked_to_stop_in_the_last_step_finishes_the_stage(
    tmp_path: Path, in_process: Callable[..., Any], uninterrupted: Any, stage: str
) -> None:
    code, _ = in_process(train, tmp_path, f"in {stage} 2 {BATCHES}", signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    partial = read_checkpoint(tmp_path / "checkpoint.th")["_flash"]
    assert partial["ranks"][0]["position"] is None
    assert list(partial["pending"]) == ["train", "valid"][: 1 if stage == "train" else 2]
    assert go_on(tmp_path) == uninterrupted


@pytest.mark.process
def test_stops_may_follow_one_another(tmp_path: Path, in_process: Callable[..., Any], uninterrupted: Any) -> None:
    in_process(train, tmp_path, "in train 1 2", signal.SIGTERM)
    for place in ("in train 1 4", "in valid 1 3", "in valid 1 2", "in train 3 2"):
        code, _ = in_process(go_on, tmp_path, place, signal.SIGTERM)
        assert code == 128 + signal.SIGTERM
    assert go_on(tmp_path) == uninterrupted


@pytest.mark.process
def test_workers_that_load_make_no_difference(tmp_path: Path, in_process: Callable[..., Any]) -> None:
    straight = train(tmp_path / "a", "", 0, None, 1)
    code, _ = in_process(train, tmp_path / "b", "in train 2 3", signal.SIGTERM, None, 1)
    assert code == 128 + signal.SIGTERM
    assert go_on(tmp_path / "b", "", 0, None, 1) == straight


@pytest.mark.process
@pytest.mark.parametrize("moment", ["write", "fsync", "replace"])
def test_a_run_that_was_killed_inside_a_save_goes_on_from_a_whole_file(
    tmp_path: Path, in_process: Callable[..., Any], uninterrupted: Any, moment: str
) -> None:
    def killed_in_second_save() -> None:
        count, original = 0, {"write": torch.save, "fsync": os.fsync, "replace": Path.replace}[moment]

        def deadly(*args: Any) -> Any:
            nonlocal count
            # Each commit writes two files, the checkpoint and the history; only torch.save is called once.
            count += 1
            if count == (2 if moment == "write" else 5):
                if moment == "write":
                    args[1].write(b"half a file")
                    args[1].flush()
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args)

        owner = {"write": torch, "fsync": os, "replace": Path}[moment]
        setattr(owner, "save" if moment == "write" else moment, deadly)
        train(tmp_path)

    code, _ = in_process(killed_in_second_save)
    assert code == -signal.SIGKILL
    assert read_checkpoint(tmp_path / "checkpoint.th")["history"]
    assert go_on(tmp_path) == uninterrupted


def test_the_duration_of_a_stage_counts_both_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(BaseSolver):
        def train(self, stop: bool) -> None:
            for index in self.log_progress("train", range(4), resumable=True):
                if stop and index == 1:
                    clock[0] += 100
                    os.kill(os.getpid(), signal.SIGTERM)

    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    solver = Slow(tmp_path)
    with pytest.raises(SystemExit):
        solver.run_stage("train", solver.train, True)
    again = Slow(tmp_path)
    assert again.restore()
    assert again.run_stage("train", again.train, False)["duration"] == 100


def test_stages_that_were_finished_do_not_run_again(tmp_path: Path) -> None:
    ran = []

    class Two(BaseSolver):
        def stage(self, name: str, stop: bool) -> dict[str, Any]:
            ran.append(name)
            for _ in self.log_progress(name, range(2), resumable=True):
                if stop:
                    os.kill(os.getpid(), signal.SIGTERM)
            return {"name": name}

    solver = Two(tmp_path)
    solver.run_stage("first", solver.stage, "first", False)
    with pytest.raises(SystemExit):
        solver.run_stage("second", solver.stage, "second", True)
    again = Two(tmp_path)
    assert again.restore()
    assert again.epoch == 1
    assert again.run_stage("first", again.stage, "first", False)["name"] == "first"
    again.run_stage("second", again.stage, "second", False)
    assert ran == ["first", "second", "second"]
    again.commit()
    again.run_stage("first", again.stage, "first", False)
    assert ran[-1] == "first"


def test_a_stage_with_several_loops_goes_on_in_the_right_one(tmp_path: Path) -> None:
    class Loops(BaseSolver):
        def __init__(self, folder: Path, stop: int | None) -> None:
            super().__init__(folder)
            self.log: list[str] = []
            self.register_stateful("log")
            self.stop = stop

        def train(self) -> dict[str, Any]:
            totals = []
            for number in range(3):
                total = {"sum": 0}
                for item in self.log_progress("train", range(3), carry=total):
                    total["sum"] += item
                    self.log.append(f"{number}.{item}")
                    if len(self.log) == self.stop:
                        os.kill(os.getpid(), signal.SIGTERM)
                totals.append(total["sum"])
            return {"totals": totals}

    solver = Loops(tmp_path, stop=5)
    with pytest.raises(SystemExit):
        solver.run_stage("train", solver.train)
    again = Loops(tmp_path, None)
    assert again.restore()
    assert again.run_stage("train", again.train)["totals"] == [3, 3, 3]
    assert again.log == [f"{number}.{item}" for number in range(3) for item in range(3)]


def test_signals_mean_again_what_they_meant_when_a_stage_is_over(tmp_path: Path) -> None:
    solver = BaseSolver(tmp_path)
    before = signal.getsignal(signal.SIGTERM)

    def fail() -> None:
        for _ in solver.log_progress("train", range(2), resumable=True):
            assert signal.getsignal(signal.SIGTERM) != before
            raise KeyError

    with pytest.raises(KeyError):
        solver.run_stage("train", fail)
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_cannot_be_carried_is_refused(tmp_path: Path) -> None:
    solver = BaseSolver(tmp_path)
    for options, message in (
        ({"carry": 3}, "Expected carry to be something that can be changed in place.* but got a int"),
        ({"commit_every": 0}, "Expected commit_every to be a number of steps or a timedelta"),
        ({"commit_every": timedelta(0)}, "Expected commit_every to be a number of steps or a timedelta"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            solver.run_stage("train", lambda: solver.log_progress("train", [1], **options))  # noqa: B023


@pytest.mark.process
def test_the_middle_of_a_stage_needs_as_many_processes_as_before(
    tmp_path: Path, in_processes: Callable[..., Any]
) -> None:
    def stopped(rank: int) -> None:
        solver = BaseSolver(tmp_path)

        def stage() -> None:
            for _ in solver.log_progress("train", range(12), resumable=True, commit_every=4):
                if rank == 1:
                    os.kill(os.getpid(), signal.SIGTERM)

        solver.run_stage("train", stage)

    codes: list[int] = []
    in_processes(2, stopped, codes=codes)
    assert codes == [128 + signal.SIGTERM] * 2
    with pytest.raises(StateError, match="Expected 2 processes to resume in the middle of the stage 'train'"):
        BaseSolver(tmp_path).restore()


class Drawing(BaseSolver):
    """Draws everywhere: before and between stages, in a stage before and between its loops, from all generators."""

    def __init__(self, folder: Path, stop: int | None = None) -> None:
        super().__init__(folder)
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        self.generator = torch.Generator().manual_seed(1)
        self.log: list[float] = []
        self.register_stateful("generator", "log")
        self.stop, self.steps = stop, 0

    def draw(self) -> float:
        numbers = torch.rand(1) + torch.rand(1, generator=self.generator)
        return float(numbers) + float(np.random.rand()) + random.random()

    def run(self) -> None:
        self.restore()
        for _ in range(self.epoch, 3):
            first = self.draw()
            self.run_stage("train", self.stage, "train", first)
            between = self.draw()
            self.run_stage("valid", self.stage, "valid", between)
            self.commit()

    def stage(self, name: str, given: float) -> dict[str, Any]:
        average = averager()
        results = [given]
        for _ in range(2):
            data = [self.draw() for _ in range(3)]
            for item in self.log_progress(name, data, carry=average):
                value = item + self.draw()
                self.log.append(value)
                metrics = average({"loss": value})
                self.steps += 1
                if self.steps == self.stop:
                    os.kill(os.getpid(), signal.SIGTERM)
            results.append(self.draw())
        return {**metrics, "results": results}


def drawn(folder: Path, stops: list[int | None]) -> Any:
    for stop in stops:
        solver = Drawing(folder, stop)
        try:
            solver.run()
        except SystemExit:
            assert stop is not None
    history = [{name: stage["results"] for name, stage in epoch.items()} for epoch in solver.history]
    return history, solver.log, solver.draw()


@pytest.mark.parametrize("stop", [*range(1, 25)])
def test_what_is_drawn_anywhere_is_drawn_again_after_a_stop_at_any_step(tmp_path: Path, stop: int) -> None:
    whole = drawn(tmp_path / "whole", [None])
    assert drawn(tmp_path / "stopped", [stop, None]) == whole
    assert drawn(tmp_path / "twice", [stop, 1, None]) == whole


def test_the_checkpoint_of_an_older_version_in_the_middle_of_a_stage_is_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        Drawing(tmp_path, stop=5).run()
    stored = read_checkpoint(tmp_path / "checkpoint.th")
    mine = stored["_flash"]["ranks"][0]
    for each in (mine, mine["position"], mine["position"]["start"], mine["position"]["random"]):
        for name in ("epoch", "ends", "begin", "generators"):
            each.pop(name, None)
    write_checkpoint(stored, tmp_path / "checkpoint.th")
    solver = Drawing(tmp_path)
    solver.run()
    assert len(solver.log) == 24

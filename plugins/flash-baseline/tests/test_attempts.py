"""A race in the workers of an engine: its leaderboard, what fails alone, and what cannot race."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dots_domain import Plugin, rows

from flash.baseline import run
from flash.baseline.attempts import pool_of, started_workers
from flash.baseline.command import main
from flash.baseline.folder import Folder
from flash.baseline.leaderboard import metrics_for
from flash.baseline.models import Constant
from flash.baseline.problem import Source, pose
from flash.baseline.race import Race
from flash.baseline.runs import ModelRun, Run
from flash.errors import ConfigurationError, UnknownNameError
from flash.plugins import Engine, hookimpl, isolated_plugins


class Processes(Executor):
    """An executor with a new process for each call, so that one that dies takes no other with it."""

    def __init__(self, initializer: Callable[..., Any], initargs: tuple[Any, ...]) -> None:
        self.prepared = (initializer, initargs)
        self.pools: list[ProcessPoolExecutor] = []

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Future[Any]:
        self.pools.append(ProcessPoolExecutor(1, multiprocessing.get_context("fork"), *self.prepared))
        return self.pools[-1].submit(function, *arguments, **keywords)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        for each in self.pools:
            for process in list((each._processes or {}).values()):
                process.kill()
            each.shutdown(wait=wait, cancel_futures=cancel_futures)


def pool(num_workers: int, initializer: Callable[..., Any], initargs: tuple[Any, ...]) -> Executor:
    assert num_workers in (2, 3)
    return Processes(initializer, initargs)


class Engines:
    @hookimpl
    def flash_engines(self) -> Iterator[Engine]:
        yield Engine("forks", fit="nothing:fit", predict="nothing:predict", pool=f"{__name__}:pool")
        yield Engine("plain", fit="nothing:fit", predict="nothing:predict")


@pytest.fixture(autouse=True)
def plugins() -> Iterator[None]:
    with isolated_plugins(Plugin(), Engines()):
        yield


class Model:
    """A model whose worker does something."""

    def __init__(self, how: str) -> None:
        self.how = how

    def fit(self, data: Any) -> Any:
        if self.how == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "hangs":
            time.sleep(600)
        return self

    def predict(self, dataset: Any) -> Any:
        return np.full((len(dataset), 2), 0.5)


def race_of(tmp_path: Path, limit: float, *models: Any) -> Race:
    problem = pose(Source(rows(), "color"), lambda _: None)
    runs: list[Run] = [ModelRun("constant", "", Constant(2), "trivial")]
    runs += [ModelRun(getattr(each, "how", "other"), "", each) for each in models]
    makers: Any = {each.name: lambda each=each: [each] for each in runs}
    now, metric = time.monotonic(), metrics_for("classification")["accuracy"]
    with closing(Folder(tmp_path / "out", {})) as folder, started_workers(pool_of("forks"), 2, problem, 0) as workers:
        race = Race(makers, problem, metric, now, now + limit, folder, lambda _: None, workers)
        race.run()
    return race


@pytest.mark.process
def test_a_race_in_workers_has_the_leaderboard_of_one_process(tmp_path: Path) -> None:
    # Those whose objects the standard library can pickle.
    recipes = ["default", "scratch", "frozen", "nearest", "broken"]

    def leaderboard(engine: str | None) -> Any:
        out = tmp_path / str(engine)
        found = run(
            rows(),
            "color",
            time_limit=60,
            output=out,
            engine=engine,
            num_workers=3,
            recipes=recipes,
            say=lambda _: None,
        )
        assert found.task is not None
        best = {name: value.tolist() for name, value in found.task.state_dict().items()}
        entries = {each.name: (each.status, each.reason, each.scores, each.test_scores) for each in found.leaderboard}
        return {**entries, "weights": best}

    one, other = leaderboard(None), leaderboard("forks")
    assert {one[name][0] for name in one if name != "weights"} >= {"done", "failed"}
    assert list(other) == list(one)
    for name, entry in one.items():
        assert other[name] == entry, name


@pytest.mark.process
def test_a_run_whose_worker_dies_or_cannot_get_it_fails_alone(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        unsent = Model("works")
        unsent.file = file  # type: ignore[attr-defined]  # cannot be pickled
        unsent.how = "unsent"
        race = race_of(tmp_path, 60, Model("dies"), unsent, Model("works"))
    assert {name: each.status for name, each in race.outcomes.items()} == {
        "constant": "done",
        "dies": "failed",
        "unsent": "failed",
        "works": "done",
    }
    assert "terminated abruptly" in race.outcomes["dies"].reason
    assert "cannot pickle" in race.outcomes["unsent"].reason


@pytest.mark.process
def test_a_worker_that_does_not_end_is_not_waited_for(tmp_path: Path) -> None:
    start = time.monotonic()
    race = race_of(tmp_path, 2, Model("hangs"), Model("works"))
    assert time.monotonic() - start < 30
    assert {name: each.status for name, each in race.outcomes.items()} == {
        "constant": "done",
        "hangs": "failed",
        "works": "done",
    }
    assert race.outcomes["hangs"].reason == "TimeoutError: its worker did not end in time"


def test_an_engine_without_workers_and_one_that_is_not_there_are_errors(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match="Expected an engine that starts workers .* but 'plain' of .* does not"
    ):
        run(rows(), "color", output=tmp_path / "out", engine="plain", say=lambda _: None)
    with pytest.raises(UnknownNameError, match="'fork' is not among the engines"):
        run(rows(), "color", output=tmp_path / "out", engine="fork", say=lambda _: None)
    assert not (tmp_path / "out").exists()


def test_the_command_passes_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: dict[str, Any] = {}

    def noting(**options: Any) -> Any:
        passed.update(options)
        return type("Found", (), {"is_interrupted": False})

    monkeypatch.setattr("flash.baseline.baseline.run", noting)
    assert main(["data.csv", "--engine", "ray", "--num_workers", "4"]) == 0
    assert (passed["engine"], passed["num_workers"]) == ("ray", 4)

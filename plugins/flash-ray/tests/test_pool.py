"""Workers for functions: each is prepared once, one that dies is replaced, and a baseline races in them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import killing
import pytest
from rows_on_ray import frame_of

from flash.baseline import run
from flash.baseline.attempts import started_workers
from flash.baseline.folder import Folder
from flash.baseline.leaderboard import metrics_for
from flash.baseline.models import Constant
from flash.baseline.problem import Source, pose
from flash.baseline.race import Race
from flash.baseline.runs import ModelRun
from flash.errors import ConfigurationError, DataError
from flash.ray.pool import WorkerDiedError, pool


@pytest.fixture
def workers(cluster: Any) -> Iterator[Any]:
    made = pool(2, killing.give, ("prepared", "here"))
    yield made
    made.shutdown(wait=False, cancel_futures=True)


@pytest.mark.process
def test_workers_are_prepared_and_return_what_functions_do(workers: Any) -> None:
    found = [workers.submit(killing.given_and, value) for value in range(5)]
    assert [each.result() for each in found] == [("prepared here", value) for value in range(5)]


@pytest.mark.process
def test_an_error_of_a_function_is_that_of_its_result(workers: Any) -> None:
    with pytest.raises(DataError, match="Expected rows, but there are none"):
        workers.submit(killing.fails).result()
    assert workers.submit(killing.given_and, 2).result() == ("prepared here", 2)


@pytest.mark.process
def test_a_worker_that_dies_is_replaced_and_its_work_tried_again_once(workers: Any, tmp_path: Path) -> None:
    (tmp_path / "once").mkdir()
    assert workers.submit(killing.die, tmp_path / "once", 1).result() == "prepared here"
    with pytest.raises(WorkerDiedError, match="Expected a worker that lives, but it died 2 times in the same work"):
        workers.submit(killing.die, tmp_path, 2).result()
    assert [workers.submit(killing.given_and, value).result()[1] for value in range(4)] == [0, 1, 2, 3]


@pytest.mark.process
def test_what_cannot_be_sent_and_too_many_workers_are_errors(workers: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected a function and its arguments that can be sent"):
        workers.submit(killing.given_and, threading.Lock())
    with pytest.raises(ConfigurationError, match="Expected a Ray cluster with 99 CPU, but it has 2"):
        pool(99, killing.give, ())


@pytest.mark.parametrize("number", [0, True, 1.5])
def test_the_number_of_workers_is_positive(number: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected num_workers to be a positive integer"):
        pool(number, killing.give, ())


@pytest.mark.process
def test_a_race_in_workers_has_the_leaderboard_of_one_process(cluster: Any, tmp_path: Path) -> None:
    table = frame_of(240).drop(columns="row_id")
    table["answer"] = ["yes" if long > 40 else "no" for long in range(len(table))]

    def leaderboard(engine: str | None) -> list[Any]:
        name = engine or "here"
        chosen = ["linear", "boosting", "mlp"]
        found = run(
            table, "answer", time_limit=120, output=tmp_path / name, recipes=chosen, engine=engine, say=lambda _: None
        )
        return [(each.name, each.status, each.scores, each.test_scores) for each in found.leaderboard]

    one = leaderboard(None)
    assert {name for name, status, *_ in one if status == "done"} >= {"constant", "linear", "boosting", "mlp"}
    assert leaderboard("ray") == one


@pytest.mark.process
def test_a_run_whose_worker_dies_is_tried_again_or_fails_alone(cluster: Any, tmp_path: Path) -> None:
    problem = pose(Source(frame_of(80).drop(columns="row_id"), "answer"), lambda _: None)
    runs = [ModelRun("constant", "", Constant(2), "trivial")]
    for name, times in (("once", 1), ("always", 9)):
        (tmp_path / name).mkdir()
        runs.append(ModelRun(name, "", killing.DyingModel(tmp_path / name, times)))
    makers: Any = {each.name: lambda each=each: [each] for each in runs}
    now, metric = time.monotonic(), metrics_for("classification")["accuracy"]
    with closing(Folder(tmp_path / "out", {})) as folder, started_workers(pool, 2, problem, 0) as workers:
        race = Race(makers, problem, metric, now, now + 300, folder, lambda _: None, workers)
        race.run()
    assert {name: each.status for name, each in race.outcomes.items()} == {
        "constant": "done",
        "once": "done",
        "always": "failed",
    }
    assert race.outcomes["always"].reason.startswith("Expected a worker that lives, but it died 2 times")

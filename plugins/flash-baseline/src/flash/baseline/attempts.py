"""Attempts: the steps of a race, which train and evaluate a run, in this process or in a worker of an engine."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytorch_lightning import seed_everything

from flash.data.stage import Stage
from flash.errors import ConfigurationError, FlashError
from flash.plugins import get_host

from ._resampling import Array
from .problem import Problem
from .runs import OutOfTime, Run, TaskRun

__all__ = [
    "SHORTEST",
    "Attempt",
    "Here",
    "Workers",
    "containing",
    "pool_of",
    "reason_of",
    "seconds_per_sample",
    "seeded",
    "started_workers",
]

log = logging.getLogger("flash.baseline")

#: A training that gets less time than this is not worth its start.
SHORTEST = 0.3
# The number of samples by which the time of an evaluation is measured.
_MEASURED = 32
_LONG_ENOUGH = 0.2


@dataclass
class Attempt:
    """Outcome of some seconds for a run.

    Args:
        run: The run.
        evaluation: About how many seconds its predictions of the validation samples take; ``None`` if it is not known.
        outputs: Its predictions of the validation samples.
        has_trained: Whether there was time to train.
        seconds: The seconds that it took.
        reason: Why there are no predictions, if there was no time for them.
        failure: Why it failed; ``None`` if it did not.
    """

    run: Run
    evaluation: float | None = None
    outputs: Array | None = None
    has_trained: bool = False
    seconds: float = 0.0
    reason: str = ""
    failure: str | None = None


def attempt(problem: Problem, seed: int, run: Run, seconds: float, evaluation: float | None) -> Attempt:
    """Train a run for some seconds, the evaluation of a training included, and predict the validation samples.

    What is random depends on the seed and the name of the run alone, so that it is the same in each process.

    Args:
        problem: The data.
        seed: The seed.
        run: The run.
        seconds: The time for it.
        evaluation: The seconds that its evaluation takes, if they are known.
    """
    made = Attempt(run, evaluation)

    def fail(error: BaseException) -> None:
        made.failure, made.outputs = reason_of(error), None
        if not isinstance(error, FlashError):
            log.debug("The run %s failed.", run.name, exc_info=error)

    with containing(fail):
        if isinstance(run, TaskRun):
            seconds = _share(problem, made, seconds)
            if seconds < SHORTEST:
                made.reason = "an epoch takes longer than its share"
                return made
        made.has_trained = True
        start = time.monotonic()
        try:
            with seeded(seed, run.name):
                run.train(problem.data, seconds)
                made.outputs = run.predict(problem.data, problem.parts["val"])
        except OutOfTime as error:
            made.reason = str(error)
        finally:
            made.seconds = time.monotonic() - start
    return made


def _share(problem: Problem, made: Attempt, seconds: float) -> float:
    """Return the seconds that are left to train."""
    if made.evaluation is None:
        dataset, run = problem.parts["val"], made.run

        def predict(count: int) -> None:
            run.predict(problem.data, dataset.subset(list(range(count)), Stage.VAL))

        made.evaluation = seconds_per_sample(len(dataset), predict, _LONG_ENOUGH) * len(dataset)
    # A training evaluates its last weights, and the race its best ones; in the end, the test samples are predicted.
    tests = len(problem.parts.get("test", ())) / len(problem.parts["val"])
    return seconds - (2 + tests) * made.evaluation


@contextmanager
def seeded(seed: int, name: str) -> Iterator[None]:
    """Seed what is random in the context by the name of a run, whatever came before."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    seed_everything(int.from_bytes(digest[:4], "big"), verbose=False)
    yield


@contextmanager
def containing(fail: Callable[[BaseException], None]) -> Iterator[None]:
    """Let a run fail alone, whatever it raises; what the user stops goes on."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error  # Lightning's answer to Ctrl-C.
        fail(error)


def reason_of(error: BaseException) -> str:
    """Return why a run failed, in a sentence or with the type of the error."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return reason if isinstance(error, FlashError) else f"{type(error).__name__}: {reason}"


def seconds_per_sample(most: int, work: Callable[[int], object], long_enough: float) -> float:
    """Return the seconds that work takes for each sample, of as many samples as take long enough to measure.

    Of few samples, most of the time is that of the start.

    Args:
        most: The greatest number of samples.
        work: Called with a number of samples.
        long_enough: The seconds that are long enough.
    """
    count, seconds = 0, 0.0
    while count < most and seconds < long_enough:
        count = min(most, max(_MEASURED, 8 * count))
        start = time.monotonic()
        work(count)
        seconds = time.monotonic() - start
    return seconds / count


class Here:
    """The worker that this process is: an attempt is over when it has begun.

    Args:
        problem: The data.
        seed: The seed.
    """

    count = 1

    def __init__(self, problem: Problem, seed: int = 0) -> None:
        self._problem = problem
        self._seed = seed

    def begin(self, run: Run, seconds: float, evaluation: float | None) -> Future[Attempt]:
        """Return the outcome of an attempt."""
        future: Future[Attempt] = Future()
        future.set_result(attempt(self._problem, self._seed, run, seconds, evaluation))
        return future


class Workers:
    """The workers of an engine, each of which has the data, and gets a run and returns it.

    Args:
        executor: Runs functions in the workers, which ``prepare`` has prepared.
        count: Their number.
    """

    def __init__(self, executor: Executor, count: int) -> None:
        self._executor = executor
        self.count = count

    def begin(self, run: Run, seconds: float, evaluation: float | None) -> Future[Attempt]:
        """Begin an attempt, and return its outcome to come: ``run`` is then what it has become in the worker."""
        begun = self._executor.submit(_attempt_there, run, _content(run), seconds, evaluation)
        future: Future[Attempt] = Future()

        def finish(done: Future[tuple[Attempt, bytes | None]]) -> None:
            try:
                made, content = done.result()
                _take(run, made.run)
                made.run = run
                if isinstance(run, TaskRun) and content is not None:
                    run.file.parent.mkdir(parents=True, exist_ok=True)
                    run.file.write_bytes(content)
                future.set_result(made)
            # Raised again where the outcome is asked for.
            except BaseException as error:
                future.set_exception(error)

        begun.add_done_callback(finish)
        return future


@contextmanager
def started_workers(
    pool: Callable[..., Executor] | None, num_workers: int, problem: Problem, seed: int
) -> Iterator[Here | Workers]:
    """Start the workers of an engine for the duration of the context.

    Args:
        pool: The result of :func:`pool_of`; ``None`` for this process.
        num_workers: The number of workers.
        problem: The data, which each worker gets.
        seed: The seed.

    Raises:
        ConfigurationError: If the engine cannot start so many.
    """
    if pool is None:
        yield Here(problem, seed)
        return
    executor = pool(num_workers, prepare, (problem, seed))
    try:
        yield Workers(executor, num_workers)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def pool_of(engine: str) -> Callable[..., Executor]:
    """Return the function of an engine that starts workers.

    Raises:
        UnknownNameError: If no plugin has the engine.
        ConfigurationError: If it starts no workers for functions.
    """
    found = get_host().engines()[engine]
    if found.spec.pool is None:
        raise ConfigurationError(
            f"Expected an engine that starts workers for any function (Engine.pool), but {engine!r} of "
            f"{found.provider.dist} does not. Leave --engine out."
        )
    pool: Callable[..., Executor] = found.load("pool")
    return pool


# What a worker has: the data and the seed.
_prepared: tuple[Problem, int] | None = None


def prepare(problem: Problem, seed: int) -> None:
    """Give a worker the data and the seed, before its first attempt."""
    global _prepared
    _prepared = (problem, seed)


def _attempt_there(
    run: Run, content: bytes | None, seconds: float, evaluation: float | None
) -> tuple[Attempt, bytes | None]:
    """Make an attempt in a worker, whose files are in a folder of its own, and return the checkpoint too."""
    assert _prepared is not None
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(run, TaskRun):
            run.file = Path(folder) / run.file.name
            if content is not None:
                run.file.write_bytes(content)
        made = attempt(*_prepared, run, seconds, evaluation)
        return made, _content(run)


def _content(run: Run) -> bytes | None:
    """Return the checkpoint that a training goes on from; ``None`` if there is none."""
    return run.file.read_bytes() if isinstance(run, TaskRun) and run.file.exists() else None


def _take(run: Run, trained: Run) -> None:
    """Let a run be what a copy of it has become in a worker, but for its file, and for other runs, which are here."""
    vars(run).update(
        {name: value for name, value in vars(trained).items() if name != "file" and not isinstance(value, Run)}
    )

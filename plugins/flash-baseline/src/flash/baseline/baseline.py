"""``flash.baseline.run``: from raw data to a leaderboard, a report and the best task."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytorch_lightning import seed_everything

import flash
from flash import Task
from flash.errors import ConfigurationError

from ._durations import seconds_of
from ._verdict import summary_of
from .attempts import pool_of, started_workers
from .folder import Folder
from .folds import Folds, check_folds, compare_over_folds
from .leaderboard import Metric, write_leaderboard
from .problem import Problem, Source, pose
from .race import Race
from .recipes import make_runs
from .report import write_report
from .results import Entry, Results
from .summary import add_ensemble, summarize

__all__ = ["Baseline", "run"]

# The part of the time limit that is kept for the test part and the report.
_RESERVE = 0.12


@dataclass(frozen=True)
class Baseline:
    """Results of a baseline, with its task and its folder.

    Args:
        results: All values of the report.
        task: The best task, with its weights, which is in ``best.ckpt``; ``None`` if none was trained in time.
        folder: The folder with ``report.html``, ``leaderboard.csv``, ``results.json`` and ``best.ckpt``.
        is_interrupted: Whether the user stopped the race, so that the report has what was there.
    """

    results: Results
    task: Task | None
    folder: Path
    is_interrupted: bool = False

    @property
    def leaderboard(self) -> Sequence[Entry]:
        """The entries, the best first."""
        return self.results.entries

    def __repr__(self) -> str:
        """Return the leaderboard as lines."""
        metric = self.results.metric
        lines = [f"{entry.name}: {metric} {entry.scores[metric]:.4g}" for entry in self.leaderboard if entry.scores]
        return "\n  ".join([f"Baseline({self.results.task}, best: {self.results.best}", *lines]) + ")"


def run(
    data: Any,
    target: str | Sequence[str] | None = None,
    *,
    val: Any = None,
    test: Any = None,
    task: str | None = None,
    time_limit: float | str = 600.0,
    output: str | Path = "baseline",
    group: str | None = None,
    time: str | None = None,
    drop: Sequence[str] = (),
    metric: str | None = None,
    recipes: Sequence[str] | None = None,
    seed: int = 0,
    sep: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
    engine: str | None = None,
    num_workers: int = 2,
    folds: int | None = None,
    say: Callable[[str], None] = print,
) -> Baseline:
    """Check data, race models on it within a time limit, and write a report.

    Args:
        data: The path of a table or of a folder with a subfolder per class, a data frame, or a data module with
            validation data.
        target: The column to predict, or several; by default the column named ``target``, ``label``, ``class`` or
            ``y``.
        val: Validation data; by default a fifth of the train data.
        test: Test data; by default a fifth of the data.
        task: The name of the task, such as ``"tabular/regression"``; by default it is detected.
        time_limit: The time from the start of reading to the report: seconds, or text such as ``"10m"``.
        output: The folder for the report. A run that was killed goes on if it is started again with its folder.
        group: A column whose values the splits do not divide, such as that of patients.
        time: A column of times: the latest rows are for validation and testing.
        drop: Columns to leave out.
        metric: The metric that decides, such as ``"auroc"``; by default accuracy, F1 or RMSE, as the task is.
        recipes: The names of the recipes to race; by default all.
        seed: The seed of splits and weights.
        sep: The separator of tables of text; by default it is detected.
        encoding: The encoding of tables of text, such as ``"cp1252"``; by default UTF-8.
        decimal: The decimal mark of numbers in tables of text; by default a point.
        engine: Where the recipes are trained, several at a time, such as ``"ray"``; by default one after the other in
            this process.
        num_workers: The number of workers of the engine.
        folds: The number of folds over which the best models are compared, in half of the time; by default they are
            compared on the validation data alone. The data is then a table, without ``val``, ``time`` and ``engine``.
        say: Called with each line of progress.

    Returns:
        The results, the best task, and the folder of the report.

    Raises:
        ConfigurationError: If an argument is wrong, the data could be for several tasks, or the engine has no workers
            for a race.
        UnknownNameError: If no plugin has the engine.
        DataError: If nothing can be learned from the data.

    Example:
        It needs a package with a task for the data, such as flash-tabular; the page on baselines runs it.

        >>> table = {"size": list(range(40)), "y": ["small"] * 20 + ["large"] * 20}
        >>> found = run(table, "y", time_limit=20, recipes=["linear"])  # doctest: +SKIP
        >>> [entry.name for entry in found.leaderboard]  # doctest: +SKIP
        ['linear', 'constant']
    """
    start = clock.monotonic()
    time_limit = seconds_of(time_limit)
    source = Source(data, target, val, test, task, group, time, tuple(drop), seed, sep, encoding, decimal)
    check_folds(folds, source, engine)
    pool = None if engine is None else pool_of(engine)  # Its errors are those of the call, before anything is read.
    folder = Folder(output, source.described() | {"metric": metric, "recipes": recipes, "folds": folds})
    with closing(folder):
        start -= folder.elapsed
        times: dict[str, float] = {}
        with folder.kept_if_it_begins():
            seed_everything(seed, verbose=False)
            problem = pose(source, say)
            chosen = _metric(problem, metric)
            parts = None if folds is None else Folds(problem, source, folds)
            problem.raw = None  # Workers get the problem, and need no table.
            times["reading and checks"] = clock.monotonic() - start

            since = clock.monotonic()
            deadline = start + time_limit * (1 - _RESERVE)
            # Half of the time that is left, also of a run that was killed.
            until = deadline if parts is None else since + (deadline - since) / 2
            makers = make_runs(problem, folder.runs, until - since, seed, recipes)
        with started_workers(pool, num_workers, problem, seed) as workers:
            race = Race(makers, problem, chosen, start, until, folder, say, workers, seed)
            race.run()
        times["race"] = clock.monotonic() - since

        if parts is not None:
            since = clock.monotonic()
            compare_over_folds(race, parts, deadline)
            times["folds"] = clock.monotonic() - since

        since = clock.monotonic()
        if parts is None:  # The mean of tasks that are fitted anew in each fold would be other tasks.
            add_ensemble(race)
        results, best_task = summarize(race, source, times, since, time_limit, start + time_limit)
        if best_task is not None:
            _save(best_task, folder.task_file)
        write_leaderboard(folder.path, results)
        write_report(folder.report, results)
        folder.finish()
        for sentence in summary_of(results):
            say(sentence)
        say(f"The report is {folder.report}.")
    return Baseline(results, best_task, folder.path, race.is_interrupted)


def _metric(problem: Problem, name: str | None) -> Metric:
    known = problem.metrics
    if name is not None and name not in known:
        raise ConfigurationError(f"Expected a metric among {', '.join(known)}, but got {name!r}.")
    return known[name] if name is not None else next(iter(known.values()))


def _save(task: Task, file: Path) -> None:
    """Write the checkpoint of the best task."""
    trainer = flash.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.strategy.connect(task)
    trainer.save_checkpoint(file, weights_only=True)

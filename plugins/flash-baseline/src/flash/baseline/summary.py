"""Summary of a race: the best task, its predictions of the test part, and the values of the report."""

from __future__ import annotations

import logging
import os
import platform
import shlex
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np

from flash import Task
from flash.core.evaluation import Evaluated, evaluate_rows
from flash.core.importance import part_importance
from flash.errors import ConfigurationError
from flash.plugins import get_host

from ._noise import suspicious_labels
from ._resampling import Array
from .ensemble import make_ensemble, select
from .leaderboard import Metric, bootstrap, compare, score
from .problem import Problem, Source
from .race import Outcome, Race
from .results import Command, Comparison, Entry, Importance, Results, Sample
from .samples import names_of, outputs_in

__all__ = ["Finalist", "choose", "summarize"]

log = logging.getLogger("flash.baseline")

_MOST_SHOWN = 12
# The permutations of each column, and the rows that they are of.
_REPEATS = 3
_MOST_PERMUTED, _FEWEST_PERMUTED = 2_000, 50
_PACKAGES = ("flash-core", "torch", "pytorch-lightning", "scikit-learn", "numpy")


@dataclass(frozen=True)
class Finalist:
    """The task that a baseline ends with.

    Args:
        name: Its name in the leaderboard.
        task: The task.
        members: The weight of each task of an ensemble, by name; empty for a single task.
        outputs: Its predictions of the validation samples.
    """

    name: str
    task: Task
    members: Mapping[str, float]
    outputs: Array


def choose(ranking: Sequence[Outcome], problem: Problem, metric: Metric) -> Finalist | None:
    """Return the best task, or an ensemble of several that is better by more than noise.

    Args:
        ranking: The outcomes, the best first.
        problem: The problem.
        metric: The metric that decides.
    """
    tasks = {each.run.name: each for each in ranking if each.run.task is not None and each.outputs is not None}
    if not tasks:
        return None
    first = next(iter(tasks.values()))
    assert first.run.task is not None
    assert first.outputs is not None
    single = Finalist(first.run.name, first.run.task, {}, first.outputs)
    # Members get the same inputs, and checkpoints repeat no changes of their structure.
    alike = {
        name: each
        for name, each in tasks.items()
        if each.run.task is not None
        and each.run.task.input_spec == first.run.task.input_spec
        and not each.run.task.structure_changes
    }
    if len(alike) < 2:
        return single
    targets = problem.targets["val"]
    outputs = {name: np.asarray(each.outputs) for name, each in alike.items()}
    weights = select(metric, targets, outputs)
    mean = np.asarray(sum(weight * outputs[name] for name, weight in weights.items()))
    if len(weights) < 2 or not compare(metric, targets, ("ensemble", mean), ("", first.outputs)).exceeds_noise:
        return single
    members = {name: each.run.task for name, each in alike.items() if each.run.task is not None}
    return Finalist("ensemble", make_ensemble(members, weights, problem.data), weights, mean)


def summarize(
    problem: Problem,
    source: Source,
    metric: Metric,
    race: Race,
    finalist: Finalist | None,
    times: dict[str, float],
    since: float,
    time_limit: float,
    deadline: float,
) -> Results:
    """Predict the test part, once, with each model that has validation scores, and return the results.

    Args:
        problem: The problem.
        source: The data as the user passed it.
        metric: The metric that decides.
        race: The race.
        finalist: The best task.
        times: The seconds of the steps so far; the last one is added.
        since: When the last step began, of ``time.monotonic()``.
        time_limit: The time limit in seconds.
        deadline: When the time is up.
    """
    part: Literal["test", "val"] = "test" if "test" in problem.parts else "val"
    evaluated = None if finalist is None else evaluate_rows(finalist.task, problem.data, part)
    seconds = time.monotonic() - since
    outputs: dict[str, Array] = {}
    if finalist is not None and evaluated is not None:
        outputs[finalist.name] = outputs_in(evaluated)
    for outcome in race.ranking():
        if outcome.run.name not in outputs and (part == "val" or time.monotonic() < deadline):
            known = outcome.outputs if part == "val" else race.predict(outcome, part)
            if known is not None:
                outputs[outcome.run.name] = known
    tested = outputs if part == "test" else {}
    entries = [_entry(each, problem, metric, tested.get(each.run.name)) for each in race.ranking()]
    if finalist is not None and finalist.members:
        entries.append(_ensemble_entry(finalist, problem, metric, tested.get(finalist.name)))
        entries.sort(key=lambda each: each.scores.get(metric.name, -np.inf) * (-1 if metric.higher_is_better else 1))
    entries += [_entry(each, problem, metric, None) for each in race.outcomes.values() if each.outputs is None]
    best = None if finalist is None else finalist.name
    shown = outputs.get(best or "", np.zeros((0, 0)))
    importance = [] if finalist is None else _importance(problem, finalist, part, seconds, deadline)
    times["test and report"] = time.monotonic() - since
    return Results(
        title=problem.title,
        task=problem.name,
        kind=problem.kind,
        why=problem.why,
        counts={name: len(each) for name, each in problem.parts.items()},
        facts=_facts(problem),
        classes=_classes(problem),
        findings=problem.findings,
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        entries=entries,
        best=best,
        part=part,
        labels=problem.labels,
        targets=problem.targets[part],
        outputs=shown,
        mistakes=[] if evaluated is None else _worst(problem, part, evaluated),
        suspicious=_suspicious(problem, finalist),
        importance=importance,
        times=times,
        versions={"Python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        commands=_commands(source, race, finalist, time_limit),
        comparisons=_comparisons(problem, metric, part, entries, outputs, best),
        time_limit=time_limit,
    )


def _entry(outcome: Outcome, problem: Problem, metric: Metric, test: Array | None) -> Entry:
    run = outcome.run
    return Entry(
        name=run.name,
        summary=run.summary,
        kind=run.kind,
        status=outcome.status,
        seconds=run.seconds,
        epochs=run.epochs,
        parameters=run.parameters,
        reason=outcome.reason,
        history=run.history,
        **_scores(problem, metric, outcome.outputs, test),
    )


def _ensemble_entry(finalist: Finalist, problem: Problem, metric: Metric, test: Array | None) -> Entry:
    names = ", ".join(f"{weight:.0%} {name}" for name, weight in finalist.members.items())
    return Entry(
        name=finalist.name,
        summary=f"The mean of {names}.",
        kind="ensemble",
        status="done",
        parameters=sum(each.numel() for each in finalist.task.parameters()),
        **_scores(problem, metric, finalist.outputs, test),
    )


def _scores(problem: Problem, metric: Metric, val: Array | None, test: Array | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for prefix, part, outputs in (("", "val", val), ("test_", "test", test)):
        if outputs is not None:
            scores = score(problem.kind, problem.targets[part], outputs)
            found[f"{prefix}scores"] = dict(sorted(scores.items(), key=lambda item: item[0] != metric.name))
            found[f"{prefix}interval"] = bootstrap(metric, problem.targets[part], outputs)
    return found


def _comparisons(
    problem: Problem,
    metric: Metric,
    part: str,
    entries: Sequence[Entry],
    outputs: Mapping[str, Array],
    best: str | None,
) -> list[Comparison]:
    """Compare the best task with each trivial and classical model."""
    if best is None or best not in outputs:
        return []
    others = [entry.name for entry in entries if entry.kind in ("trivial", "classical") and entry.name in outputs]
    targets = problem.targets[part]
    return [compare(metric, targets, (best, outputs[best]), (name, outputs[name])) for name in others]


def _worst(problem: Problem, part: str, evaluated: Evaluated) -> list[Sample]:
    """Return the samples with the highest losses; of classes, those that are predicted wrong."""
    predicted, losses = evaluated.predicted, evaluated.losses
    if predicted is None or losses is None:
        return []
    targets = problem.targets[part]
    rows = evaluated.worst()
    if problem.kind != "regression":
        wrong = (predicted.numpy() != targets).reshape(len(targets), -1).any(1)
        rows = [row for row in rows if wrong[row]]
    rows = rows[:_MOST_SHOWN]
    of_classes = evaluated.probabilities if problem.kind == "classification" else None
    sure = [None] * len(rows) if of_classes is None else of_classes[rows].amax(1).tolist()
    return _samples(problem, part, rows, predicted[rows].numpy(), losses[rows].tolist(), sure)


def _suspicious(problem: Problem, finalist: Finalist | None) -> list[Sample]:
    """Return validation samples, which no model was trained on, whose label may be wrong."""
    if finalist is None or problem.kind != "classification":
        return []
    rows = suspicious_labels(finalist.outputs, problem.targets["val"], most=_MOST_SHOWN).tolist()
    found = finalist.outputs[rows]
    losses = -np.log(np.clip(found[np.arange(len(rows)), problem.targets["val"][rows].astype(int)], 1e-12, 1))
    return _samples(problem, "val", rows, found.argmax(1), losses.tolist(), found.max(1).tolist())


def _samples(
    problem: Problem,
    part: str,
    rows: Sequence[int],
    predicted: Array,
    losses: Sequence[float],
    probabilities: Sequence[float | None],
) -> list[Sample]:
    dataset, targets = problem.parts[part], problem.targets[part]
    columns = zip(
        names_of(dataset, part, rows), dataset.display(rows), rows, predicted, losses, probabilities, strict=True
    )
    return [
        Sample(name, shown, problem.label_of(targets[row]), problem.label_of(prediction), loss, probability)
        for name, shown, row, prediction, loss, probability in columns
    ]


def _importance(problem: Problem, finalist: Finalist, part: str, seconds: float, deadline: float) -> list[Importance]:
    """Return the importance of columns, as far as there is time to predict their permutations.

    Args:
        problem: The problem.
        finalist: The task.
        part: The part to permute.
        seconds: The time that the prediction of the part takes.
        deadline: When the time is up.
    """
    count = len(problem.parts[part])
    shown = problem.parts[part].display([0])[0]
    if not isinstance(shown, dict) or count < 2:
        return []
    per_row = max(seconds / count, 1e-6) * (len(shown) * _REPEATS + 1)
    rows = min(count, _MOST_PERMUTED, int((deadline - time.monotonic()) / 2 / per_row))
    if rows < min(count, _FEWEST_PERMUTED):
        return []
    try:
        found = part_importance(finalist.task, problem.data, part, repeats=_REPEATS, max_rows=rows)
    except ConfigurationError as error:  # The samples of the domain have no parts.
        log.info("No importance: %s", error)
        return []
    columns = zip(found.names, found.means, found.deviations, strict=True)
    return sorted((Importance(*each) for each in columns), key=lambda each: -each.mean)


def _facts(problem: Problem) -> dict[str, Any]:
    shown = problem.parts["train"].display([0])[0]
    facts: dict[str, Any] = {}
    if isinstance(shown, dict):
        facts["columns"] = len(shown)
    return facts


def _classes(problem: Problem) -> dict[str, dict[str, int]]:
    if problem.kind == "regression":
        return {}
    if problem.kind == "multi-label":
        return {
            part: {name: int(count) for name, count in zip(problem.labels, targets.sum(0), strict=True)}
            for part, targets in problem.targets.items()
        }
    found = {}
    for part in problem.parts:
        counts = Counter(problem.named(part))
        found[part] = {name: counts.get(name, 0) for name in problem.labels}
    return found


def _commands(source: Source, race: Race, finalist: Finalist | None, time_limit: float) -> list[Command]:
    """Return what to do next, as far as the data is a path that a command can name."""
    found = []
    if isinstance(source.data, str | os.PathLike):
        words = ["flash", "baseline", str(source.data)]
        for name in ("target", "val", "test", "task", "group", "time"):
            value = getattr(source, name)
            values = [value] if isinstance(value, str | os.PathLike) else list(value or ())
            words += [f"--{name}", *map(str, values)] if values else []
        words += ["--drop", *source.drop] if source.drop else []
        words += ["--time_limit", f"{time_limit:g}s", "--seed", str(source.seed), "-o", "again"]
        found.append(Command("Repeat it", shlex.join(words)))
    if finalist is not None:
        checkpoint = shlex.quote(str(race.folder.task_file))
        found.append(Command("Predict", f"flash predict {checkpoint} INPUT -o predictions.csv"))
        if "export" in get_host().commands():
            found.append(Command("Export", f"flash export {checkpoint} --format onnx -o exported"))
    return found

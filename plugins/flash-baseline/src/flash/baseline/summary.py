"""What a race comes to: the best task, its predictions of the test part, and the values of the report."""

from __future__ import annotations

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
from flash.plugins import get_host

from ._noise import suspicious_labels
from .ensemble import make_ensemble, select
from .leaderboard import Metric, bootstrap, compare, score
from .problem import Problem, Source
from .race import Outcome, Race
from .results import Command, Comparison, Entry, Importance, Results, Sample
from .samples import outputs_of

__all__ = ["Finalist", "choose", "summarize"]

Array = np.ndarray[Any, Any]

_MOST_SHOWN = 12
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
        deadline: When the time is up.
    """
    part: Literal["test", "val"] = "test" if "test" in problem.parts else "val"
    outputs: dict[str, Array] = {}
    entries = []
    ranking = race.ranking()
    for outcome in ranking:
        found = _predictions(outcome, problem, part, time.monotonic() < deadline or outcome is ranking[0])
        if found is not None:
            outputs[outcome.run.name] = found
        entries.append(_entry(outcome, problem, metric, found if part == "test" else None))
    if finalist is not None and finalist.members:
        found = _task_outputs(finalist.task, problem, part) if part == "test" else finalist.outputs
        outputs[finalist.name] = found
        entries.insert(0, _ensemble_entry(finalist, problem, metric, found if part == "test" else None))
    entries += [_entry(each, problem, metric, None) for each in race.outcomes.values() if each.outputs is None]
    best = None if finalist is None else finalist.name
    shown = outputs.get(best or "")
    mistakes, suspicious = ([], []) if shown is None else (_worst(problem, part, shown), _suspicious(problem, finalist))
    importance = _importance(problem, finalist, part, deadline)
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
        outputs=np.zeros((len(problem.targets[part]), 0)) if shown is None else shown,
        mistakes=mistakes,
        suspicious=suspicious,
        importance=importance,
        times=times,
        versions={"Python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        commands=_commands(problem, source, race, finalist),
        comparisons=_comparisons(problem, metric, part, entries, outputs, best),
        time_limit=None,
    )


def _predictions(outcome: Outcome, problem: Problem, part: str, has_time: bool) -> Array | None:
    if part == "val" or not has_time:
        return outcome.outputs if part == "val" else None
    found: Array = outcome.run.predict(problem.data, problem.parts[part])
    return found


def _task_outputs(task: Task, problem: Problem, part: str) -> Array:
    task.use_data(problem.data)
    dataset = problem.parts[part].with_input_spec(task.input_spec)
    return outputs_of(task, dataset, max(problem.data.batch_size, 64), problem.data.num_workers)


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
    """Compare the best task with the best entry of each other kind."""
    if best is None or best not in outputs:
        return []
    others: dict[str, str] = {}
    for entry in entries:
        if entry.name in outputs and entry.name != best and entry.kind in ("trivial", "classical"):
            others.setdefault(entry.kind, entry.name)
    targets = problem.targets[part]
    return [compare(metric, targets, (best, outputs[best]), (name, outputs[name])) for name in others.values()]


def _losses(problem: Problem, targets: Array, outputs: Array) -> Array:
    if problem.kind == "classification":
        return np.asarray(-np.log(np.clip(outputs[np.arange(len(targets)), targets.astype(int)], 1e-12, 1)))
    if problem.kind == "multi-label":
        sure = np.clip(np.where(targets > 0, outputs, 1 - outputs), 1e-12, 1)
        return np.asarray(-np.log(sure).mean(1))
    wide = targets.reshape(len(targets), -1)
    spread = np.where(wide.std(0) > 0, wide.std(0), 1)
    return np.asarray((((outputs - wide) / spread) ** 2).mean(1))


def _samples(problem: Problem, part: str, outputs: Array, rows: Sequence[int]) -> list[Sample]:
    targets = problem.targets[part]
    losses = _losses(problem, targets, outputs)
    dataset = problem.parts[part]
    shown, ids = dataset.display(rows), dataset.ids_of(rows)
    found = []
    for row, display, name in zip(rows, shown, ids, strict=True):
        prediction: Any = outputs[row]
        probability = None
        if problem.kind == "classification":
            prediction, probability = int(outputs[row].argmax()), float(outputs[row].max())
        elif problem.kind == "multi-label":
            prediction = outputs[row] >= 0.5
        loss = float(losses[row])
        of = (problem.label_of(targets[row]), problem.label_of(prediction))
        found.append(Sample(str(name) if isinstance(name, os.PathLike) else name, display, *of, loss, probability))
    return found


def _worst(problem: Problem, part: str, outputs: Array) -> list[Sample]:
    """Return the samples with the highest losses; of classes, those that are wrong."""
    targets = problem.targets[part]
    losses = _losses(problem, targets, outputs)
    if problem.kind == "classification":
        losses = np.where(outputs.argmax(1) != targets, losses, -np.inf)
    elif problem.kind == "multi-label":
        losses = np.where(((outputs >= 0.5) != (targets > 0)).any(1), losses, -np.inf)
    rows = [int(row) for row in np.argsort(-losses, kind="stable")[:_MOST_SHOWN] if losses[row] > -np.inf]
    return _samples(problem, part, outputs, rows)


def _suspicious(problem: Problem, finalist: Finalist | None) -> list[Sample]:
    """Return validation samples, which no model was trained on, whose label may be wrong."""
    if finalist is None or problem.kind != "classification":
        return []
    rows = suspicious_labels(finalist.outputs, problem.targets["val"])
    return _samples(problem, "val", finalist.outputs, [int(row) for row in rows[:_MOST_SHOWN]])


def _importance(problem: Problem, finalist: Finalist | None, part: str, deadline: float) -> list[Importance]:
    return []


def _facts(problem: Problem) -> dict[str, Any]:
    shown = problem.parts["train"].display([0])[0]
    facts: dict[str, Any] = {}
    if isinstance(shown, dict):
        facts["columns"] = len(shown)
    if problem.labels:
        facts["classes"] = len(problem.labels)
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


def _commands(problem: Problem, source: Source, race: Race, finalist: Finalist | None) -> list[Command]:
    """Return what to do next, as far as the data is a path that a command can name."""
    folder = race.state.parent.parent
    found = []
    if isinstance(source.data, str | os.PathLike):
        words = ["flash", "baseline", str(source.data)]
        for name in ("target", "val", "test", "task", "group", "time"):
            value = getattr(source, name)
            values = [value] if isinstance(value, str | os.PathLike) else list(value or ())
            words += [f"--{name}", *map(str, values)] if values else []
        words += ["--drop", *source.drop] if source.drop else []
        found.append(Command("Repeat it", shlex.join([*words, "--seed", str(source.seed)])))
    if finalist is not None:
        checkpoint = shlex.quote(str(folder / "best.ckpt"))
        found.append(Command("Predict", f"flash predict {checkpoint} INPUT -o predictions.csv"))
        if "export" in get_host().commands():
            found.append(Command("Export", f"flash export {checkpoint} --format onnx -o exported"))
    return found

"""Summary of a race: the best model, its predictions of the test part, and the values of the report."""

from __future__ import annotations

import logging
import platform
import shlex
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Literal

import numpy as np

from flash import Task
from flash.core.importance import permutation_importance
from flash.core.structured_prediction import StructuredTask
from flash.data.auto_dataset import AutoDataset
from flash.errors import ConfigurationError
from flash.plugins import get_host

from ._evaluation import evaluated_of
from ._noise import suspicious_labels
from ._resampling import Array
from .attempts import seconds_per_sample
from .ensemble import make_ensemble, select
from .leaderboard import Metric, bootstrap, compare, score
from .problem import Problem, Source
from .race import Outcome, Race
from .refitting import refit_lines
from .results import Command, Comparison, Entry, Importance, Results, Sample
from .runs import EnsembleRun
from .samples import targets_of

__all__ = ["add_ensemble", "summarize"]

log = logging.getLogger("flash.baseline")

_MOST_SHOWN = 12
# The permutations of each column, and the rows that they are of.
_REPEATS = 3
_MOST_PERMUTED, _FEWEST_PERMUTED = 2_000, 50
# The seconds by which the time of a prediction is measured.
_LONG_ENOUGH = 0.1
_PACKAGES = ("flash-core", "torch", "pytorch-lightning", "scikit-learn", "numpy")


def add_ensemble(race: Race) -> None:
    """Add an ensemble of several tasks to the outcomes, if it is better than the best of them by more than noise.

    Args:
        race: The race, which has been run.
    """
    problem, metric = race.problem, race.metric
    if problem.kind == "structured":  # The mean of statistics is that of no task.
        return
    tasks = {each.run.name: each for each in race.ranking() if each.run.task is not None}
    if not tasks:
        return
    first = next(iter(tasks.values()))
    # Members get the same inputs, and checkpoints repeat no changes of their structure.
    alike = {
        name: each
        for name, each in tasks.items()
        if each.run.task.input_spec == first.run.task.input_spec and not each.run.task.structure_changes
    }
    if len(alike) < 2:
        return
    targets = problem.targets["val"]
    outputs = {name: np.asarray(each.outputs) for name, each in alike.items()}
    weights = select(metric, targets, outputs)
    mean = np.asarray(sum(weight * outputs[name] for name, weight in weights.items()))
    better = compare(metric, targets, ("ensemble", mean), ("", np.asarray(first.outputs)))
    if len(weights) < 2 or not better.exceeds_noise:
        return
    members: dict[str, Task] = {name: each.run.task for name, each in alike.items()}
    names = ", ".join(f"{weight:.0%} {name}" for name, weight in weights.items())
    run = EnsembleRun("ensemble", f"The mean of {names}.", make_ensemble(members, weights, problem.data))
    race.outcomes[run.name] = Outcome(run, "done", mean, score(problem.scored_as, targets, mean))


def summarize(
    race: Race,
    source: Source,
    times: dict[str, float],
    since: float,
    time_limit: float,
    deadline: float,
) -> tuple[Results, Task | None]:
    """Predict the test part, once, with each model that has validation scores.

    Args:
        race: The race.
        source: The data as the user passed it.
        times: The seconds of the steps so far; the last one is added.
        since: When the last step began, of ``time.monotonic()``.
        time_limit: The time limit in seconds.
        deadline: When the time is up. The best model, and the best task, are evaluated even so.

    Returns:
        The results, and the best task, ``None`` if no task has validation scores.
    """
    problem, metric = race.problem, race.metric
    part: Literal["test", "val"] = "test" if "test" in problem.parts else "val"
    outputs = _predict(race, part, deadline)
    ranking = race.ranking()
    best = ranking[0] if ranking else None
    network = next((each for each in ranking if each.run.task is not None), None)
    tested = outputs if part == "test" else {}
    entries = [_entry(each, problem, metric, tested.get(each.run.name)) for each in ranking]
    entries += [_entry(each, problem, metric, None) for each in race.outcomes.values() if each.outputs is None]
    shown = np.zeros((0, 0)) if best is None else outputs[best.run.name]
    importance = [] if best is None else _importance(race, best, part, deadline)
    checkpoint = None if network is None else network.run.name
    times["test and report"] = time.monotonic() - since
    results = Results(
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
        best=None if best is None else best.run.name,
        part=part,
        labels=problem.labels,
        targets=problem.targets[part],
        outputs=shown,
        mistakes=[] if best is None else _mistakes(problem, metric, part, shown, best),
        suspicious=_suspicious(problem, best),
        importance=importance,
        times=times,
        versions={"Python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        commands=_commands(source, race, best, checkpoint, time_limit),
        comparisons=_comparisons(problem, metric, part, entries, outputs, checkpoint),
        time_limit=time_limit,
        checkpoint=checkpoint,
        folds=[race.folds[each.run.name] for each in ranking if each.run.name in race.folds],
        class_scores=_class_scores(problem, part, shown),
    )
    return results, None if network is None else network.run.task


def _predict(race: Race, part: str, deadline: float) -> dict[str, Array]:
    """Return the predictions of a part: of the best model and of the best task, and of others while there is time."""
    found: dict[str, Array] = {}
    has_task = False
    for outcome in race.ranking():
        is_task = outcome.run.task is not None
        is_owed = not found or (is_task and not has_task)
        if is_owed or part == "val" or time.monotonic() < deadline:
            predicted = race.predict(outcome, part)
            if predicted is not None:
                found[outcome.run.name] = predicted
                has_task = has_task or is_task
    return found


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


def _scores(problem: Problem, metric: Metric, val: Array | None, test: Array | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for prefix, part, outputs in (("", "val", val), ("test_", "test", test)):
        if outputs is not None:
            scores = score(problem.scored_as, problem.targets[part], outputs)
            found[f"{prefix}scores"] = dict(sorted(scores.items(), key=lambda item: item[0] != metric.name))
            found[f"{prefix}interval"] = bootstrap(metric, problem.targets[part], outputs)
    return found


def _comparisons(
    problem: Problem,
    metric: Metric,
    part: str,
    entries: Sequence[Entry],
    outputs: Mapping[str, Array],
    checkpoint: str | None,
) -> list[Comparison]:
    """Compare the best model with each trivial and classical one, and with the one of the checkpoint."""
    evaluated = [entry for entry in entries if entry.name in outputs]
    if not evaluated:
        return []
    best, *others = evaluated
    names = [entry.name for entry in others if entry.kind in ("trivial", "classical")]
    names += [entry.name for entry in others if entry.name == checkpoint]
    targets = problem.targets[part]
    first = (best.name, outputs[best.name])
    return [compare(metric, targets, first, (name, outputs[name])) for name in names]


def _mistakes(problem: Problem, metric: Metric, part: str, outputs: Array, best: Outcome) -> list[Sample]:
    if issubclass(problem.task, StructuredTask):
        return _lowest_scores(problem, problem.task, metric, part, outputs, best)
    return _worst(problem, part, outputs)


def _lowest_scores(
    problem: Problem, kind: type[StructuredTask], metric: Metric, part: str, outputs: Array, best: Outcome
) -> list[Sample]:
    """Return the samples whose own metric is the worst, with truth and prediction as pictures or in words."""
    targets, labels = problem.targets[part], problem.labels
    sign, best_value = (-1, 1.0 if metric.bounded else 0.0) if metric.higher_is_better else (1, 0.0)
    values = [metric(*pair) for pair in zip(targets[:, None], outputs[:, None], strict=True)]
    losses = np.array([sign * (value - best_value) for value in values])
    # It is not defined for samples without anything to find.
    order = np.argsort(np.nan_to_num(losses, nan=-np.inf), kind="stable")[::-1][:_MOST_SHOWN]
    rows = [int(row) for row in order if losses[row] > 0]
    dataset, task = problem.parts[part], best.run.task
    model: Any = getattr(best.run, "model", None)
    truths = kind.describe_targets(dataset, rows, labels) if rows else []
    shown, predictions = dataset.display(rows), ["not shown"] * len(rows)
    if isinstance(task, StructuredTask) and rows:
        own = dataset.with_input_spec(best.run.task.input_spec)
        predictions = task.describe_predictions(own, rows, labels)
        shown = task.pictures(own, rows) or shown
    elif rows and hasattr(model, "describe_predictions"):
        predictions = model.describe_predictions(dataset, rows, labels)
    names = problem.names_of(part, rows)
    columns = zip(names, shown, truths, predictions, losses[rows].tolist(), strict=True)
    return [Sample(*each) for each in columns]


def _worst(problem: Problem, part: str, outputs: Array) -> list[Sample]:
    """Return the samples with the highest losses; of classes, those that are predicted wrong."""
    targets = problem.targets[part]
    evaluated = evaluated_of(problem.kind, outputs, targets, problem.labels, part)
    predicted, losses = evaluated.predicted, evaluated.losses
    assert predicted is not None
    assert losses is not None
    rows = evaluated.worst()
    if problem.kind != "regression":
        wrong = (predicted.numpy() != targets).reshape(len(targets), -1).any(1)
        rows = [row for row in rows if wrong[row]]
    rows = rows[:_MOST_SHOWN]
    sure = outputs[rows].max(1).tolist() if problem.kind == "classification" and rows else [None] * len(rows)
    return _samples(problem, part, rows, predicted[rows].numpy(), losses[rows].tolist(), sure)


def _suspicious(problem: Problem, best: Outcome | None) -> list[Sample]:
    """Return validation samples, which no model was trained on, whose label may be wrong."""
    if best is None or best.outputs is None or problem.kind != "classification":
        return []
    targets = problem.targets["val"]
    rows = suspicious_labels(best.outputs, targets, most=_MOST_SHOWN).tolist()
    losses = evaluated_of(problem.kind, best.outputs, targets, problem.labels, "val").losses
    assert losses is not None
    found = best.outputs[rows]
    return _samples(problem, "val", rows, found.argmax(1), losses[rows].tolist(), found.max(1).tolist())


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
        problem.names_of(part, rows), dataset.display(rows), rows, predicted, losses, probabilities, strict=True
    )
    return [
        Sample(name, shown, problem.label_of(targets[row]), problem.label_of(prediction), loss, probability)
        for name, shown, row, prediction, loss, probability in columns
    ]


def _importance(race: Race, outcome: Outcome, part: str, deadline: float) -> list[Importance]:
    """Return the importance of columns to a model, as far as there is time to predict their permutations.

    Args:
        race: The race.
        outcome: The outcome of the model.
        part: The part to permute.
        deadline: When the time is up.
    """
    data, metric, dataset = race.problem.data, race.metric, race.problem.parts[part]
    count = len(dataset)
    shown = dataset.display([0])[0]
    has_columns = isinstance(shown, dict) and race.problem.kind != "structured"
    if not has_columns or count < 2 or time.monotonic() > deadline:
        return []

    def predict(some: int) -> None:
        outcome.run.predict(data, dataset.subset(range(some), dataset.hooks.stage))

    def evaluate(some: AutoDataset) -> tuple[str, bool, float]:
        return metric.name, metric.higher_is_better, metric(targets_of(some), outcome.run.predict(data, some))

    per_row = max(seconds_per_sample(count, predict, _LONG_ENOUGH), 1e-6) * (len(shown) * _REPEATS + 1)
    rows = min(count, _MOST_PERMUTED, int((deadline - time.monotonic()) / 2 / per_row))
    if rows < min(count, _FEWEST_PERMUTED):
        return []
    try:
        found = permutation_importance(dataset, evaluate, repeats=_REPEATS, max_rows=rows)
    except ConfigurationError as error:  # The samples of the domain have no parts.
        log.info("No importance: %s", error)
        return []
    return [Importance(*each) for each in zip(found.names, found.means, found.deviations, strict=True)]


def _class_scores(problem: Problem, part: str, outputs: Array) -> list[dict[str, Any]]:
    if not issubclass(problem.task, StructuredTask) or not len(outputs):
        return []
    return problem.task.class_scores(problem.targets[part], outputs, problem.labels)


def _facts(problem: Problem) -> dict[str, Any]:
    shown = problem.parts["train"].display([0])[0]
    facts: dict[str, Any] = {}
    if isinstance(shown, dict):
        facts["columns"] = len(shown)
    return facts


def _classes(problem: Problem) -> dict[str, dict[str, int]]:
    if problem.kind == "regression":
        return {}
    if problem.kind != "classification":
        return {
            part: {name: int(count) for name, count in zip(problem.labels, (each > 0).sum(0), strict=True)}
            for part in problem.parts
            if (each := problem.class_counts(part)) is not None
        }
    found = {}
    for part in problem.parts:
        counts = Counter(problem.named(part))
        found[part] = {name: counts.get(name, 0) for name in problem.labels}
    return found


def _commands(
    source: Source, race: Race, best: Outcome | None, checkpoint: str | None, time_limit: float
) -> list[Command]:
    """Return what to do next, as far as the data is a path that a command can name."""
    found = []
    if source.is_on_disk:
        words = ["flash", "baseline", str(source.data)]
        for name, value in race.folder.arguments.items():
            values = value if isinstance(value, list) else [value]
            if name != "data" and value not in (None, []):
                words += [f"--{name}", *map(str, values)]
        words += ["--time_limit", f"{time_limit:g}s", "-o", "again"]
        found.append(Command("Repeat it", shlex.join(words)))
    if best is not None and best.run.kind == "classical" and race.problem.kind != "structured":
        found.append(Command(f"Fit {best.run.name} again, in Python", refit_lines(best.run.name, source)))
    if checkpoint is not None:
        file = shlex.quote(str(race.folder.task_file))
        found.append(Command("Predict", f"flash predict {file} INPUT -o predictions.csv"))
        if "export" in get_host().commands():
            found.append(Command("Export", f"flash export {file} --format onnx -o exported"))
    return found

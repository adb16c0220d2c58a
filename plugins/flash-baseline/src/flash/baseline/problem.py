"""The problem that a baseline is for: a task, its data in parts, and what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from flash import DataModule, Task
from flash.core.classification import ClassificationTask
from flash.core.regression import RegressionTask
from flash.core.structured_prediction import StructuredTask
from flash.data.auto_dataset import AutoDataset
from flash.data.files import FileData
from flash.data.recognition import RawData
from flash.errors import ConfigurationError, DataError
from flash.plugins import get_host
from flash.serialization import accepted_parameters

from ._resampling import Array
from ._table_checks import missing_values
from .checks import check_samples, check_table
from .detect import Detected, detect, find_target, is_known_file, without_columns
from .leaderboard import Kind, Metric, metrics_for
from .raw_parts import RawParts, rows_with_inputs, rows_with_targets
from .results import Finding
from .samples import names_of, targets_of

__all__ = ["Problem", "Source", "noun_of", "pose", "pose_fold"]

# The part of the data that is split off for validation, and for testing.
_SPLIT = 0.2
_LEVELS = ("error", "warning", "info")
# More samples are not compared with each other one by one.
_MOST_COMPARED = 50_000
_SHOWN_FILES = 10


@dataclass(frozen=True)
class Source:
    """The data of a baseline, as the user passes it.

    Args:
        data: The path of a table or a folder, a data frame, or a data module.
        target: The columns of targets.
        val: Validation data.
        test: Test data.
        task: The name of the task.
        group: The column of groups.
        time: The column of times.
        drop: Columns to leave out.
        seed: The seed of the splits.
        sep: The separator of tables of text.
        encoding: The encoding of tables of text.
        decimal: The decimal mark of numbers in tables of text.
    """

    data: Any
    target: str | Sequence[str] | None = None
    val: Any = None
    test: Any = None
    task: str | None = None
    group: str | None = None
    time: str | None = None
    drop: Sequence[str] = ()
    seed: int = 0
    sep: str | None = None
    encoding: str | None = None
    decimal: str | None = None

    def raw(self, data: Any) -> RawData:
        """Read data as these arguments say; a file that a data module knows better than as a table is not read here."""
        if (self.target, self.sep, self.encoding, self.decimal) == (None,) * 4:
            file = RawData.of_file(data)
            if file is not None and is_known_file(file, self.task):
                return file
        return RawData.of(data, sep=self.sep, encoding=self.encoding, decimal=self.decimal)

    @property
    def is_on_disk(self) -> bool:
        """True if all of the data is paths, which a command can name."""
        return isinstance(self.data, str | os.PathLike) and all(
            isinstance(each, str | os.PathLike | None) for each in (self.val, self.test)
        )

    def described(self) -> dict[str, Any]:
        """Return the arguments as text, lists and numbers; data in memory by its type."""

        def shown(value: Any) -> Any:
            plain = value is None or isinstance(value, str | os.PathLike | int | list | tuple)
            return value if plain else type(value).__name__

        return {each.name: shown(getattr(self, each.name)) for each in fields(self)}


@dataclass
class Problem:
    """A task with its data.

    Args:
        title: The name of the data.
        name: The name of the task.
        task: Its class.
        why: Why it is that task.
        data: The data module.
        kind: The kind of task; ``"structured"`` if a sample has more than one result.
        labels: The names of the classes.
        parts: The samples of each part: ``"train"``, ``"val"`` and, if there are any, ``"test"``.
        targets: Their targets, or the statistics of those of structured prediction.
        findings: What the checks found, the worst first.
        kept: Of each part that rows without a target or a sample were left out of, the rows that were not.
        raw: The table that train, validation and test samples were split off; ``None`` if there is none.
    """

    title: str
    name: str
    task: type[Task]
    why: str
    data: DataModule
    kind: Kind | Literal["structured"]
    labels: list[str]
    parts: Mapping[str, AutoDataset]
    targets: Mapping[str, Array]
    findings: list[Finding] = field(default_factory=list)
    kept: Mapping[str, Sequence[int]] = field(default_factory=dict)
    raw: RawData | None = field(default=None, repr=False)

    def names_of(self, part: str, rows: Sequence[int]) -> list[str]:
        """Return the names of samples of a part, as the person finds them in the data that they passed."""
        return names_of(self.parts[part], part, rows, self.kept)

    @property
    def scored_as(self) -> Kind | type[StructuredTask]:
        """Kind of task, or the task, that the metrics are of, as ``metrics_for`` takes it."""
        if self.kind != "structured":
            return self.kind
        assert issubclass(self.task, StructuredTask)
        return self.task

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metrics by name, that of a race first."""
        return metrics_for(self.scored_as)

    def class_counts(self, part: str) -> Array | None:
        """Return how many results of each class each sample of a part has, ``(samples, classes)``; ``None`` without."""
        targets = self.targets[part]
        if self.kind == "multi-label":
            return targets
        return self.task.class_counts(targets) if issubclass(self.task, StructuredTask) else None

    def named(self, part: str, most: int | None = None) -> list[Any]:
        """Return the targets of the samples of a part, or of the first of them, as a person reads them."""
        rows = range(len(self.targets[part]))[:most]
        if issubclass(self.task, StructuredTask):
            counts = self.class_counts(part)
            if counts is None:
                return list(self.task.describe_targets(self.parts[part], rows, self.labels))
            return [[name for name, there in zip(self.labels, counts[row], strict=True) if there] for row in rows]
        return [self.label_of(self.targets[part][row]) for row in rows]

    def label_of(self, target: Any) -> Any:
        """Return the name of a class, the names of several, or a number."""
        if self.kind == "classification":
            return self.labels[int(target)]
        if self.kind == "multi-label":
            return ", ".join(name for name, there in zip(self.labels, target, strict=True) if there) or "none"
        numbers = np.asarray(target, dtype=float).reshape(-1).tolist()
        return numbers[0] if len(numbers) == 1 else ", ".join(f"{number:.4g}" for number in numbers)


def pose(source: Source, say: Callable[[str], None]) -> Problem:
    """Detect the task, check the data, and split it.

    Args:
        source: The data.
        say: Called with each line for the user.

    Raises:
        ConfigurationError: If an argument is wrong, or the data could be for several tasks.
        DataError: If nothing can be learned from the data.
    """
    problem = (_of_data_module if isinstance(source.data, DataModule) else _of_raw_data)(source, say)
    say(f"Samples: {', '.join(f'{len(part):,} {each}' for each, part in problem.parts.items())}.")
    problem.findings += _told(_check_shown_samples(problem), say)
    problem.findings.sort(key=lambda each: _LEVELS.index(each.level))
    return problem


def _of_data_module(source: Source, say: Callable[[str], None]) -> Problem:
    of_raw = (source.target, source.group, source.time, source.drop, source.sep, source.encoding, source.decimal)
    if any(of_raw):
        raise ConfigurationError(
            "Expected target, group, time, drop, sep, encoding and decimal as arguments of the data module, since one "
            "is passed."
        )
    name, task = _task_for(source.data, source.task)
    why = "a data module is passed"
    say(f"Task: {name}, because {why}.")
    return _split_into_parts(type(source.data).__name__, name, task, why, source.data, [], {})


def _of_raw_data(source: Source, say: Callable[[str], None]) -> Problem:
    raw = source.raw(source.data)
    target = find_target(raw, source.target)
    targets = [target] if isinstance(target, str) else list(target or ())
    given = {"train": without_columns(raw, source.drop)}
    given |= {part: source.raw(each) for part, each in (("val", source.val), ("test", source.test)) if each is not None}
    parts = RawParts(given)
    without_target = parts.leave_out(lambda each, part: rows_with_targets(each, target, part))
    detected = detect(parts.learned["train"], target, source.task)
    name, why = detected.name, detected.recognition.why
    say(f"Task: {name}, because {why}.")
    findings: list[Finding] = []
    column = detected.input_field
    if column is not None:
        findings += _told([missing_values("targets", targets, *each) for each in without_target], say)
        without_input = parts.leave_out(lambda each, part: rows_with_inputs(each, column, part))
        findings += _told([missing_values("inputs", [column], *each) for each in without_input], say)
        if without_input:
            detected = detect(parts.learned["train"], target, name)
    elif raw.table is not None:
        read = {part: each.with_points() for part, each in given.items()}
        tables = {part: each for part, each in read.items() if each is not None}
        findings += _told(check_table(tables, targets, source.group, source.time), say)
    data = _make(detected, source, {part: each for part, each in parts.learned.items() if part != "train"})
    findings += _told(_unreadable(data), say)
    title = Path(source.data).name if isinstance(source.data, str | Path) else "data"
    problem = _split_into_parts(title, name, detected.task, why, data, findings, parts.kept)
    return replace(problem, raw=parts.learned["train"] if raw.table is not None else None)


def pose_fold(source: Source, problem: Problem, raw: RawData, learned: Sequence[int], held: Sequence[int]) -> Problem:
    """Return the problem of a fold, whose part ``"val"`` are rows that nothing is learned from.

    Its data has validation samples of its own, a part of the other rows, by which networks stop early.

    Args:
        source: The data as the user passed it.
        problem: The problem of all rows.
        raw: Its table.
        learned: The rows to learn from.
        held: The rows that are held out.
    """
    assert raw.table is not None
    rest, out = (replace(raw, table=raw.table.take(list(rows))) for rows in (learned, held))
    detected = detect(rest, find_target(raw, source.target), problem.name)
    data = _make(detected, source, {"test": out})
    made = _split_into_parts(problem.title, problem.name, detected.task, problem.why, data, [], {})
    parts = {"train": made.parts["train"], "val": made.parts["test"]}
    return replace(made, parts=parts, targets={"train": made.targets["train"], "val": made.targets["test"]})


def _check_shown_samples(problem: Problem) -> Sequence[Finding]:
    """Check texts and images; rows of a table are checked before they are split."""
    if not isinstance(problem.parts["train"].display([0])[0], str | np.ndarray):
        return []
    rows = {part: range(min(len(each), _MOST_COMPARED)) for part, each in problem.parts.items()}
    shown = {part: each.display(rows[part]) for part, each in problem.parts.items()}
    labels = {part: _labels_to_check(problem, part, len(rows[part])) for part in problem.parts}
    ids = {part: problem.names_of(part, rows[part]) for part in problem.parts}
    return check_samples(shown, labels, names=ids, noun=noun_of(problem.data))


def _labels_to_check(problem: Problem, part: str, most: int) -> list[Any]:
    """Return the label of each sample; ``None`` where results are texts, or all of one kind, which is no mistake."""
    is_counted = problem.class_counts(part) is not None and len(problem.labels) > 1
    return problem.named(part, most) if problem.kind != "structured" or is_counted else [None] * most


def noun_of(data: DataModule) -> str:
    """Return what a sample is called, such as ``"recording"``."""
    return str(getattr(data.preprocess, "noun", "sample"))


def _make(detected: Detected, source: Source, others: Mapping[str, RawData]) -> DataModule:
    """Make the data module; parts that are not given are split off."""
    given = {*others, *(name.partition("_")[0] for name in detected.recognition.arguments)}
    options: dict[str, Any] = {f"{part}_split": _SPLIT for part in ("val", "test") if part not in given}
    if options:
        options |= {"groups": source.group, "times": source.time}
    if issubclass(detected.data, FileData):
        options["on_bad_sample"] = "skip"
    if "verbose" in accepted_parameters(detected.data.preprocess_cls):
        options["verbose"] = False
    options = {name: value for name, value in options.items() if value is not None}
    return detected.make_data(others, seed=source.seed, **options)


def _unreadable(data: DataModule) -> list[Finding]:
    """Return a finding of the files that cannot be opened, which are left out."""
    datasets = [getattr(data, f"{part}_dataset") for part in ("train", "val", "test")]
    # Parts that are split off know the files of the whole.
    bad = dict(each for dataset in datasets for each in getattr(dataset, "bad_samples", ()))
    if not bad:
        return []
    name, reason = next(iter(bad.items()))
    return [
        Finding(
            "unreadable files",
            "warning",
            f"Expected files that can be opened, but {len(bad):,} cannot, such as {name}: {reason} A baseline leaves "
            "them out. Replace or remove them.",
            rows=list(bad)[:_SHOWN_FILES],
        )
    ]


def _is_comparable(task: type[Task]) -> bool:
    """Return whether models of a task can be compared: it has one result per sample, or statistics of many."""
    if issubclass(task, StructuredTask):
        return True
    scopes = getattr(task.outputs, "scopes", ())
    return not scopes or any(scope.rpartition("/")[2] in ("classification", "regression") for scope in scopes)


def _task_for(data: DataModule, asked: str | None) -> tuple[str, type[Task]]:
    """Return the name and the class of the task of a data module."""
    found: dict[str, type[Task]] = {}
    for name, contribution in get_host().tasks().items():
        if asked not in (None, name):
            continue
        task = contribution.load("task")
        known = ClassificationTask | RegressionTask | StructuredTask
        fits = isinstance(data, contribution.load("data")) and issubclass(task, known)
        if fits and _is_comparable(task):
            found[name] = task
    if len(found) == 1:
        return next(iter(found.items()))
    raise ConfigurationError(
        f"Expected a task whose models can be compared for {type(data).__name__}, but found "
        f"{', '.join(found) or 'none'}. Pass task=..., the name of one that a plugin registers (flash tasks)."
    )


def _split_into_parts(
    title: str,
    name: str,
    task: type[Task],
    why: str,
    data: DataModule,
    findings: list[Finding],
    kept: Mapping[str, Sequence[int]],
) -> Problem:
    stages = {part: getattr(data, f"{part}_dataset") for part in ("train", "val", "test")}
    for part in ("train", "val"):
        if not isinstance(stages[part], AutoDataset):
            raise ConfigurationError(
                f"Expected a data module with {part} samples that have a length, but got "
                f"{type(stages[part]).__name__}. Make it with val_split, or pass {part} data."
            )
    parts = {part: dataset for part, dataset in stages.items() if isinstance(dataset, AutoDataset)}
    classes = data.num_classes
    kind: Kind | Literal["structured"] = (
        "regression" if classes is None else "multi-label" if data.multi_label else "classification"
    )
    labels = [str(label) for label in (data.labels or range(classes or 0))]
    if issubclass(task, StructuredTask):
        kind = "structured"
        labels = list(task.statistics_labels(labels))
        targets = {part: task.true_statistics(dataset, classes) for part, dataset in parts.items()}
    else:
        targets = {part: targets_of(dataset) for part, dataset in parts.items()}
    return Problem(title, name, task, why, data, kind, labels, parts, targets, findings, kept)


def _told(findings: Sequence[Finding], say: Callable[[str], None]) -> Sequence[Finding]:
    """Tell the user what was found.

    Raises:
        DataError: If nothing can be learned from the data.
    """
    for each in findings:
        if each.level != "error":
            say(f"{each.level}: {each.sentence}")
    errors = [each.sentence for each in findings if each.level == "error"]
    if errors:
        raise DataError(" ".join(errors))
    return findings

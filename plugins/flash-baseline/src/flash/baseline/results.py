"""Results of a baseline: the values that the leaderboard, the report and Python show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

__all__ = ["Command", "Comparison", "Entry", "Finding", "FoldScore", "Importance", "Results", "Sample", "row_name"]


def row_name(row: int, part: str = "train") -> str:
    """Return the name of a row of the data that a person passed, counted from 0, without the header.

    Args:
        row: The row.
        part: The part that the data was passed for; rows that were split off are still of the train data.

    Example:
        >>> row_name(67), row_name(3, "test")
        ('row 67', 'row 3 of the test data')
    """
    return f"row {row}" if part == "train" else f"row {row} of the {part} data"


@dataclass(frozen=True)
class Finding:
    """Something about the data that a person should know.

    Args:
        kind: Its kind, such as ``"duplicates"``.
        level: ``"error"`` if nothing can be learned from the data, ``"warning"`` if scores would be wrong, or
            ``"info"``.
        sentence: What was expected, what came, and what to do.
        rows: The first of the samples that it is about: files, or rows as :func:`row_name` names them.
        columns: The columns that it is about.
    """

    kind: str
    level: Literal["error", "warning", "info"]
    sentence: str
    rows: Sequence[Any] = ()
    columns: Sequence[str] = ()


@dataclass(frozen=True)
class Entry:
    """A row of the leaderboard.

    Args:
        name: The name of the recipe.
        summary: What it is, in one sentence.
        kind: ``"trivial"``, ``"classical"``, ``"network"`` or ``"ensemble"``.
        status: ``"done"``, ``"stopped"`` (left the race), ``"failed"``, or ``"out of time"``.
        scores: The metrics on the validation samples by name, that of the race first.
        interval: The 95 % confidence interval of the metric of the race on the validation samples.
        test_scores: The same on the test samples.
        test_interval: The same on the test samples.
        seconds: The time of its training and evaluation.
        epochs: The number of epochs that it trained.
        parameters: The number of weights.
        reason: Why it failed.
        history: The metrics per epoch, each with ``"epoch"``.
    """

    name: str
    summary: str
    kind: Literal["trivial", "classical", "network", "ensemble"]
    status: Literal["done", "stopped", "failed", "out of time"]
    scores: Mapping[str, float] = field(default_factory=dict)
    interval: tuple[float, float] | None = None
    test_scores: Mapping[str, float] = field(default_factory=dict)
    test_interval: tuple[float, float] | None = None
    seconds: float = 0.0
    epochs: int | None = None
    parameters: int | None = None
    reason: str = ""
    history: Sequence[Mapping[str, float]] = ()


@dataclass(frozen=True)
class FoldScore:
    """A model over folds: each sample is predicted by one that was fitted again, without its fold.

    Args:
        name: The name of the entry.
        folds: The number of folds.
        samples: The number of samples that were predicted.
        scores: The metrics over all of them by name, that of the race first.
        interval: The 95 % confidence interval of the metric of the race over all of them.
        each: The metric of the race in each fold; ``None`` where it is not defined.
    """

    name: str
    folds: int
    samples: int
    scores: Mapping[str, float]
    interval: tuple[float, float] | None
    each: Sequence[float | None]


@dataclass(frozen=True)
class Comparison:
    """Two models on the same samples.

    Args:
        first: The name of an entry.
        second: The name of the other.
        metric: The metric that compares them.
        difference: By how much the first is better; negative if it is worse.
        interval: The 95 % confidence interval of the difference; ``None`` if there are too few samples for one.
    """

    first: str
    second: str
    metric: str
    difference: float
    interval: tuple[float, float] | None = None

    @property
    def exceeds_noise(self) -> bool:
        """True if one is better than the other by more than noise: the interval of the difference excludes 0."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]

    def reversed(self) -> Comparison:
        """Return the comparison of the second with the first.

        Example:
            >>> Comparison("a", "b", "accuracy", 0.1, (-0.05, 0.25)).reversed()
            Comparison(first='b', second='a', metric='accuracy', difference=-0.1, interval=(-0.25, 0.05))
        """
        interval = None if self.interval is None else (-self.interval[1], -self.interval[0])
        return Comparison(self.second, self.first, self.metric, -self.difference, interval)


@dataclass(frozen=True)
class Sample:
    """A sample with its prediction.

    Args:
        id: Its file, or its row as :func:`row_name` names it.
        shown: What a person looks at: a text, the columns of a row, or an image ``(height, width, 3)`` of uint8.
        truth: The target, as a label or a number.
        prediction: The prediction, as a label or a number.
        loss: Its loss.
        probability: That of the predicted class.
    """

    id: Any
    shown: str | Mapping[str, Any] | np.ndarray[Any, Any]
    truth: Any
    prediction: Any
    loss: float
    probability: float | None = None


@dataclass(frozen=True)
class Importance:
    """Importance of a column: mean and standard deviation, over shuffles, of how much worse the metric gets."""

    column: str
    mean: float
    std: float


@dataclass(frozen=True)
class Command:
    """A command line, or lines of Python, for the next step.

    Args:
        title: What it does.
        line: The command, or lines of Python.
    """

    title: str
    line: str


@dataclass(frozen=True)
class Results:
    """All that a baseline found.

    Args:
        title: The name of the data.
        task: The name of the task, such as ``"tabular/classification"``.
        kind: ``"classification"``, ``"multi-label"``, ``"regression"``, or ``"structured"`` (more than one
            result per sample, such as boxes).
        why: Why it is that task.
        counts: The number of samples per part: ``"train"``, ``"val"``, ``"test"``.
        facts: Facts of the data in the order to show them, such as the number of columns.
        classes: The number of samples per class of each part, for classification.
        findings: What the checks found, the worst first.
        metric: The name of the metric of the race.
        higher_is_better: Whether a higher value of it is better.
        entries: The leaderboard, the best first.
        best: The name of the best entry, whatever it is; ``None`` if none was evaluated.
        part: The part of the data that the following values are of.
        labels: The names of the classes.
        targets: The targets: indices ``(samples,)``, zeros and ones ``(samples, classes)``, or numbers; of
            ``"structured"`` the statistics that the task defines.
        outputs: The predictions of the best entry: probabilities ``(samples, classes)``, or numbers; of
            ``"structured"`` the statistics that the task defines.
        mistakes: The samples with the highest losses, the worst first.
        suspicious: Samples whose label may be wrong.
        importance: Of each column, the most important first; empty if there are no columns.
        times: The seconds of each step, in order.
        versions: The versions of Python and packages.
        commands: What to do next.
        comparisons: The best entry against others on the samples of ``part``: trivial and classical ones, and the one
            of the checkpoint.
        time_limit: The seconds that the race was given.
        checkpoint: The name of the best entry that is a task, which is in ``best.ckpt``; ``None`` if there is none.
        folds: The scores over folds of the best models of the race, the best first; empty if there were no folds.
        class_scores: Of ``"structured"``, the scores of each class, as the task defines them.
    """

    title: str
    task: str
    kind: Literal["classification", "multi-label", "regression", "structured"]
    why: str
    counts: Mapping[str, int]
    facts: Mapping[str, Any]
    classes: Mapping[str, Mapping[str, int]]
    findings: Sequence[Finding]
    metric: str
    higher_is_better: bool
    entries: Sequence[Entry]
    best: str | None
    part: Literal["test", "val"]
    labels: Sequence[str]
    targets: np.ndarray[Any, Any]
    outputs: np.ndarray[Any, Any]
    mistakes: Sequence[Sample]
    suspicious: Sequence[Sample]
    importance: Sequence[Importance]
    times: Mapping[str, float]
    versions: Mapping[str, str]
    commands: Sequence[Command]
    comparisons: Sequence[Comparison] = ()
    time_limit: float | None = None
    checkpoint: str | None = None
    folds: Sequence[FoldScore] = ()
    class_scores: Sequence[Mapping[str, Any]] = ()

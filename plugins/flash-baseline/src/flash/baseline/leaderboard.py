"""Metrics with confidence intervals, comparisons of models on the same samples, and the files of the leaderboard."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn import metrics as sklearn_metrics

from flash.core.structured_prediction import StatisticsMetric, StructuredTask
from flash.errors import ConfigurationError, DataError
from flash.serialization import writing

from ._numbers import numbers_of
from ._resampling import (
    Array,
    Evaluation,
    areas_under_roc,
    average_precisions,
    draw,
    macro,
    of_classes,
    of_means,
)
from .results import Comparison, Results

__all__ = ["Kind", "Metric", "bootstrap", "compare", "metrics_for", "score", "write_leaderboard"]

Kind = Literal["classification", "multi-label", "regression"]

# Of a metric that takes the scores of every class in order, at most this many numbers are gone through.
_MOST_WORK = 1_000_000_000
_FEWEST_RESAMPLES = 200
# Fewer samples say nothing about a difference, whatever their resamples say.
_FEWEST_SAMPLES = 10


@dataclass(frozen=True)
class Metric:
    """A metric of outputs.

    Args:
        name: Its name.
        higher_is_better: Whether a higher value is better.
        compute: From targets and outputs to its value; NaN if it is not defined for them.
        prepare: From targets and outputs to the evaluation of resamples.
        bounded: Whether it is between 0 and 1.
        passes: How often the evaluation goes through the samples, such as once per class.
    """

    name: str
    higher_is_better: bool
    compute: Callable[[Array, Array], float]
    prepare: Callable[[Array, Array], Evaluation]
    bounded: bool = False
    passes: Callable[[Array], int] = lambda _: 1

    def __call__(self, targets: Array, outputs: Array) -> float:
        """Return the metric; the arguments are those of :func:`score`."""
        targets, outputs = _checked(targets, outputs)
        return float(self.compute(targets, outputs))


def metrics_for(kind: Kind | type[StructuredTask]) -> dict[str, Metric]:
    """Return the metrics of a kind of task, or of a task of structured prediction, by name, that of a race first.

    Targets and outputs are, of ``"classification"``, indices ``(samples,)`` and probabilities ``(samples, classes)``;
    of ``"multi-label"``, zeros and ones and probabilities, both ``(samples, labels)``; of ``"regression"``, numbers
    ``(samples,)`` or ``(samples, targets)`` both; of structured prediction, statistics of the task. Values are
    those of scikit-learn; a mean over classes is one over the classes that occur.

    Raises:
        ConfigurationError: If the kind is another.

    Example:
        >>> accuracy = metrics_for("classification")["accuracy"]
        >>> accuracy(np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]]))
        0.6666666666666666
    """
    if not isinstance(kind, str):
        return {metric.name: _of_statistics(metric) for metric in kind.statistics_metrics()}
    if kind not in _METRICS:
        raise ConfigurationError(f"Expected kind to be one of {', '.join(_METRICS)}, but got {kind!r}.")
    return {metric.name: metric for metric in _METRICS[kind]}


def score(kind: Kind | type[StructuredTask], targets: Array, outputs: Array) -> dict[str, float]:
    """Return all metrics of a kind by name, without those that are not defined for these targets.

    Args:
        kind: The kind of task, or a task of structured prediction.
        targets: As :func:`metrics_for` says.
        outputs: As :func:`metrics_for` says.

    Raises:
        DataError: If the numbers of samples differ, there are none, or an output is not finite.

    Example:
        >>> score("regression", np.array([1.0, 2.0]), np.array([1.0, 4.0]))["mae"]
        1.0
    """
    values = {name: metric(targets, outputs) for name, metric in metrics_for(kind).items()}
    return {name: value for name, value in values.items() if not np.isnan(value)}


def bootstrap(
    metric: Metric,
    targets: Array,
    outputs: Array,
    *,
    groups: Sequence[Any] | Array | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Return the 95 % confidence interval of a metric: the percentile bootstrap over the samples.

    If every resample has the same value, such as the accuracy of a model without an error, the interval ends 3 /
    samples away from it ("rule of three"). A metric that goes through the samples once per class gets fewer resamples
    if there are many of both.

    Args:
        metric: One of :func:`metrics_for`.
        targets: As :func:`metrics_for` says.
        outputs: As :func:`metrics_for` says.
        groups: The group of each sample, if samples of a group are not independent: groups are drawn, not samples.
        resamples: The number of resamples.
        seed: The seed; the same seed draws the same resamples.

    Returns:
        The interval, or ``None`` if the metric is not defined for the targets.

    Raises:
        DataError: As :func:`score`.

    Example:
        >>> targets = np.arange(100) % 2
        >>> outputs = np.eye(2)[np.where(np.arange(100) < 10, 1 - targets, targets)]
        >>> bootstrap(metrics_for("classification")["accuracy"], targets, outputs)
        (0.84, 0.95)
    """
    targets, outputs = _checked(targets, outputs)
    (values,) = _resampled(metric, targets, [outputs], groups, resamples, seed)
    if not len(values):
        return None
    low, high = (float(bound) for bound in np.percentile(values, [2.5, 97.5]))
    if metric.bounded and values.min() == values.max():
        margin = 3 / (len(targets) if groups is None else len(set(groups)))
        return max(0.0, low - margin), min(1.0, high + margin)
    return low, high


def compare(
    metric: Metric,
    targets: Array,
    first: tuple[str, Array],
    second: tuple[str, Array],
    *,
    groups: Sequence[Any] | Array | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare two models on the same samples, by the bootstrap of the paired difference.

    Both models are evaluated on the same resamples, so that what makes a resample hard for both cancels out.

    Args:
        metric: One of :func:`metrics_for`.
        targets: As :func:`metrics_for` says.
        first: The name and the outputs of a model.
        second: Those of the other.
        groups: As in :func:`bootstrap`.
        resamples: As in :func:`bootstrap`.
        seed: As in :func:`bootstrap`.

    Returns:
        By how much the first is better; its interval is ``None`` with fewer than 10 samples.

    Raises:
        DataError: As :func:`score`.

    Example:
        >>> targets = np.arange(100) % 2
        >>> right, wrong = np.eye(2)[targets], np.eye(2)[1 - targets]
        >>> compare(metrics_for("classification")["accuracy"], targets, ("a", right), ("b", wrong)).exceeds_noise
        True
    """
    sign = 1.0 if metric.higher_is_better else -1.0
    targets, outputs = _checked(targets, first[1])
    _, others = _checked(targets, second[1])
    difference = sign * (metric.compute(targets, outputs) - metric.compute(targets, others))
    interval = None
    if (len(targets) if groups is None else len(set(groups))) >= _FEWEST_SAMPLES:
        one, other = _resampled(metric, targets, [outputs, others], groups, resamples, seed)
        if len(one):
            low, high = np.percentile(sign * (one - other), [2.5, 97.5])
            interval = (float(low), float(high))
    return Comparison(first[0], second[0], metric.name, float(difference), interval)


def _resampled(
    metric: Metric, targets: Array, outputs: Sequence[Array], groups: Any, resamples: int, seed: int
) -> list[Array]:
    """Return the metric of each resample in which it is defined, for each of several outputs."""
    numbers = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    work = len(targets) * metric.passes(outputs[0])
    resamples = min(resamples, max(_FEWEST_RESAMPLES, _MOST_WORK // work))
    evaluations = [metric.prepare(targets, each) for each in outputs]
    blocks = [
        np.stack([each(counts) for each in evaluations]) for counts in draw(len(targets), resamples, seed, numbers)
    ]
    values = np.concatenate(blocks, axis=1)
    return list(values[:, ~np.isnan(values).any(0)])


def _checked(targets: Array, outputs: Array) -> tuple[Array, Array]:
    targets, outputs = np.asarray(targets), np.asarray(outputs, dtype=np.float64)
    if len(targets) != len(outputs) or not len(targets):
        raise DataError(
            f"Expected one output per target, and at least one, but got {len(targets)} targets and {len(outputs)} "
            "outputs. Predict the samples that the targets are of."
        )
    if not np.isfinite(outputs).all():
        wrong = int((~np.isfinite(outputs)).reshape(len(outputs), -1).any(1).sum())
        raise DataError(
            f"Expected finite outputs, but {wrong} of {len(outputs)} samples have NaN or infinity. Train with a lower "
            "learning rate, or look for extreme values in the inputs."
        )
    return targets, outputs


# --- Classification: targets (samples,), outputs (samples, classes) -------------------------------------------------


def _accuracy(targets: Array, outputs: Array) -> float:
    return float(sklearn_metrics.accuracy_score(targets, outputs.argmax(1)))


def _accuracies(targets: Array, outputs: Array) -> Evaluation:
    return of_means((outputs.argmax(1) == targets).astype(np.float64)[:, None])


def _mean_recall(hits: Array, targets: Array, _: Array) -> Array:
    recalls = np.divide(hits, targets, out=np.zeros_like(hits), where=targets > 0)
    return np.asarray(recalls.sum(1) / (targets > 0).sum(1))


def _mean_f1(hits: Array, targets: Array, predictions: Array) -> Array:
    either = targets + predictions
    values = np.divide(2 * hits, either, out=np.zeros_like(hits), where=either > 0)
    return np.asarray(values.sum(1) / np.maximum((either > 0).sum(1), 1))


def _of_classes(combine: Callable[..., Array]) -> Callable[[Array, Array], Evaluation]:
    return lambda targets, outputs: of_classes(targets, outputs.argmax(1), outputs.shape[1], combine)


def _balanced_accuracy(targets: Array, outputs: Array) -> float:
    present = np.unique(targets)
    recalls = sklearn_metrics.recall_score(targets, outputs.argmax(1), labels=present, average=None, zero_division=0)
    return float(np.mean(recalls))


def _f1(targets: Array, outputs: Array) -> float:
    return float(sklearn_metrics.f1_score(targets, outputs.argmax(1), average="macro", zero_division=0))


def _log_losses(targets: Array, outputs: Array) -> Array:
    # As scikit-learn: probabilities sum to 1, and none is 0.
    tiny = np.finfo(np.float64).eps
    shares = np.clip(outputs, tiny, 1 - tiny)
    return np.asarray(-np.log(shares[np.arange(len(targets)), targets] / shares.sum(1)))


def _one_against_rest(targets: Array, outputs: Array) -> list[tuple[Array, Array]]:
    """Return, per class, which samples are of it, and their scores: of two classes the second alone."""
    classes = range(outputs.shape[1]) if outputs.shape[1] != 2 else (1,)
    return [(targets == each, outputs[:, each]) for each in classes]


def _per_label(targets: Array, outputs: Array) -> list[tuple[Array, Array]]:
    return [(targets[:, each] > 0, outputs[:, each]) for each in range(outputs.shape[1])]


def _mean_over(
    pairs: Callable[[Array, Array], list[tuple[Array, Array]]], compute: Callable[[Array, Array], float]
) -> Callable[[Array, Array], float]:
    """Return the mean of a metric over the classes that some samples are of and others are not."""

    def mean(targets: Array, outputs: Array) -> float:
        found = [compute(of, scores) for of, scores in pairs(targets, outputs) if of.any() and not of.all()]
        return float(np.mean(found)) if found else float("nan")

    return mean


def _resampled_over(
    pairs: Callable[[Array, Array], list[tuple[Array, Array]]], evaluate: Callable[[Array, Array], Evaluation]
) -> Callable[[Array, Array], Evaluation]:
    return lambda targets, outputs: macro([evaluate(of, scores) for of, scores in pairs(targets, outputs)])


def _classes(outputs: Array) -> int:
    return int(outputs.shape[1])


# --- Multi-label: targets and outputs (samples, labels) -------------------------------------------------------------


def _hamming(targets: Array, outputs: Array) -> float:
    return float(((outputs > 0.5) == (targets > 0)).mean())


def _hamming_resampled(targets: Array, outputs: Array) -> Evaluation:
    return of_means(((outputs > 0.5) == (targets > 0)).mean(1)[:, None])


def _exact_match(targets: Array, outputs: Array) -> float:
    return float(sklearn_metrics.accuracy_score(targets > 0, outputs > 0.5))


def _exact_match_resampled(targets: Array, outputs: Array) -> Evaluation:
    return of_means(((outputs > 0.5) == (targets > 0)).all(1).astype(np.float64)[:, None])


def _multi_label_f1(targets: Array, outputs: Array) -> float:
    true, predicted = targets > 0, outputs > 0.5
    occurs = true.any(0) | predicted.any(0)
    if not occurs.any():
        return 0.0
    return float(sklearn_metrics.f1_score(true, predicted, average=None, zero_division=0)[occurs].mean())


def _multi_label_f1_resampled(targets: Array, outputs: Array) -> Evaluation:
    true, predicted = targets > 0, outputs > 0.5
    values = np.concatenate([true & predicted, true, predicted], axis=1).astype(np.float64)
    return of_means(values, lambda means: _mean_f1(*np.split(means, 3, axis=1)))


# --- Structured: statistics of samples, which the task defines --------------------------------------------------------


def _of_statistics(metric: StatisticsMetric) -> Metric:
    def compute(targets: Array, outputs: Array) -> float:
        return float(metric.prepare(targets, outputs)(np.ones((1, len(targets))))[0])

    return Metric(
        metric.name,
        metric.higher_is_better,
        compute,
        metric.prepare,
        bounded=metric.bounded,
        passes=lambda outputs: int(outputs[0].size),
    )


# --- Regression: targets and outputs (samples,) or (samples, targets) -----------------------------------------------


def _wide(values: Array) -> Array:
    return np.asarray(values, dtype=np.float64).reshape(len(values), -1)


def _rmse(targets: Array, outputs: Array) -> float:
    return float(np.sqrt(((_wide(outputs) - _wide(targets)) ** 2).mean(0)).mean())


def _rmses(targets: Array, outputs: Array) -> Evaluation:
    return of_means((_wide(outputs) - _wide(targets)) ** 2, lambda means: np.sqrt(means).mean(1))


def _mae(targets: Array, outputs: Array) -> float:
    return float(sklearn_metrics.mean_absolute_error(_wide(targets), _wide(outputs)))


def _maes(targets: Array, outputs: Array) -> Evaluation:
    return of_means(np.abs(_wide(outputs) - _wide(targets)).mean(1)[:, None])


def _r2(targets: Array, outputs: Array) -> float:
    if len(targets) < 2 or (np.ptp(_wide(targets), axis=0) == 0).any():
        return float("nan")
    return float(sklearn_metrics.r2_score(_wide(targets), _wide(outputs)))


def _r2s(targets: Array, outputs: Array) -> Evaluation:
    # Centered first: the difference of two means of squares loses digits if the targets are far from 0.
    wide = _wide(targets)
    centered = wide - wide.mean(0)
    values = np.concatenate([(_wide(outputs) - wide) ** 2, centered, centered**2], axis=1)

    def combine(means: Array) -> Array:
        errors, first, second = np.split(means, 3, axis=1)
        spread = second - first**2
        ratios = np.divide(errors, spread, out=np.full_like(errors, np.nan), where=spread > 0)
        return np.asarray((1 - ratios).mean(1))

    return of_means(values, combine)


_METRICS: dict[str, tuple[Metric, ...]] = {
    "classification": (
        Metric("accuracy", True, _accuracy, _accuracies, bounded=True),
        Metric("balanced_accuracy", True, _balanced_accuracy, _of_classes(_mean_recall), bounded=True),
        Metric("f1_macro", True, _f1, _of_classes(_mean_f1), bounded=True),
        Metric(
            "log_loss",
            False,
            lambda targets, outputs: float(_log_losses(targets, outputs).mean()),
            lambda targets, outputs: of_means(_log_losses(targets, outputs)[:, None]),
        ),
        Metric(
            "auroc",
            True,
            _mean_over(_one_against_rest, sklearn_metrics.roc_auc_score),
            _resampled_over(_one_against_rest, areas_under_roc),
            bounded=True,
            passes=_classes,
        ),
    ),
    "multi-label": (
        Metric("f1_macro", True, _multi_label_f1, _multi_label_f1_resampled, bounded=True),
        Metric(
            "average_precision",
            True,
            _mean_over(_per_label, sklearn_metrics.average_precision_score),
            _resampled_over(_per_label, average_precisions),
            bounded=True,
            passes=_classes,
        ),
        Metric(
            "auroc",
            True,
            _mean_over(_per_label, sklearn_metrics.roc_auc_score),
            _resampled_over(_per_label, areas_under_roc),
            bounded=True,
            passes=_classes,
        ),
        Metric("accuracy", True, _hamming, _hamming_resampled, bounded=True),
        Metric("exact_match", True, _exact_match, _exact_match_resampled, bounded=True),
    ),
    "regression": (
        Metric("rmse", False, _rmse, _rmses),
        Metric("mae", False, _mae, _maes),
        Metric("r2", True, _r2, _r2s),
    ),
}


def write_leaderboard(folder: str | Path, results: Results) -> None:
    """Write ``leaderboard.csv``, one row an entry, and ``results.json``, which holds all numbers of the page.

    Args:
        folder: The folder, which is created.
        results: What the baseline found.

    Raises:
        CheckpointError: If a file cannot be written.
    """
    numbers = numbers_of(results)
    with writing(Path(folder, "leaderboard.csv"), "w", folder_argument="-o FOLDER", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow([_as_utf8(cell) for cell in _header(numbers)])
        for rank, entry in enumerate(numbers["entries"], 1):
            rows.writerow([_as_utf8(cell) for cell in _row(rank, entry, numbers)])
    with writing(Path(folder, "results.json"), "w", folder_argument="-o FOLDER", encoding="utf-8") as file:
        json.dump(numbers, file, indent=1, allow_nan=False)
        file.write("\n")


_INTERVALS = (("val", "scores", "interval"), ("test", "test_scores", "test_interval"))


def _metrics_of(numbers: dict[str, Any], scores: str) -> list[str]:
    names = dict.fromkeys(name for entry in numbers["entries"] for name in entry[scores])
    return list(names)


def _header(numbers: dict[str, Any]) -> list[str]:
    columns = ["rank", "name", "kind", "status"]
    for part, scores, _ in _INTERVALS:
        metrics = _metrics_of(numbers, scores)
        columns += [f"{part}_{name}" for name in metrics]
        columns += [f"{part}_{numbers['metric']}_{end}" for end in ("low", "high")] if metrics else []
    metric = numbers["metric"]
    columns += [f"folds_{metric}{end}" for end in ("", "_low", "_high")] if numbers["folds"] else []
    return [*columns, "seconds", "epochs", "parameters", "summary", "reason"]


def _row(rank: int, entry: dict[str, Any], numbers: dict[str, Any]) -> list[Any]:
    cells = [rank, entry["name"], entry["kind"], entry["status"]]
    for _, scores, interval in _INTERVALS:
        metrics = _metrics_of(numbers, scores)
        cells += [entry[scores].get(name) for name in metrics]
        cells += (entry[interval] or [None, None]) if metrics else []
    over_folds = next((each for each in numbers["folds"] if each["name"] == entry["name"]), None)
    if over_folds is not None:
        cells += [over_folds["scores"].get(numbers["metric"]), *(over_folds["interval"] or [None, None])]
    elif numbers["folds"]:
        cells += [None] * 3
    return [*cells, *(entry[name] for name in ("seconds", "epochs", "parameters", "summary", "reason"))]


def _as_utf8(cell: Any) -> Any:
    """Replace halves of characters, which UTF-8 cannot encode."""
    return cell.encode("utf-8", "replace").decode() if isinstance(cell, str) else cell

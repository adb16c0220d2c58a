"""Tasks of structured prediction, whose samples have more than one result each, and how models of them are compared.

A sample of such a task has a class per pixel, a number of boxes or spans, or a text. Models are compared by statistics
of each sample, of which the metrics of a whole data set are computed: numbers of pixels, or boxes with their scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from flash.data.auto_dataset import AutoDataset

__all__ = [
    "Array",
    "CountedTask",
    "Evaluation",
    "StatisticsMetric",
    "StructuredTask",
    "counts_metric",
    "mean_over_classes",
    "of_means",
]

Array: TypeAlias = np.ndarray[Any, Any]
#: The metric of each of several weightings of the samples, from the weights ``(weightings, samples)``: how often each
#: sample counts, such as the number of times that a bootstrap drew it. NaN where the metric is not defined.
Evaluation: TypeAlias = Callable[[Array], Array]


def of_means(values: Array, combine: Callable[[Array], Array] = lambda means: means[:, 0]) -> Evaluation:
    """Return the evaluation of a metric that is a function of means over the samples.

    Args:
        values: What is averaged, ``(samples, quantities)``.
        combine: From the means ``(weightings, quantities)`` to the metrics.

    Example:
        >>> of_means(np.array([[0.0], [1.0]]))(np.array([[1, 1], [1, 3]])).tolist()
        [0.5, 0.75]
    """
    # Not a product of matrices: with blocks this narrow, threads of BLAS wait for each other.
    return lambda counts: combine(np.einsum("rn,ns->rs", counts, values) / counts.sum(1, keepdims=True))


@dataclass(frozen=True)
class StatisticsMetric:
    """A metric of the statistics of samples.

    Args:
        name: Its name.
        prepare: From the statistics of the truth and of the predictions, ``(samples, ...)`` each, to the evaluation of
            weightings.
        higher_is_better: Whether a higher value is better.
        bounded: Whether it is between 0 and 1.

    Example:
        >>> exact = StatisticsMetric("exact_match", lambda truth, predicted: of_means(predicted[:, :1]))
        >>> exact.prepare(np.zeros((2, 0)), np.array([[1.0], [0.0]]))(np.ones((1, 2))).tolist()
        [0.5]
    """

    name: str
    prepare: Callable[[Array, Array], Evaluation]
    higher_is_better: bool = True
    bounded: bool = True


class StructuredTask:
    """Part of a task whose samples have more than one result each; ``flash baseline`` compares models of it.

    What the statistics are is the task's own decision: its ``statistics_metrics`` read them, and nothing else does.

    Example:
        >>> class Lengths(StructuredTask):
        ...     @classmethod
        ...     def true_statistics(cls, dataset, num_classes=None):
        ...         return np.array([[len(target)] for _, target in dataset])
        >>> Lengths.true_statistics([("a", "xy"), ("b", "xyz")]).tolist()
        [[2], [3]]
    """

    @classmethod
    def statistics_metrics(cls) -> Sequence[StatisticsMetric]:
        """Return the metrics, that which decides a race first."""
        raise NotImplementedError(f"Expected {cls.__name__}.statistics_metrics, by which models are compared.")

    @classmethod
    def statistics_labels(cls, labels: Sequence[str]) -> Sequence[str]:
        """Return the names of the classes that results are counted by: by default those of the data.

        Args:
            labels: The names of the classes of the data, such as the tags of words, which mark entities of fewer kinds.
        """
        return labels

    @classmethod
    def true_statistics(cls, dataset: AutoDataset, num_classes: int | None = None) -> Array:
        """Return the statistics of the targets of each sample, finite numbers ``(samples, ...)``.

        Args:
            dataset: Samples with targets.
            num_classes: The number of classes of the data; ``None`` if there are none.
        """
        raise NotImplementedError(f"Expected {cls.__name__}.true_statistics, the statistics of the targets.")

    def predicted_statistics(self, dataset: AutoDataset, batch_size: int, num_workers: int = 0) -> Array:
        """Predict samples, and return the statistics of each beside its target, finite numbers ``(samples, width)``.

        Args:
            dataset: Samples with targets; the task is bound to their data.
            batch_size: Samples per batch.
            num_workers: The number of worker processes.
        """
        raise NotImplementedError(f"Expected {type(self).__name__}.predicted_statistics, those of its predictions.")

    @classmethod
    def class_counts(cls, truth: Array) -> Array | None:  # noqa: ARG003  # for those who override it
        """Return how many results of each class the targets of each sample have, ``(samples, classes)``.

        Args:
            truth: What :meth:`true_statistics` returned.

        Returns:
            The counts; ``None``, the default, if there are no classes.
        """
        return None

    @classmethod
    def class_scores(
        cls,
        truth: Array,  # noqa: ARG003  # for those who override it
        predicted: Array,  # noqa: ARG003
        labels: Sequence[str],  # noqa: ARG003
    ) -> list[dict[str, Any]]:
        """Return a row for each class: ``"label"``, ``"count"`` (samples that have it), and scores, higher is better.

        Args:
            truth: What :meth:`true_statistics` returned.
            predicted: What :meth:`predicted_statistics` returned.
            labels: The names of the classes.

        Returns:
            The rows, with ``None`` for a score that is not defined; empty, the default, without classes.
        """
        return []

    @classmethod
    def describe_targets(cls, dataset: AutoDataset, rows: Sequence[int], labels: Sequence[str]) -> list[str]:
        """Return the targets of some samples as a person reads them, such as ``"2 cats, 1 dog"`` or an answer.

        Args:
            dataset: Samples with targets.
            rows: The places of the samples.
            labels: The names of the classes; empty if there are none.
        """
        raise NotImplementedError(f"Expected {cls.__name__}.describe_targets, which puts targets into words.")

    def describe_predictions(self, dataset: AutoDataset, rows: Sequence[int], labels: Sequence[str]) -> list[str]:
        """Return the predictions of some samples as a person reads them.

        Args:
            dataset: Samples with targets; the task is bound to their data.
            rows: The places of the samples.
            labels: The names of the classes; empty if there are none.
        """
        raise NotImplementedError(f"Expected {type(self).__name__}.describe_predictions, which puts them into words.")

    def pictures(self, dataset: AutoDataset, rows: Sequence[int]) -> list[Any] | None:
        """Return, for each of some samples, the truth beside the prediction: an array ``(height, width, 3)``, uint8.

        Returns:
            The pictures; ``None``, the default, if a person would rather read what the sample is.
        """
        return None


def counts_metric(name: str, combine: Callable[[Array, Array, Array], Array]) -> StatisticsMetric:
    """Return a metric of numbers of results per class, over all samples together.

    Args:
        name: Its name.
        combine: From the numbers of results of each class that are found, that are true, and that are predicted, each
            ``(weightings, classes)``, to the metric ``(weightings,)``. The numbers are means over the samples.
    """

    def prepare(truth: Array, predicted: Array) -> Evaluation:
        predictions, hits = np.split(predicted, 2, axis=1)
        values = np.concatenate([hits, truth, predictions], axis=1).astype(np.float64)
        return of_means(values, lambda means: combine(*np.split(means, 3, axis=1)))

    return StatisticsMetric(name, prepare)


class CountedTask(StructuredTask):
    """Part of a task that predicts many results of a class each, such as pixels or spans, which are right or wrong.

    The statistics of a sample are how many results of each class are true, ``(samples, classes)``; and how many are
    predicted, followed by how many of these are right, ``(samples, 2 * classes)``. By default models are compared by
    F1 over the results of all classes.
    """

    @classmethod
    def statistics_metrics(cls) -> Sequence[StatisticsMetric]:
        """Return F1 over all results, the mean F1 of the classes that occur, precision and recall."""
        return (
            counts_metric("f1", lambda hits, true, predicted: _share(2 * hits.sum(1), true.sum(1) + predicted.sum(1))),
            counts_metric("f1_macro", lambda hits, true, predicted: mean_over_classes(2 * hits, true + predicted)),
            counts_metric("precision", lambda hits, _, predicted: _share(hits.sum(1), predicted.sum(1))),
            counts_metric("recall", lambda hits, true, _: _share(hits.sum(1), true.sum(1))),
        )

    @classmethod
    def class_counts(cls, truth: Array) -> Array | None:
        """Return the statistics of the targets, which are these counts."""
        return truth

    @classmethod
    def class_scores(cls, truth: Array, predicted: Array, labels: Sequence[str]) -> list[dict[str, Any]]:
        """Return precision, recall and F1 of each class over all results."""
        predictions, hits = np.split(predicted.astype(np.float64), 2, axis=1)
        found = []
        for place, label in enumerate(labels):
            true, guessed, right = (float(each[:, place].sum()) for each in (truth, predictions, hits))
            found.append(
                {
                    "label": label,
                    "count": int((truth[:, place] > 0).sum()),
                    "precision": right / guessed if guessed else None,
                    "recall": right / true if true else None,
                    "f1": 2 * right / (true + guessed) if true + guessed else None,
                }
            )
        return found

    @classmethod
    def describe_targets(cls, dataset: AutoDataset, rows: Sequence[int], labels: Sequence[str]) -> list[str]:
        """Return the names of the classes that the targets of each sample have."""
        some = dataset.subset(rows, dataset.hooks.stage)
        return [_names_of(counts, labels) for counts in cls.true_statistics(some, len(labels))]

    def describe_predictions(self, dataset: AutoDataset, rows: Sequence[int], labels: Sequence[str]) -> list[str]:
        """Return the names of the classes that are predicted for each sample."""
        some = dataset.subset(rows, dataset.hooks.stage)
        predicted, _ = np.split(self.predicted_statistics(some, len(rows)), 2, axis=1)
        return [_names_of(counts, labels) for counts in predicted]


def _names_of(counts: Array, labels: Sequence[str]) -> str:
    return ", ".join(label for label, count in zip(labels, counts, strict=True) if count) or "none"


def mean_over_classes(parts: Array, wholes: Array) -> Array:
    """Return the mean of ``parts / wholes`` over the classes whose whole is not 0, 0 without any; ``(weightings,)``.

    Example:
        >>> mean_over_classes(np.array([[1.0, 0.0, 3.0]]), np.array([[2.0, 0.0, 3.0]])).tolist()
        [0.75]
    """
    values = np.divide(parts, wholes, out=np.zeros_like(parts), where=wholes > 0)
    return np.asarray(values.sum(1) / np.maximum((wholes > 0).sum(1), 1))


def _share(parts: Array, wholes: Array) -> Array:
    return np.asarray(np.divide(parts, wholes, out=np.zeros_like(parts), where=wholes > 0))

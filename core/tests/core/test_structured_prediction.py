"""Structured prediction: what a task says of samples with many results, and metrics of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from flash.core.structured_prediction import Array, CountedTask, StatisticsMetric, StructuredTask, of_means
from flash.data.auto_dataset import AutoDataset
from flash.data.data_module import DataModule

LABELS = ["a", "b", "c"]


def count(letters: str) -> list[int]:
    """Count the letters of a word."""
    return [letters.count(label) for label in LABELS]


class Letters(CountedTask):
    """Finds letters; what it predicts is given."""

    def __init__(self, guesses: Sequence[str] = ()) -> None:
        self.guesses = guesses

    @classmethod
    def true_statistics(cls, dataset: AutoDataset, num_classes: int | None = None) -> Array:
        return np.array([count(dataset[row][1]) for row in range(len(dataset))])

    def predicted_statistics(self, dataset: AutoDataset, batch_size: int, num_workers: int = 0) -> Array:
        rows = []
        for row in range(len(dataset)):
            truth, guess = count(dataset[row][1]), count(self.guesses[row])
            rows.append([*guess, *np.minimum(truth, guess).tolist()])
        return np.array(rows)


def words() -> AutoDataset:
    """Return two words."""
    dataset = DataModule.from_load_data_inputs([("x", "aab"), ("y", "b")]).train_dataset
    assert isinstance(dataset, AutoDataset)
    return dataset


def values(metrics: Sequence[StatisticsMetric], *statistics: Any, weights: Any = ((1, 1),)) -> dict[str, list[float]]:
    """Return the metrics of weightings."""
    return {each.name: each.prepare(*statistics)(np.array(weights)).tolist() for each in metrics}


def test_counts_are_scored_over_all_results_and_by_class() -> None:
    task, dataset = Letters(["abc", "a"]), words()
    truth, predicted = task.true_statistics(dataset, 3), task.predicted_statistics(dataset, 2)
    assert truth.tolist() == [[2, 1, 0], [0, 1, 0]]
    # Four are true, four predicted, two of them right.
    found = values(task.statistics_metrics(), truth, predicted)
    f1_of_a, f1_of_b = 2 * 1 / (2 + 2), 2 * 1 / (2 + 1)
    assert found == {
        "f1": pytest.approx([0.5]),
        "f1_macro": pytest.approx([(f1_of_a + f1_of_b + 0) / 3]),
        "precision": pytest.approx([0.5]),
        "recall": pytest.approx([0.5]),
    }
    rows = task.class_scores(truth, predicted, LABELS)
    assert rows[0] == {"label": "a", "count": 1, "precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert rows[2] == {"label": "c", "count": 0, "precision": 0.0, "recall": None, "f1": 0.0}
    counts = task.class_counts(truth)
    assert counts is not None
    assert counts.tolist() == truth.tolist()


def test_a_weight_is_how_often_a_sample_counts() -> None:
    task, dataset = Letters(["aab", "a"]), words()
    statistics = task.true_statistics(dataset, 3), task.predicted_statistics(dataset, 2)
    found = values(task.statistics_metrics(), *statistics, weights=[(1, 0), (0, 1), (1, 3)])
    assert found["recall"] == pytest.approx([1, 0, 3 / 6])


def test_nothing_to_find_and_nothing_found_is_0_and_no_error() -> None:
    nothing = np.zeros((2, 3)), np.zeros((2, 6))
    assert set(map(tuple, values(Letters.statistics_metrics(), *nothing).values())) == {(0.0,)}
    assert [row["f1"] for row in Letters.class_scores(*nothing, LABELS)] == [None] * 3


def test_targets_and_predictions_are_described_by_their_classes() -> None:
    task, dataset = Letters(["c"]), words()
    assert task.describe_targets(dataset, [1, 0], LABELS) == ["b", "a, b"]
    assert task.describe_predictions(dataset, [0], LABELS) == ["c"]
    assert Letters([""]).describe_predictions(dataset, [0], LABELS) == ["none"]
    assert task.pictures(dataset, [0]) is None


def test_a_mean_of_samples_is_a_metric() -> None:
    metric = StatisticsMetric("score", lambda _, predicted: of_means(predicted), higher_is_better=False, bounded=False)
    assert values([metric], np.zeros((2, 0)), np.array([[1.0], [4.0]]), weights=[(1, 1), (2, 1)]) == {"score": [2.5, 2]}


def test_what_a_structured_task_leaves_open_is_an_error_with_its_name() -> None:
    task, dataset = StructuredTask(), words()
    with pytest.raises(NotImplementedError, match=r"Expected StructuredTask\.statistics_metrics"):
        task.statistics_metrics()
    with pytest.raises(NotImplementedError, match=r"StructuredTask\.true_statistics"):
        task.true_statistics(dataset)
    with pytest.raises(NotImplementedError, match=r"StructuredTask\.predicted_statistics"):
        task.predicted_statistics(dataset, 1)
    with pytest.raises(NotImplementedError, match=r"StructuredTask\.describe_targets"):
        task.describe_targets(dataset, [0], [])
    with pytest.raises(NotImplementedError, match=r"StructuredTask\.describe_predictions"):
        task.describe_predictions(dataset, [0], [])
    assert task.class_counts(np.zeros((1, 1))) is None
    assert task.class_scores(np.zeros((1, 1)), np.zeros((1, 1)), []) == []


def test_results_are_counted_by_the_classes_of_the_data_unless_a_task_says_otherwise() -> None:
    assert StructuredTask.statistics_labels(["cat", "dog"]) == ["cat", "dog"]

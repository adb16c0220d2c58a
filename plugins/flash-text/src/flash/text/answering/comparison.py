"""Comparison of models of question answering, by exact match and F1 of each question, as of SQuAD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flash.core.prediction import PredictedBatch
from flash.core.structured_prediction import Array, StatisticsMetric, of_means
from flash.data.auto_dataset import AutoDataset

from ..comparison import TextComparison
from .answers import describe_answer
from .metrics import answer_scores
from .outputs import texts

__all__ = ["AnswerComparison", "true_answers"]


def true_answers(dataset: AutoDataset) -> list[list[str]]:
    """Return the texts of the true answers to each question; none if it has no answer.

    Args:
        dataset: Samples with targets, tokenized or not.
    """
    samples: list[Any] = [dataset[row] for row in range(len(dataset))]
    return [[answer.text for answer in each[1]] if isinstance(each, tuple) else list(each.answers) for each in samples]


class AnswerComparison(TextComparison):
    """Part of a task that answers questions: models are compared by the mean F1 of words, and exact match."""

    @classmethod
    def statistics_metrics(cls) -> Sequence[StatisticsMetric]:
        """Return F1 and exact match, from 0 to 1."""
        return (
            StatisticsMetric("f1", lambda _, predicted: of_means(predicted[:, :1])),
            StatisticsMetric("exact_match", lambda _, predicted: of_means(predicted[:, 1:])),
        )

    @classmethod
    def true_statistics(
        cls,
        dataset: AutoDataset,
        num_classes: int | None = None,  # noqa: ARG003  # of the contract
    ) -> Array:
        """Return the number of true answers to each question, ``(questions, 1)``."""
        return np.array([[len(answers)] for answers in true_answers(dataset)])

    def predicted_statistics(self, dataset: AutoDataset, batch_size: int, num_workers: int = 0) -> Array:
        """Return F1 and exact match of the best answer to each question, ``(questions, 2)``."""
        return answer_scores(self.results_in(dataset, batch_size, num_workers), true_answers(dataset))

    def results_of(self, batch: PredictedBatch) -> list[str]:
        """Return the texts of the best answers."""
        return texts(batch.output, self, batch.inputs)

    @classmethod
    def describe_targets(
        cls,
        dataset: AutoDataset,
        rows: Sequence[int],
        labels: Sequence[str],  # noqa: ARG003  # of the contract
    ) -> list[str]:
        """Return the first answer to each question."""
        return list(dataset.display_targets(rows) or ())

    def describe_predictions(self, dataset: AutoDataset, rows: Sequence[int], labels: Sequence[str]) -> list[str]:
        """Return the best answer to each question."""
        some = dataset.subset(rows, dataset.hooks.stage)
        return [describe_answer(each) for each in self.results_in(some, len(rows))]

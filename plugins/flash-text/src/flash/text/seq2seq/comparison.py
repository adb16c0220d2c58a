"""Comparison of models that generate texts, by the metrics of their task, from statistics of each text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flash.core.prediction import PredictedBatch
from flash.core.structured_prediction import Array, StatisticsMetric, of_means
from flash.data.auto_dataset import AutoDataset

from ..comparison import TextComparison
from .statistics import bleu_counts, bleu_of, chrf_counts, chrf_of, rouge_values

__all__ = ["GeneratedTexts", "Summaries", "Translations", "target_texts"]


def target_texts(dataset: AutoDataset) -> list[str]:
    """Return the target text of each sample of a dataset that has targets."""
    return list(dataset.display_targets(range(len(dataset))) or ())


class GeneratedTexts(TextComparison):
    """Part of a task that generates texts."""

    @classmethod
    def text_statistics(cls, predicted: Sequence[str], targets: Sequence[str]) -> Array:
        """Return the statistics of each generated text beside its target, ``(texts, width)``.

        Args:
            predicted: The generated texts.
            targets: Their targets.
        """
        raise NotImplementedError(f"Expected {cls.__name__}.text_statistics, by which generated texts are compared.")

    @classmethod
    def true_statistics(
        cls,
        dataset: AutoDataset,
        num_classes: int | None = None,  # noqa: ARG003  # of the contract
    ) -> Array:
        """Return the number of characters of each target, ``(texts, 1)``."""
        return np.array([[len(text)] for text in target_texts(dataset)])

    def predicted_statistics(self, dataset: AutoDataset, batch_size: int, num_workers: int = 0) -> Array:
        """Return the statistics of the text that is generated from each text, ``(texts, width)``."""
        return self.text_statistics(self.results_in(dataset, batch_size, num_workers), target_texts(dataset))

    def results_of(self, batch: PredictedBatch) -> list[str]:
        """Return the generated texts."""
        task: Any = self
        texts: list[str] = task.decode(batch.output)
        return texts

    @classmethod
    def describe_targets(
        cls,
        dataset: AutoDataset,
        rows: Sequence[int],
        labels: Sequence[str],  # noqa: ARG003  # of the contract
    ) -> list[str]:
        """Return the target texts."""
        return target_texts(dataset.subset(rows, dataset.hooks.stage))

    def describe_predictions(self, dataset: AutoDataset, rows: Sequence[int], labels: Sequence[str]) -> list[str]:
        """Return the generated texts."""
        return self.results_in(dataset.subset(rows, dataset.hooks.stage), len(rows))


class Summaries(GeneratedTexts):
    """Part of a task whose texts are compared by ROUGE."""

    @classmethod
    def statistics_metrics(cls) -> Sequence[StatisticsMetric]:
        """Return ROUGE-1, ROUGE-2 and ROUGE-L."""
        return (
            StatisticsMetric("rouge1", lambda _, predicted: of_means(predicted[:, :1])),
            StatisticsMetric("rouge2", lambda _, predicted: of_means(predicted[:, 1:2])),
            StatisticsMetric("rougeL", lambda _, predicted: of_means(predicted[:, 2:])),
        )

    @classmethod
    def text_statistics(cls, predicted: Sequence[str], targets: Sequence[str]) -> Array:
        """Return the three metrics of each text, ``(texts, 3)``."""
        return rouge_values(predicted, targets)


_OF_BLEU = 10


class Translations(GeneratedTexts):
    """Part of a task whose texts are compared by BLEU and chrF, over the n-grams of all texts together."""

    @classmethod
    def statistics_metrics(cls) -> Sequence[StatisticsMetric]:
        """Return chrF and BLEU; chrF decides, since the BLEU of few or bad texts is 0, and that of a text often is."""
        return (
            StatisticsMetric("chrf", lambda _, predicted: of_means(predicted[:, _OF_BLEU:], chrf_of)),
            StatisticsMetric("bleu", lambda _, predicted: of_means(predicted[:, :_OF_BLEU], bleu_of)),
        )

    @classmethod
    def text_statistics(cls, predicted: Sequence[str], targets: Sequence[str]) -> Array:
        """Return what BLEU and chrF count in each text, ``(texts, 28)``."""
        return np.concatenate([bleu_counts(predicted, targets), chrf_counts(predicted, targets)], axis=1)

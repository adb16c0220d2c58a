"""Candidates for the baseline of generated texts, besides the default network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from flash import DataModule, Task
from flash.core.structured_prediction import Array
from flash.data.auto_dataset import AutoDataset

from .comparison import GeneratedTexts, target_texts
from .tasks import SummarizationTask, TranslationTask

__all__ = ["Copy", "Lead", "bart", "copied", "lead"]

_MOST_SENTENCES = 3
# The train samples by which the number of sentences is chosen.
_MOST_LEARNED = 200
_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*|\n+")  # noqa: RUF001  # the marks of Chinese and Japanese


class Copy:
    """Takes each source text for the target.

    Args:
        task: The class of the task, whose statistics of texts count.
    """

    kind = "trivial"

    def __init__(self, task: type[GeneratedTexts]) -> None:
        self.task = task

    def fit(self, data: DataModule) -> Copy:
        """Learn nothing."""
        return self

    def generate(self, source: str) -> str:
        """Return the text for a source text."""
        return source

    def predict(self, dataset: AutoDataset) -> Array:
        """Return the statistics of each text beside its target."""
        return self.task.text_statistics([self.generate(each) for each in _sources(dataset)], target_texts(dataset))

    def describe_predictions(self, dataset: AutoDataset, rows: Sequence[int], labels: Sequence[str]) -> list[str]:
        """Return the texts for some samples."""
        return [self.generate(each) for each in _sources(dataset.subset(rows, dataset.hooks.stage))]


class Lead(Copy):
    """Takes the first sentences for the summary: one to three, the number that is best on the train samples."""

    def __init__(self, task: type[GeneratedTexts]) -> None:
        super().__init__(task)
        self.sentences = 1

    def fit(self, data: DataModule) -> Lead:
        """Choose the number of sentences."""
        dataset = data.train_dataset
        some = dataset.subset(range(min(len(dataset), _MOST_LEARNED)), dataset.hooks.stage)
        first = self.task.statistics_metrics()[0]
        truth = self.task.true_statistics(some)
        scores = {}
        for self.sentences in range(1, _MOST_SENTENCES + 1):
            scores[self.sentences] = float(first.prepare(truth, self.predict(some))(np.ones((1, len(some))))[0])
        self.sentences = max(scores, key=scores.__getitem__)
        return self

    def generate(self, source: str) -> str:
        """Return the first sentences of a text."""
        return " ".join([each for each in _END.split(source) if each.strip()][: self.sentences]).strip()


def _sources(dataset: AutoDataset) -> list[str]:
    shown: list[Any] = dataset.display(range(len(dataset)))
    return shown


def lead(data: DataModule) -> Lead:  # noqa: ARG001  # as the others
    """Return the model that takes the first sentences for the summary."""
    return Lead(SummarizationTask)


def copied(data: DataModule) -> Copy:  # noqa: ARG001  # as the others
    """Return the model that takes each text for its own translation."""
    return Copy(TranslationTask)


def bart(data: DataModule) -> Task:
    """Return a task on BART (1910.13461), pretrained, which is larger than the default."""
    return SummarizationTask.from_data(data, backbone="flash-text/facebook/bart-base")

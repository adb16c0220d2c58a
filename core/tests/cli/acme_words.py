"""A domain for the tests of the command line: words, with the language that they are of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from flash.core.classification import ClassificationTask
from flash.data.samples import SampleData, SamplePreprocess
from flash.plugins import TaskSpec, hookimpl


class WordPreprocess(SamplePreprocess):
    """A word is its length and the number of its vowels.

    Args:
        vowels: The letters that count as vowels.
    """

    noun = "word"

    def __init__(self, vowels: str = "aeiou") -> None:
        self.vowels = vowels

    def load_sample(self, sample: Any, dataset: Any) -> Any:
        word, target = sample
        numbers = torch.tensor([float(len(word)), float(sum(letter in self.vowels for letter in word))])
        return numbers if target is None else (numbers, target)


class WordData(SampleData):
    """Words."""

    preprocess_cls = WordPreprocess


class WordClassifier(ClassificationTask):
    """Classifier of words.

    Args:
        width: The number of hidden units.
        kwargs: As of the base class.
    """

    def __init__(
        self, width: int = 4, num_classes: int | None = None, labels: Sequence[Any] | None = None, **kwargs: Any
    ) -> None:
        count = len(labels or range(num_classes or 2))
        network = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, count))
        super().__init__(num_classes, labels, model=network, **{"learning_rate": 0.1, **kwargs})

    def forward(self, x: Any) -> Any:
        """Return the scores."""
        assert self.model is not None
        return self.model(x)


class Words:
    """The plugin."""

    @hookimpl
    def flash_tasks(self) -> Iterator[TaskSpec]:
        """Yield the task."""
        yield TaskSpec("words/language", f"{__name__}:WordClassifier", f"{__name__}:WordData", summary="Languages.")

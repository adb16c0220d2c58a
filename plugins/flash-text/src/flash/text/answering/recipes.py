"""Candidates for the baseline of question answering, besides the default network."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from flash import DataModule, Task
from flash.core.structured_prediction import Array
from flash.data.auto_dataset import AutoDataset

from ..token_classification.sentences import Sentence
from .answers import describe_answer
from .comparison import true_answers
from .metrics import answer_scores
from .task import QuestionAnsweringTask

__all__ = ["NearWords", "SamePlace", "near_words", "roberta", "same_place"]

# The train samples that the models learn from.
_MOST_LEARNED = 2000
# The words around one of the question that are near it.
_NEAR = 15
_WORD = re.compile(r"\w")


class _Model(ABC):
    """A model that answers questions without a network."""

    def fit(self, data: DataModule) -> _Model:
        """Learn from the first train samples."""
        dataset = data.train_dataset
        some = dataset.subset(range(min(len(dataset), _MOST_LEARNED)), dataset.hooks.stage)
        self.learn(_pairs(some), true_answers(some))
        return self

    @abstractmethod
    def learn(self, pairs: Sequence[tuple[str, str]], answers: Sequence[Sequence[str]]) -> None:
        """Learn from questions with contexts, and their answers."""

    @abstractmethod
    def answer(self, question: str, context: str) -> str:
        """Return the answer to a question; empty if there is none."""

    def predict(self, dataset: AutoDataset) -> Array:
        """Return F1 and exact match of each question, ``(questions, 2)``."""
        return answer_scores([self.answer(*pair) for pair in _pairs(dataset)], true_answers(dataset))

    def describe_predictions(self, dataset: AutoDataset, rows: Sequence[int], labels: Sequence[str]) -> list[str]:
        """Return the answers to some questions, as a person reads them."""
        pairs = _pairs(dataset.subset(rows, dataset.hooks.stage))
        return [describe_answer(self.answer(*pair)) for pair in pairs]


def _pairs(dataset: AutoDataset) -> list[tuple[str, str]]:
    shown: list[Any] = dataset.display(range(len(dataset)))
    return [(question, context) for question, context in (each.values() for each in shown)]


def _part(context: str, words: Sentence, first: int, stop: int) -> str:
    """Return the text from a word to the one before another."""
    return context[words.starts[first] : words.stops[stop - 1]] if first < stop <= len(words) else ""


def _usual_length(answers: Sequence[Sequence[str]]) -> int:
    """Return the median number of words of the first answers."""
    lengths = [len(Sentence.of_text(each[0])) for each in answers if each]
    return max(1, int(np.median(lengths or [1])))


class SamePlace(_Model):
    """Gives the same answer to all questions, whatever they ask: no answer, or the first or the last words.

    It is what has the highest F1 on the train samples.
    """

    kind = "trivial"

    def __init__(self) -> None:
        self._length = 1
        self._side = "first"

    def learn(self, pairs: Sequence[tuple[str, str]], answers: Sequence[Sequence[str]]) -> None:
        """Choose the place."""
        self._length = _usual_length(answers)
        scores = {}
        for self._side in ("first", "last", "none"):
            scores[self._side] = answer_scores([self.answer(*pair) for pair in pairs], answers)[:, 0].mean()
        self._side = max(scores, key=scores.__getitem__)

    def answer(self, question: str, context: str) -> str:
        """Return as many words as answers usually have."""
        if self._side == "none":
            return ""
        words = Sentence.of_text(context)
        count = min(self._length, len(words))
        first = 0 if self._side == "first" else len(words) - count
        return _part(context, words, first, first + count)


class NearWords(_Model):
    """Answers with the words of the context that are nearest to those of the question, which they are not themselves.

    Words count by how rare they are in the train contexts, and by how near they are. An answer has as many words as
    answers usually have. It is like the sliding window of Richardson et al., "MCTest" (2013), which is the first
    baseline of SQuAD.
    """

    def __init__(self) -> None:
        self._length = 1
        self._contexts = 0
        self._found_in: Counter[str] = Counter()

    def learn(self, pairs: Sequence[tuple[str, str]], answers: Sequence[Sequence[str]]) -> None:
        """Count in how many contexts each word is."""
        self._length = _usual_length(answers)
        contexts = {context for _, context in pairs}
        self._contexts = len(contexts)
        self._found_in = Counter(word for each in contexts for word in {*_lowered(Sentence.of_text(each))})

    def answer(self, question: str, context: str) -> str:
        """Return the words with the greatest sum of what is near them."""
        words = Sentence.of_text(context)
        lowered, asked = _lowered(words), {*_lowered(Sentence.of_text(question))}
        rarity = np.array([self._rarity(word) if word in asked else 0.0 for word in lowered])
        distances = np.abs(np.arange(-_NEAR, _NEAR + 1))
        near = np.convolve(rarity, 1 / (1 + distances))[_NEAR : _NEAR + len(words)]
        may_answer = np.array([word not in asked and bool(_WORD.search(word)) for word in lowered], dtype=bool)
        values = np.where(may_answer, near, 0.0)
        count = min(self._length, len(words))
        first = int(np.convolve(values, np.ones(count), mode="valid").argmax()) if count else 0
        inside = np.flatnonzero(may_answer[first : first + count]) + first
        return _part(context, words, int(inside[0]), int(inside[-1]) + 1) if len(inside) else ""

    def _rarity(self, word: str) -> float:
        return float(np.log(1 + self._contexts / (1 + self._found_in[word])))


def _lowered(words: Sentence) -> list[str]:
    return [word.casefold() for word in words.words]


def same_place(data: DataModule) -> SamePlace:  # noqa: ARG001  # as the others
    """Return the model that answers with the same place of each context."""
    return SamePlace()


def near_words(data: DataModule) -> NearWords:  # noqa: ARG001  # as the others
    """Return the model of the words that are nearest to those of the question."""
    return NearWords()


def roberta(data: DataModule) -> Task:
    """Return a task on RoBERTa (1907.11692), which is larger and better than the default."""
    return QuestionAnsweringTask.from_data(data, backbone="flash-text/roberta-base")

"""Candidates for the baseline of entities, besides the default network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Sequence

from flash import DataModule, Task
from flash.core.structured_prediction import Array
from flash.data.auto_dataset import AutoDataset

from .classifier import TokenClassifier
from .counting import entity_counts, tagged_sentences
from .sentences import Sentence
from .tags import OUTSIDE, Entity, describe_entities, entities_of, kinds_of

__all__ = ["EveryWord", "UsualTags", "every_word", "roberta", "usual_tags"]


class _Model(ABC):
    """A model that finds entities without a network."""

    kinds: Sequence[str] = ()

    def fit(self, data: DataModule) -> _Model:
        """Learn from the train texts."""
        self.kinds = kinds_of(data.labels or ())
        self.learn([(sentence.words, tags) for sentence, tags in tagged_sentences(data.train_dataset)])
        return self

    @abstractmethod
    def learn(self, rows: Sequence[tuple[list[str], list[str]]]) -> None:
        """Learn from words with their tags."""

    @abstractmethod
    def entities(self, words: Sequence[str]) -> list[Entity]:
        """Return the entities of a text."""

    def predict(self, dataset: AutoDataset) -> Array:
        """Return the counts of :func:`flash.text.token_classification.counting.entity_counts`."""
        rows = tagged_sentences(dataset)
        true = [entities_of(tags) for _, tags in rows]
        return entity_counts(true, [self.entities(sentence.words) for sentence, _ in rows], self.kinds)

    def describe_predictions(self, dataset: AutoDataset, rows: Sequence[int], labels: Sequence[str]) -> list[str]:
        """Return the entities that are predicted for some texts, as a person reads them."""
        sentences: list[Sentence] = [each for each, _ in tagged_sentences(dataset.subset(rows, dataset.hooks.stage))]
        return [describe_entities(each, self.entities(each.words)) or "none" for each in sentences]


class EveryWord(_Model):
    """Takes every word for an entity of the label that most entities of one word have.

    Of all models with one answer for every word it has the highest F1; without any entity F1 is 0.
    """

    kind = "trivial"

    def __init__(self) -> None:
        self._label = ""

    def learn(self, rows: Sequence[tuple[list[str], list[str]]]) -> None:
        """Count the entities of one word."""
        found = [each for _, tags in rows for each in entities_of(tags)]
        short = [each.label for each in found if each.stop - each.start == 1]
        self._label = Counter(short or [each.label for each in found]).most_common(1)[0][0]

    def entities(self, words: Sequence[str]) -> list[Entity]:
        """Return one entity per word."""
        return [Entity(self._label, place, place + 1) for place in range(len(words))]


class UsualTags(_Model):
    """Gives each word the tag that it has most often in the train texts; words that are not there have ``O``."""

    def __init__(self) -> None:
        self._tags: dict[str, str] = {}

    def learn(self, rows: Sequence[tuple[list[str], list[str]]]) -> None:
        """Count the tags of each word."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for words, tags in rows:
            for word, tag in zip(words, tags, strict=True):
                counts[word][tag] += 1
        self._tags = {word: each.most_common(1)[0][0] for word, each in counts.items()}

    def entities(self, words: Sequence[str]) -> list[Entity]:
        """Return the entities that the tags of the words mark."""
        return entities_of([self._tags.get(word, OUTSIDE) for word in words])


def every_word(data: DataModule) -> EveryWord:  # noqa: ARG001  # as the others
    """Return the model that takes every word for an entity of one label."""
    return EveryWord()


def usual_tags(data: DataModule) -> UsualTags:  # noqa: ARG001  # as the others
    """Return the model of the most frequent tag of each word."""
    return UsualTags()


def roberta(data: DataModule) -> Task:
    """Return a task on RoBERTa (1907.11692), which is larger and better than the default."""
    return TokenClassifier.from_data(data, backbone="flash-text/roberta-base")

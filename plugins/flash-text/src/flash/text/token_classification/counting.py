"""Numbers of entities of each kind, by which models of token classification are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from flash.core.prediction import PredictedBatch
from flash.core.structured_prediction import Array, CountedTask
from flash.data.auto_dataset import AutoDataset

from ..comparison import TextComparison
from .sentences import Sentence
from .tags import Entity, describe_entities, entities_of, kinds_of

__all__ = ["EntityCounting", "entity_counts", "tagged_sentences"]


def tagged_sentences(dataset: AutoDataset) -> list[tuple[Sentence, list[str]]]:
    """Return the sentences of a dataset, with the tags of their words.

    Args:
        dataset: Samples with targets, tokenized or not.
    """
    targets: Any = dataset.hooks.preprocess.targets  # type: ignore[attr-defined]  # TagLabels
    found = []
    for row in range(len(dataset)):
        sample: Any = dataset[row]
        sentence, tags = sample if isinstance(sample, tuple) else (sample.sentence, sample.tags)
        found.append((sentence, [targets.labels[tag] for tag in tags]))
    return found


def entity_counts(
    true: Sequence[Sequence[Entity]], predicted: Sequence[Sequence[Entity]], kinds: Sequence[str]
) -> Array:
    """Return how many entities of each kind are predicted in each text, then how many rightly, ``(texts, 2 * kinds)``.

    An entity is right if its label, its first word and its last word are those of a true one.

    Args:
        true: The true entities of each text.
        predicted: The predicted ones.
        kinds: The labels of entities.

    Example:
        >>> true = [[Entity("PER", 0, 2), Entity("LOC", 4, 5)]]
        >>> entity_counts(true, [[Entity("PER", 0, 2), Entity("LOC", 3, 5)]], ["LOC", "PER"]).tolist()
        [[1, 1, 0, 1]]
    """
    right = [[each for each in guesses if each in entities] for entities, guesses in zip(true, predicted, strict=True)]
    return np.concatenate([_per_kind(predicted, kinds), _per_kind(right, kinds)], axis=1)


def _per_kind(texts: Sequence[Sequence[Entity]], kinds: Sequence[str]) -> Array:
    counts = [Counter(entity.label for entity in entities) for entities in texts]
    return np.array([[each[kind] for kind in kinds] for each in counts], dtype=np.int64).reshape(len(texts), len(kinds))


class EntityCounting(TextComparison, CountedTask):
    """Part of a task that finds entities: models are compared by F1 over whole entities, as of CoNLL and seqeval."""

    labels: list[str]

    @classmethod
    def statistics_labels(cls, labels: Sequence[str]) -> Sequence[str]:
        """Return the labels of entities that tags mark.

        Args:
            labels: The tags.
        """
        return kinds_of(labels)

    @classmethod
    def true_statistics(
        cls,
        dataset: AutoDataset,
        num_classes: int | None = None,  # noqa: ARG003  # of the contract
    ) -> Array:
        """Return the number of entities of each label in each text, ``(texts, labels)``."""
        targets: Any = dataset.hooks.preprocess.targets  # type: ignore[attr-defined]  # TagLabels
        return _per_kind([entities_of(tags) for _, tags in tagged_sentences(dataset)], kinds_of(targets.labels))

    def predicted_statistics(self, dataset: AutoDataset, batch_size: int, num_workers: int = 0) -> Array:
        """Return how many entities of each label are predicted, then how many rightly, ``(texts, 2 * labels)``."""
        true = [entities_of(tags) for _, tags in tagged_sentences(dataset)]
        return entity_counts(true, self.results_in(dataset, batch_size, num_workers), kinds_of(self.labels))

    def results_of(self, batch: PredictedBatch) -> list[list[Entity]]:
        """Return the entities of each text."""
        return [entities_of([self.labels[tag] for tag in logits.argmax(-1).tolist()]) for logits in batch.output]

    @classmethod
    def describe_targets(
        cls,
        dataset: AutoDataset,
        rows: Sequence[int],
        labels: Sequence[str],  # noqa: ARG003  # of the contract
    ) -> list[str]:
        """Return the entities of each text, such as ``"Ada (PER), London (LOC)"``."""
        return [each or "none" for each in dataset.display_targets(rows) or ()]

    def describe_predictions(self, dataset: AutoDataset, rows: Sequence[int], labels: Sequence[str]) -> list[str]:
        """Return the entities that are predicted for each text."""
        some = dataset.subset(rows, dataset.hooks.stage)
        sentences = [sentence for sentence, _ in tagged_sentences(some)]
        entities = self.results_in(some, len(rows))
        return [describe_entities(*pair) or "none" for pair in zip(sentences, entities, strict=True)]

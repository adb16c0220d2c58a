"""Metrics of tags: the F1 of entities, as of the shared tasks of CoNLL, and the accuracy of tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from flash.errors import ConfigurationError

__all__ = ["IGNORED", "EntityScore", "TagAccuracy", "tag_metrics"]

#: In the targets: the end of a sentence, which is no word.
IGNORED = -100


class EntityScore(Metric):
    """F1, precision or recall of entities, over all labels (micro average).

    A predicted entity is right if its label, its first word and its last word are those of a true one. Values are those
    of seqeval, and of the script ``conlleval`` of CoNLL.

    Args:
        labels: The tags of the scheme ``"bio"`` in the order of their indices.
        score: ``"f1"``, ``"precision"`` or ``"recall"``.

    Example:
        >>> metric = EntityScore(["O", "B-PER", "I-PER"])
        >>> # Two sentences, with -100 behind each: of three entities one is found whole, and one by half.
        >>> true = torch.tensor([1, 2, 0, 1, IGNORED, 1, 2, IGNORED])
        >>> metric.update(torch.tensor([1, 2, 0, 0, 0, 1, 0, 0]), true)
        >>> round(float(metric.compute()), 2)
        0.4
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    right: Tensor
    predicted: Tensor
    true: Tensor

    def __init__(
        self, labels: Sequence[str], score: Literal["f1", "precision", "recall"] = "f1", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if score not in ("f1", "precision", "recall"):
            raise ConfigurationError(f"Expected score to be 'f1', 'precision' or 'recall', but got {score!r}.")
        self.score = score
        for name in ("right", "predicted", "true"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")
        kinds = {label: number for number, label in enumerate(sorted({tag[2:] for tag in labels if tag != "O"}))}
        self.register_buffer("_kinds", torch.tensor([kinds.get(tag[2:], -1) for tag in labels]), persistent=False)
        self.register_buffer("_is_first", torch.tensor([tag.startswith("B-") for tag in labels]), persistent=False)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add sentences.

        Args:
            preds: The predicted tag of each word, shape ``(words,)``, of all sentences one after the other.
            target: The true tags, with -100 at a place behind each sentence, which ``preds`` has too.
        """
        ends = target == IGNORED
        starts, stops, kinds = self._entities(preds, ends)
        true_starts, true_stops, true_kinds = self._entities(target, ends)
        self.right += (starts & true_starts & (kinds == true_kinds) & (stops == true_stops)).sum()
        self.predicted += starts.sum()
        self.true += true_starts.sum()

    def _entities(self, tags: Tensor, ends: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return for each word whether it begins an entity, the last word of its entity, and its label."""
        inside: Any = ~ends
        tags = torch.where(inside, tags, 0)
        all_kinds: Any = self._kinds
        begins: Any = self._is_first
        kinds = torch.where(inside, all_kinds[tags], -1)
        before = torch.cat([kinds.new_full((1,), -1), kinds[:-1]])
        starts = (kinds >= 0) & (begins[tags] | (kinds != before))
        goes_on = torch.cat([(kinds[1:] == kinds[:-1]) & ~starts[1:], starts.new_zeros(1)])
        places = torch.arange(len(tags), device=tags.device)
        # The next place where something ends, found from behind.
        stops = torch.where(goes_on, len(tags), places).flip(0).cummin(0).values.flip(0)
        return starts, stops, kinds

    def compute(self) -> Tensor:
        """Return the score; 0 if there are no entities."""
        total = {"f1": (self.true + self.predicted) / 2, "precision": self.predicted, "recall": self.true}[self.score]
        return self.right / total.float().clamp(min=0.5)


class TagAccuracy(Metric):
    """The fraction of words whose tag is right.

    Example:
        >>> metric = TagAccuracy()
        >>> metric.update(torch.tensor([0, 1, 1, 0]), torch.tensor([0, 1, 2, IGNORED]))
        >>> round(float(metric.compute()), 2)
        0.67
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    right: Tensor
    total: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("right", "total"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add sentences; the arguments are those of :meth:`EntityScore.update`."""
        self.right += (preds == target).sum()
        self.total += (target != IGNORED).sum()

    def compute(self) -> Tensor:
        """Return the accuracy."""
        return self.right / self.total.clamp(min=1)


def tag_metrics(labels: Sequence[str]) -> dict[str, Metric]:
    """Return the F1, precision and recall of entities, and the accuracy of tags, by name.

    Example:
        >>> list(tag_metrics(["O", "B-PER", "I-PER"]))
        ['f1', 'precision', 'recall', 'accuracy']
    """
    scores: dict[str, Metric] = {
        "f1": EntityScore(labels),
        "precision": EntityScore(labels, "precision"),
        "recall": EntityScore(labels, "recall"),
    }
    return {**scores, "accuracy": TagAccuracy()}

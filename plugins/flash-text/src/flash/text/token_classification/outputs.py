"""The outputs of token classification: entities as spans of the text, and the tags of the words."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from flash.core.registry import ComponentRegistry

from ..encoder import entities_of, valid_tags

__all__ = ["entities", "tag_outputs", "tags"]

#: The outputs of token classification, by name.
tag_outputs = ComponentRegistry("output", "outputs", "text/token_classification")


def tags(predictions: list[Tensor], task: Any) -> list[list[str]]:
    """Return the tag of each word of each text; an ``I-`` that goes on with nothing is a ``B-``."""
    return [valid_tags([task.labels[index] for index in scores.argmax(-1).tolist()]) for scores in predictions]


def entities(predictions: list[Tensor], task: Any, inputs: Any) -> list[list[dict[str, Any]]]:
    """Return the entities of each text in their order: dicts of ``text``, ``label``, ``start``, ``end`` and ``score``.

    ``start`` and ``end`` are places of characters in the text; in that of words that are joined by spaces, if words
    were passed. ``score`` is the mean probability of the tags of its words.
    """
    found = []
    for scores, sentence in zip(predictions, inputs["sentences"], strict=True):
        best = scores.float().softmax(-1).max(-1)
        probabilities = best.values.tolist()
        found.append(
            [
                {
                    "text": sentence.text[sentence.starts[first] : sentence.stops[stop - 1]],
                    "label": label,
                    "start": sentence.starts[first],
                    "end": sentence.stops[stop - 1],
                    "score": sum(probabilities[first:stop]) / (stop - first),
                }
                for label, first, stop in entities_of([task.labels[index] for index in best.indices.tolist()])
            ]
        )
    return found

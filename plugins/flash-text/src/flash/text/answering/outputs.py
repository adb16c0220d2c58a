"""The outputs of question answering: the best answer as a span of the context, its text, or the best few."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from flash.core.registry import ComponentRegistry

from .samples import Passage

__all__ = ["answer_outputs", "answers", "best_answers", "n_best", "texts"]

#: The outputs of question answering, by name.
answer_outputs = ComponentRegistry("output", "outputs", "text/question_answering")

# Starts and ends of a window that are combined to spans.
_PLACES = 20


def answers(predictions: list[Tensor], task: Any, inputs: Any) -> list[dict[str, Any]]:
    """Return the best answer to each question: a dict of ``text``, ``start``, ``end`` and ``score``.

    ``start`` and ``end`` are places of characters in the context. ``score`` is its probability among the best answers.
    Without an answer, ``text`` is empty and both places are 0.
    """
    return [found[0] for found in n_best(predictions, task, inputs)]


def texts(predictions: list[Tensor], task: Any, inputs: Any) -> list[str]:
    """Return the text of the best answer to each question; empty if there is none."""
    return [found[0]["text"] for found in n_best(predictions, task, inputs)]


def n_best(predictions: list[Tensor], task: Any, inputs: Any) -> list[list[dict[str, Any]]]:
    """Return the best answers to each question, ``task.n_best`` at most, the best one first."""
    return [
        best_answers(logits, passage, task.n_best, task.max_answer_length, task.unanswerable)
        for logits, passage in zip(predictions, inputs["passages"], strict=True)
    ]


def best_answers(
    logits: Tensor, passage: Passage, count: int, longest: int, unanswerable: bool
) -> list[dict[str, Any]]:
    """Return the best answers to a question.

    Args:
        logits: The logits of the start and the end of the answer for the tokens of all windows, shape ``(tokens, 2)``.
        passage: The places of the tokens.
        count: The number of answers.
        longest: The maximum number of tokens of an answer.
        unanswerable: Whether there may be no answer.
    """
    spans: dict[tuple[int, int], float] = {}
    nothing = math.inf
    scores = logits.float().cpu()
    for length, first, offsets in zip(passage.lengths, passage.firsts, passage.offsets, strict=True):
        window, scores = scores[:length], scores[length:]
        nothing = min(nothing, float(window[0].sum()))
        own = window[first : first + len(offsets)]
        most = min(max(_PLACES, count), len(own))
        starts, ends = (own[:, side].topk(most).indices.tolist() for side in (0, 1))
        for start in starts:
            for end in ends:
                if start <= end < start + longest and offsets[end, 1] > offsets[start, 0]:
                    place = int(offsets[start, 0]), int(offsets[end, 1])
                    score = float(own[start, 0] + own[end, 1])
                    spans[place] = max(score, spans.get(place, -math.inf))
    if unanswerable or not spans:
        spans[0, 0] = nothing
    best = sorted(spans.items(), key=lambda each: -each[1])[:count]
    weights = [math.exp(score - best[0][1]) for _, score in best]
    found = []
    for ((start, end), _), weight in zip(best, weights, strict=True):
        text = passage.context[start:end]
        start += len(text) - len(text.lstrip())
        text = text.strip()
        found.append({"text": text, "start": start, "end": start + len(text), "score": weight / sum(weights)})
    return found

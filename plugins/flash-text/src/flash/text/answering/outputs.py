"""The outputs of question answering: the best answer as a span of the context, its text, or the best few."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from flash.core.registry import ComponentRegistry

from ..encoder import best_spans
from .samples import Passage

__all__ = ["answer_outputs", "answers", "best_answers", "n_best", "texts"]

#: The outputs of question answering, by name.
answer_outputs = ComponentRegistry("output", "outputs", "text/question_answering")


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
    parts = np.split(logits.float().cpu().numpy(), np.cumsum(passage.lengths)[:-1])
    windows = list(zip(parts, passage.firsts, passage.offsets, strict=True))
    return best_spans(windows, passage.context, count, longest, unanswerable)

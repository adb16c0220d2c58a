"""Metrics of answers: exact match and F1, as of SQuAD, from torchmetrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.text import SQuAD

from flash.core.structured_prediction import Array

__all__ = ["AnswerScore", "answer_metrics", "answer_scores"]


class AnswerScore(SQuAD):
    """Exact match, or the F1 of words, of answers, without articles, punctuation and case; from 0 to 1.

    Of several true answers, the best one counts. Source: Rajpurkar et al., SQuAD (2016), through torchmetrics.

    Args:
        score: ``"exact_match"`` or ``"f1"``.

    Example:
        >>> metric = AnswerScore("f1")
        >>> metric.update(["the Tower of London", ""], [["Tower"], []])
        >>> round(float(metric.compute()), 2)
        0.75
    """

    higher_is_better = True

    def __init__(self, score: Literal["exact_match", "f1"]) -> None:
        super().__init__()
        self.score = score

    def update(self, preds: Sequence[str], target: Sequence[Sequence[str]]) -> None:  # type: ignore[override]  # texts
        """Add predicted texts, each with the texts of its true answers; of none, no answer is right."""
        super().update(
            [{"prediction_text": text, "id": str(row)} for row, text in enumerate(preds)],
            [
                {"answers": {"text": list(texts) or [""], "answer_start": [0] * max(1, len(texts))}, "id": str(row)}
                for row, texts in enumerate(target)
            ],
        )

    def compute(self) -> Tensor:  # type: ignore[override]  # a single value, in place of a dict
        """Return the mean over all questions."""
        return super().compute()[self.score] / 100


def answer_metrics() -> dict[str, Metric]:
    """Return exact match and F1 by name.

    Example:
        >>> list(answer_metrics())
        ['exact_match', 'f1']
    """
    return {"exact_match": AnswerScore("exact_match"), "f1": AnswerScore("f1")}


def answer_scores(texts: Sequence[str], answers: Sequence[Sequence[str]]) -> Array:
    """Return F1 and exact match of each answer, ``(questions, 2)``, whose means are the metrics.

    Args:
        texts: The predicted answers.
        answers: The true answers to each question.

    Example:
        >>> answer_scores(["the Tower of London", ""], [["Tower"], []]).tolist()
        [[0.5, 0.0], [1.0, 1.0]]
    """
    metric, rows = AnswerScore("f1"), []
    for text, true in zip(texts, answers, strict=True):
        metric.reset()
        metric.update([text], [true])
        rows.append([float(metric.f1_score), float(metric.exact_match)])
    return np.array(rows).reshape(len(rows), 2)

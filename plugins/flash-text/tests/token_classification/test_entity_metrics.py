"""Metrics of entities: the numbers are those of seqeval, in any order of batches."""

from __future__ import annotations

import random
import warnings

import pytest
import torch

from flash.core.metrics import StageMetrics
from flash.errors import ConfigurationError
from flash.text.token_classification.metrics import IGNORED, EntityScore, TagAccuracy, tag_metrics

LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


def flat(rows: list[list[int]], end: int) -> torch.Tensor:
    return torch.tensor([index for row in rows for index in [*row, end]], dtype=torch.long)


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_seqeval_on_random_sequences(seed: int) -> None:
    metrics = pytest.importorskip("seqeval.metrics", reason="seqeval is not here")
    draw = random.Random(seed)
    true = [draw.choices(range(5), weights=[4, 1, 1, 1, 1], k=draw.randint(0, 12)) for _ in range(60)]
    predicted = [[index if draw.random() < 0.7 else draw.randrange(5) for index in row] for row in true]
    made = StageMetrics(tag_metrics(LABELS))
    for start in range(0, 60, 7):
        rows = slice(start, start + 7)
        made.update(None, flat(predicted[rows], draw.randrange(5)), flat(true[rows], IGNORED), rows=7)
    found = {name: float(value) for name, value in made.compute().items()}
    words = [[[LABELS[index] for index in row] for row in rows if row] for rows in (true, predicted)]
    expected = {
        "f1": metrics.f1_score(*words),
        "precision": metrics.precision_score(*words),
        "recall": metrics.recall_score(*words),
        "accuracy": metrics.accuracy_score(*words),
    }
    assert found == pytest.approx(expected)
    assert 0.2 < found["f1"] < 0.9


def test_an_entity_of_half_its_words_or_another_label_is_wrong() -> None:
    true = [[1, 2, 0, 3, 4]]
    for predicted, right in (([[1, 2, 0, 3, 4]], 2), ([[1, 0, 0, 3, 4]], 1), ([[3, 4, 0, 0, 3]], 0), ([[0] * 5], 0)):
        metric = EntityScore(LABELS, "recall")
        metric.update(flat(predicted, 0), flat(true, IGNORED))
        assert float(metric.compute()) == right / 2


def test_an_entity_does_not_go_on_in_the_next_sentence() -> None:
    metric = EntityScore(LABELS, "precision")
    metric.update(flat([[3], [4]], 0), flat([[3], [4]], IGNORED))
    assert (int(metric.right), int(metric.predicted), float(metric.compute())) == (2, 2, 1.0)


def test_no_entities_and_no_words_have_scores_of_zero() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [float(EntityScore(LABELS, score).compute()) for score in ("f1", "precision", "recall")] == [0.0] * 3
        assert float(TagAccuracy().compute()) == 0


def test_there_is_no_other_score() -> None:
    with pytest.raises(ConfigurationError, match="Expected score to be 'f1', 'precision' or 'recall', but got 'f2'"):
        EntityScore(LABELS, "f2")  # type: ignore[arg-type]  # the mistake

"""The share of vectors whose nearest neighbor has the same class."""

from __future__ import annotations

import pytest
import torch

from flash.image import metrics
from flash.image.metrics import NearestNeighborAccuracy


def by_hand(vectors: torch.Tensor, targets: torch.Tensor) -> float:
    right = 0
    for row, vector in enumerate(vectors):
        similarity = torch.nn.functional.cosine_similarity(vectors, vector[None])
        similarity[row] = -2
        right += int(targets[similarity.argmax()] == targets[row])
    return right / len(vectors)


@pytest.mark.parametrize("at_once", [1, 70, 2**24])
def test_it_is_what_a_loop_finds_however_many_are_compared_at_once(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(metrics, "_MAX_SIMILARITIES", at_once)
    vectors, targets = torch.randn(30, 4), torch.arange(30) % 3
    metric = NearestNeighborAccuracy()
    for rows in torch.split(torch.arange(30), 7):
        metric.update(vectors[rows], targets[rows])
    assert float(metric.compute()) == pytest.approx(by_hand(vectors, targets))


def test_only_the_last_ones_count_where_there_are_too_many() -> None:
    vectors, targets = torch.randn(30, 4), torch.arange(30) % 3
    metric = NearestNeighborAccuracy(max_vectors=10)
    metric.update(vectors, targets)
    assert float(metric.compute()) == pytest.approx(by_hand(vectors[-10:], targets[-10:]))


def test_a_single_vector_has_no_neighbor() -> None:
    metric = NearestNeighborAccuracy()
    metric.update(torch.randn(1, 4), torch.tensor([0]))
    assert metric.compute().isnan()

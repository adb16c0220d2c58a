"""Summaries of columns that are read part by part: exact as long as they can be, and within their errors beyond."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from flash.tabular import summaries as module
from flash.tabular.summaries import DistinctNumbers, Moments, TextCounts, mean_and_std


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e12, 1e307])
@pytest.mark.parametrize("shift", [0.0, 1.0, 1e6])
def test_moments_of_parts_are_those_of_the_whole(scale: float, shift: float) -> None:
    values = (np.random.default_rng(0).normal(size=1000) + shift) * (scale if shift < 2 else min(scale, 1e12))
    moments = Moments()
    for part in np.split(values, [1, 5, 700, 700]):
        moments.add(part)
    assert moments.count == 1000
    assert (moments.least, moments.greatest) == (values.min(), values.max())
    assert moments.mean_and_std() == pytest.approx(mean_and_std(values), rel=1e-9)


def test_moments_of_one_part_are_exactly_those_of_the_whole() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    moments = Moments()
    moments.add(np.empty(0))
    moments.add(values)
    assert moments.mean_and_std() == mean_and_std(values)


def test_few_different_numbers_are_all_kept() -> None:
    numbers = DistinctNumbers(most=10)
    for part in ([0.0, -0.0, 1.0] * 20, [2.0], [], [1.0, 3.0]):
        numbers.add(np.array(part))
    assert sorted(numbers.values) == [0.0, 1.0, 2.0, 3.0]


def test_quantiles_of_many_different_numbers_are_within_their_error() -> None:
    values = np.random.default_rng(0).gamma(2.0, size=200_000)
    numbers = DistinctNumbers(most=4096)
    for part in np.array_split(np.sort(values), 10):  # in any order of the rows
        numbers.add(part)
    assert len(numbers.values) == 4096
    for share in (0.01, 0.25, 0.5, 0.9):
        rank = (values <= np.quantile(numbers.values, share)).mean()
        assert abs(rank - share) < 4 * math.sqrt(share * (1 - share) / 4096)


def test_the_numbers_that_are_kept_depend_on_no_order() -> None:
    values = np.random.default_rng(0).normal(size=5000)
    first, other = DistinctNumbers(most=100), DistinctNumbers(most=100)
    for part in np.array_split(values, 3):
        first.add(part)
    for part in np.array_split(values[::-1], 7):
        other.add(part)
    np.testing.assert_array_equal(first.values, other.values)


def test_frequent_texts_are_found_among_more_than_are_kept() -> None:
    random = np.random.default_rng(0)
    rare = [f"rare {number}" for number in range(20_000)]
    texts = np.array(rare + ["often"] * 900 + ["always"] * 3000)
    counts = TextCounts(most=500)
    for part in np.array_split(random.permutation(texts), 20):
        counts.add(pd.Series(part, dtype=object))
    assert not counts.is_exact
    assert {"always", "often"} <= set(counts.most_common(50))
    assert counts.distinct == 20_002  # as many hashes are kept


def test_the_number_of_very_many_texts_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_NUMBERS", 1000)
    counts = TextCounts(most=500)
    for start in range(0, 30_000, 3000):
        counts.add(pd.Series([f"key {number}" for number in range(start, start + 3000)]))
    assert counts.distinct == pytest.approx(30_000, rel=4 / math.sqrt(1000))


def test_few_texts_are_counted_exactly() -> None:
    counts = TextCounts(most=3)
    for part in (["a", "b", None], ["b", "c"]):
        counts.add(pd.Series(part, dtype=object))
    assert (counts.distinct, counts.is_exact, counts.is_text) == (3, True, True)
    assert counts.most_common(1) == ["b"]
    counts.add(pd.Series([1, 2]))
    assert not counts.is_text

"""The rows of a large table that are kept, in one bit per row."""

from __future__ import annotations

import numpy as np
import pytest

from flash.data.auto_dataset import SourceRows
from flash.data.kept_rows import KeptRows
from flash.data.stage import Stage


@pytest.fixture
def flags() -> np.ndarray:
    """More rows than are looked up together, of which about a third are kept."""
    return np.random.default_rng(0).random(150_001) < 0.3


def test_numbers_of_kept_rows_are_those_of_a_list(flags: np.ndarray) -> None:
    kept, expected = KeptRows(flags), np.flatnonzero(flags)
    assert len(kept) == len(expected)
    places = [0, 1, 7, 19_999, 20_000, len(expected) // 2, len(expected) - 1, -1, -len(expected)]
    assert [kept[place] for place in places] == expected[places].tolist()
    assert kept[10:20] == expected[10:20].tolist()


def test_no_chunk_without_a_kept_row_disturbs_the_numbers() -> None:
    flags = np.zeros(300_000, dtype=bool)
    flags[[3, 280_000]] = True
    assert list(KeptRows(flags)) == [3, 280_000]
    assert list(KeptRows(np.zeros(5, dtype=bool))) == []


@pytest.mark.parametrize(("start", "stop"), [(0, 150_001), (5, 6), (65_530, 65_541), (149_995, 150_001), (9, 9)])
def test_flags_of_a_part_are_those_of_the_whole(start: int, stop: int, flags: np.ndarray) -> None:
    np.testing.assert_array_equal(KeptRows(flags).flags(start, stop), flags[start:stop])


def test_a_row_that_is_not_there_is_an_error() -> None:
    kept = KeptRows(np.array([True, False]))
    with pytest.raises(IndexError, match="There are 1 rows, but no row 1"):
        kept[1]


def test_rows_that_are_kept_of_kept_rows_have_the_numbers_of_the_whole(flags: np.ndarray) -> None:
    first = KeptRows(flags)
    second = KeptRows(np.arange(len(first)) % 3 == 0)
    taken = SourceRows(Stage.TRAIN, first).take(second)
    assert list(taken.rows) == np.flatnonzero(flags)[::3].tolist()

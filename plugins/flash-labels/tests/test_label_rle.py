"""Brush strokes: the run-length code of Label Studio, against codes of another implementation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flash.errors import DataError
from flash.labels.rle import decode_mask, encode_mask

# Written by label-studio-brush-rle-rs 0.1.
_SMALL = [0, 0, 0, 24, 57, 27, 252, 96, 19, 255, 206, 1, 31, 248]
_LARGER = [
    *(0, 0, 0, 140, 57, 27, 252, 127, 246, 192, 48, 223, 252, 96, 17, 255, 198, 1, 31, 252, 96, 19, 255, 223, 0, 183),
    *(255, 24, 6, 19, 255, 156, 2, 127, 240),
]
_LARGER_MASK = [
    [1, 0, 0, 0, 1, 1, 1],
    [1, 1, 1, 1, 0, 1, 0],
    [1, 0, 1, 1, 0, 0, 0],
    [0, 1, 1, 1, 0, 1, 1],
    [1, 1, 1, 0, 0, 1, 1],
]
# Three pixels whose values all differ, 95 79 107 123 ...: a run of values.
_LITERAL = [
    *(0, 0, 0, 12, 57, 27, 248, 11, 224, 39, 128, 214, 3, 216, 22, 224, 113, 0, 36, 7, 112, 16, 224, 45, 129, 86, 4),
    136,
]


@pytest.mark.parametrize(
    ("code", "mask"), [(_SMALL, [[0, 1, 1], [0, 0, 1]]), (_LARGER, _LARGER_MASK), (_LITERAL, [[1, 1, 1]])]
)
def test_codes_of_another_implementation_are_read(code: list[int], mask: list[list[int]]) -> None:
    assert decode_mask(code, (len(mask[0]), len(mask))).astype(int).tolist() == mask


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (64, 80), (3, 40000)])
@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 1.0])
def test_a_mask_that_is_written_is_read_as_the_same(shape: tuple[int, int], density: float) -> None:
    mask = np.random.default_rng(0).random(shape) < density
    code = encode_mask(mask)
    assert all(0 <= each < 256 for each in code)
    assert np.array_equal(decode_mask(code, (shape[1], shape[0])), mask)


@pytest.mark.parametrize(
    "code",
    [
        _SMALL[:-3],
        _SMALL[:3],
        [],
        "text",
        None,
        [300],
        [1.5],
        [0, 0, 0, 25, *_SMALL[4:]],
        [*_SMALL[:4], 0, *_SMALL[5:]],
    ],
)
def test_a_damaged_code_is_an_error(code: Any) -> None:
    with pytest.raises(DataError, match="Expected a brush stroke to be the run lengths of an image of 3 x 2 pixels"):
        decode_mask(code, (3, 2), "task 1")


def test_a_code_of_another_size_is_an_error_before_memory_is_taken() -> None:
    with pytest.raises(DataError, match="that of task 1 is truncated, or of another size"):
        decode_mask(_SMALL, (10**9, 10**9), "task 1")


def test_a_run_beyond_the_end_is_an_error() -> None:
    code = encode_mask(np.ones((2, 4)))
    with pytest.raises(DataError, match="truncated, or of another size"):
        decode_mask([0, 0, 0, 24, *code[4:]], (3, 2), "task 1")

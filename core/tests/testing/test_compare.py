"""What the kit takes for the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from flash.testing._compare import same


@dataclass
class Series:
    values: Any
    start: int = 0


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (float("nan"), float("nan"), True),
        (np.array([1, np.nan]), np.array([1, np.nan]), True),
        (np.array([1, np.nan]), np.array([np.nan, 1]), False),
        (torch.tensor([1.0]), torch.tensor([1.0 + 1e-6]), False),
        (Series(np.arange(3)), Series(np.arange(3)), True),
        (Series(np.arange(3)), Series(np.arange(4)), False),
        (Series(np.arange(3), 1), Series(np.arange(3), 2), False),
        (Series, Series, True),
        ([{"a": (1, "b")}], [{"a": (1, "b")}], True),
        (1, True, False),
    ],
)
def test_what_is_equal_is_the_same(one: Any, other: Any, expected: bool) -> None:
    assert same(one, other) is expected


def test_numbers_are_compared_relative_to_their_size() -> None:
    assert same([1000.0], [1000.5], 1e-3)
    assert not same([1.0], [1.5], 1e-3)

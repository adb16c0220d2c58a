"""Samples in memory as whole tensors."""

from __future__ import annotations

import pytest
import torch

from flash.data.columns import Columns
from flash.errors import DataError


def test_columns_of_different_lengths_are_an_error() -> None:
    with pytest.raises(DataError, match=r"Expected tensors with one number of rows, but got \[2, 3\]"):
        Columns((torch.zeros(2), torch.zeros(3)))


def test_columns_of_something_else_are_an_error() -> None:
    with pytest.raises(DataError, match="Expected tensors or numpy arrays, but got str"):
        Columns(("abc",))


def test_consecutive_rows_are_a_copy() -> None:
    samples = torch.arange(5.0)
    taken = Columns((samples,)).take(range(1, 4))
    taken[0].zero_()
    assert samples.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert Columns((samples,)).take(range(4, 0, -2))[0].tolist() == [4.0, 2.0]

"""Targets in words; what is drawn is tested with matplotlib, in the tests of all packages."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from flash.data.showing import show_target


@pytest.mark.parametrize(
    ("target", "labels", "shown"),
    [
        (torch.tensor(1), ["ants", "bees"], "bees"),
        (torch.tensor(1), None, "1"),
        (torch.tensor(-1), ["ants", "bees"], "-1"),
        (torch.tensor([1.0, 0.0, 1.0]), ["red", "old", 3], "red, 3"),
        (torch.zeros(2), ["red", "old"], "none"),
        (torch.tensor(2.5), ["ants", "bees"], "2.5"),
        (torch.tensor([1.5, 123_456.7]), None, "1.5, 123,457"),
        (torch.ones(3, 4), None, "3 × 4 numbers, mean 1, standard deviation 0"),  # noqa: RUF001
        ("a text", None, "a text"),
        (7, ["ants"], "7"),
    ],
)
def test_a_target_is_shown_in_words(target: Any, labels: Any, shown: str) -> None:
    assert show_target(target, labels) == shown

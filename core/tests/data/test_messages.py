"""Values of the user's data in messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flash.data.labels import ClassLabels
from flash.errors import DataError


@pytest.mark.parametrize(
    "targets",
    [
        np.random.default_rng(0).integers(0, 2, (4, 100, 100)),  # Masks, one class per pixel.
        [["a" * 10_000], "b"],
        ["a"] * 1000 + [["b"]],
    ],
    ids=["masks", "a long text", "a list among classes"],
)
def test_an_error_shows_no_more_of_a_target_than_a_reader_takes_in(targets: Any) -> None:
    with pytest.raises(DataError, match="Expected") as error:
        ClassLabels.learn(targets)
    assert len(str(error.value)) < 600


def test_an_unseen_text_is_cut() -> None:
    with pytest.raises(DataError, match=r"but got 'x+\.\.\. in 1 samples"):
        ClassLabels.learn(["a", "b"]).encode(["x" * 10_000], "val")

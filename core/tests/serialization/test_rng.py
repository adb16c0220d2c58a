"""The state of random number generators."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from flash.errors import CheckpointError
from flash.serialization import (
    capture_rng_state,
    restore_rng_state,
    to_serializable,
)


def test_random_numbers_continue_where_they_were() -> None:
    import random

    import numpy as np

    state = to_serializable(capture_rng_state())
    expected = (random.random(), float(np.random.rand()), float(torch.rand(1)))
    restore_rng_state(state)
    assert (random.random(), float(np.random.rand()), float(torch.rand(1))) == expected


def numpy_state(keys: int = 624, position: int = 1, name: str = "MT19937") -> Any:
    return (name, torch.arange(keys), position, 0, 0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"numpy": numpy_state(position=10**9)},
        {"numpy": numpy_state(position=-1)},
        {"numpy": numpy_state(position=625)},
        {"numpy": numpy_state(keys=3)},
        {"numpy": numpy_state(name="Philox")},
        {"python": (3, (1,), None)},
        {"python": (3, (2**70,) * 625, None)},
        {"torch": torch.zeros(3)},
        {"torch": torch.full((5056,), 255, dtype=torch.uint8)},
        {"numpy": None},
    ],
)
def test_states_that_would_make_a_generator_read_other_memory_are_an_error(wrong: dict[str, Any]) -> None:
    state = capture_rng_state()
    try:
        with pytest.raises(
            CheckpointError, match="but got others .*damaged, or of another program: use an earlier one"
        ):
            restore_rng_state({**state, **wrong})
    finally:
        restore_rng_state(state)

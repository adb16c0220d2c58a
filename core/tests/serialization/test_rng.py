"""The state of random number generators."""

from __future__ import annotations

import torch

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

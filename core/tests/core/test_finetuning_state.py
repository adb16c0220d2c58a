"""What a strategy remembers, and where a resumed run goes on."""

from __future__ import annotations

import pytest
from torch import nn

from flash.core.finetuning import (
    Freeze,
)
from flash.errors import FinetuningError


def test_a_state_that_cannot_be_serialized_is_an_error_when_it_is_saved() -> None:
    strategy = Freeze()
    strategy.state["model"] = nn.Linear(2, 2)
    with pytest.raises(FinetuningError, match="Expected the state of the strategy Freeze to be serializable values"):
        strategy.state_dict()

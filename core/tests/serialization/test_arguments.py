"""Recorded arguments: those that were passed, their defaults, and what the object records itself."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from flash.serialization import Configurable, NotSerializableError


class Scale(Configurable):
    def __init__(self, factor: float, *shapes: int, network: Any = None, **more: Any) -> None:
        self.factor = factor


def test_defaults_and_further_keywords_are_recorded() -> None:
    made = Scale(2.0, unit="m")
    assert dict(made.recorded_arguments) == {"factor": 2.0, "network": None, "unit": "m"}
    assert not made.omitted_arguments


def test_a_network_is_omitted_and_has_to_be_passed_again() -> None:
    made = Scale(2.0, network=nn.Linear(1, 1), hook=lambda: None)
    assert dict(made.omitted_arguments) == {"network": "module", "hook": "function"}


def test_what_an_object_records_replaces_what_was_passed() -> None:
    made = Scale(2.0, network=nn.Linear(1, 1))
    made.record_arguments(factor=3.0, network=None)
    assert dict(made.recorded_arguments) == {"factor": 3.0, "network": None}
    assert not made.omitted_arguments
    made.omit_arguments("factor")
    assert dict(made.omitted_arguments) == {"factor": "module"}
    assert "factor" not in made.recorded_arguments


def test_what_cannot_be_stored_is_not_recorded() -> None:
    with pytest.raises(NotSerializableError, match="factor is a object"):
        Scale(1.0).record_arguments(factor=object())


def test_the_record_cannot_be_changed_from_outside() -> None:
    with pytest.raises(TypeError):
        Scale(1.0).recorded_arguments["factor"] = 2  # type: ignore[index]  # on purpose

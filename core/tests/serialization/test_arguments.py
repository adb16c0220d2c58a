"""Recorded arguments: those that were passed, their defaults, and what the object records itself."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from flash.errors import ConfigurationError, FinetuningError, UnknownArgumentError
from flash.serialization import Configurable, NotSerializableError, call_with, refuse_unknown_arguments


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
        Scale(1.0).recorded_arguments["factor"] = 2


# ---------------------------------------------------------------------- calls with what a user chose


class Base:
    def __init__(self, patience: int = 1) -> None:
        self.patience = patience


class Derived(Base):
    def __init__(self, mode: str = "min", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mode = mode


def test_what_the_user_chose_wins_over_what_is_known() -> None:
    assert call_with("it", Derived, keywords={"patience": 2}, known={"patience": 5, "mode": "max"}).patience == 2


def test_an_argument_that_is_passed_on_to_a_base_class_is_told_by_its_names_too() -> None:
    sentence = r"Expected arguments that it takes \(mode, patience\), but got .*'patiense'.*Did you mean 'patience'\?"
    with pytest.raises(ConfigurationError, match=sentence):
        call_with("it", Derived, keywords={"patiense": 2})


def test_the_kind_of_error_is_that_of_the_caller() -> None:
    with pytest.raises(FinetuningError, match=r"Expected arguments that it takes \(none\), but got \(1, 2\): too many"):
        call_with("it", lambda: None, (1, 2), error=FinetuningError)


def test_a_factory_that_does_not_say_what_it_takes_is_told_in_words() -> None:
    with pytest.raises(ConfigurationError, match=r"Expected arguments that it takes \(none\), but got \{'x': 1\}"):
        call_with("it", getattr, keywords={"x": 1})


def test_an_error_inside_of_a_call_stays_what_it_is() -> None:
    def broken(size: int = 1) -> None:
        raise TypeError("broken inside")

    with pytest.raises(TypeError, match="^broken inside"):
        call_with("it", broken, first=[3])
    with pytest.raises(UnknownArgumentError, match="Expected arguments that Strict takes"):
        call_with("it", lambda **given: Strict(**given), keywords={"wdith": 1})


class Strict(Configurable):
    def __init__(self, width: int = 1) -> None:
        self.width = width


def test_an_argument_that_two_places_take_is_listed_once() -> None:
    with pytest.raises(UnknownArgumentError, match=r"but got 'zzz'\. It takes a, b\."):
        refuse_unknown_arguments("make", ["zzz"], ["a", "b", "a"])

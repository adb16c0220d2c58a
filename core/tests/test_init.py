"""The short names of Flash, which are imported at their first use."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

import flash


@pytest.mark.parametrize("name", [name for name in flash.__all__ if not name.startswith("__")])
def test_a_short_name_is_that_of_a_module_of_flash(name: str) -> None:
    value: Any = getattr(flash, name)
    module = getattr(value, "__module__", value.__name__)
    assert module.startswith("flash.")
    assert importlib.import_module(module)


def test_short_names_are_listed() -> None:
    assert set(flash.__all__) <= set(dir(flash))


def test_another_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="Tusk"):
        _ = getattr(flash, "Tusk")  # noqa: B009  # the type checker knows that there is none

"""What the package offers by name."""

from __future__ import annotations

import pytest

import flash.tabular


def test_its_names_are_listed_and_a_misspelt_one_is_an_attribute_error() -> None:
    assert set(flash.tabular.__all__) <= set(dir(flash.tabular))
    with pytest.raises(AttributeError, match=r"module 'flash\.tabular' has no attribute 'TabularClasifier'"):
        flash.tabular.TabularClasifier  # type: ignore[attr-defined]  # noqa: B018  # asking for it is the test

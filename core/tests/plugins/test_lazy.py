"""Names of a package that are imported when they are first used."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from flash.plugins import lazy_exports


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made = ModuleType("acme_late")
    monkeypatch.setitem(sys.modules, "acme_late", made)
    made.__getattr__, made.__dir__ = lazy_exports("acme_late", {"Table": "flash.data.tables"})  # type: ignore[method-assign]
    return made


def test_a_name_is_imported_at_its_first_use_and_kept(package: ModuleType) -> None:
    assert "Table" not in vars(package)
    assert package.Table is vars(package)["Table"]


def test_names_are_listed_before_they_are_imported(package: ModuleType) -> None:
    assert "Table" in dir(package)


def test_another_name_is_not_there(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match="module 'acme_late' has no attribute 'Tables'"):
        _ = package.Tables

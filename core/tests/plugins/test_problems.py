"""Why a plugin failed, in words that say what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flash.plugins import _loading

Failure = Callable[[str], str]


def test_a_wrong_module_in_the_entry_point_names_the_ones_there_are(site: Any, good: str) -> None:
    (site.folder / "acme_a").mkdir()
    (site.folder / "acme_a" / "__init__.py").write_text("")
    (site.folder / "acme_a" / "plugin.py").write_text("")
    site.install("acme-a", a=good)
    entry_points = site.folder / "acme_a-1.0.dist-info" / "entry_points.txt"
    entry_points.write_text("[flash.plugins]\nacme-a = acme_a.plugins")
    with pytest.warns(match="acme-a"):
        error = site.host().infos()[1].error
    assert error == "the entry point acme-a = acme_a.plugins: there is no such module; the package has acme_a.plugin"
    entry_points.write_text("[flash.plugins]\nacme-a = acme_of_nowhere.plugin")
    with pytest.warns(match="acme-a"):
        error = site.host().infos()[1].error
    assert error == "the entry point acme-a = acme_of_nowhere.plugin: there is no package 'acme_of_nowhere'"


def test_a_wrong_attribute_in_the_entry_point_names_the_entry_point(site: Any, good: str) -> None:
    site.install("acme-a", a=good)
    entry_points = site.folder / "acme_a-1.0.dist-info" / "entry_points.txt"
    entry_points.write_text("[flash.plugins]\nacme-a = acme_a_a_plugin:plugn")
    with pytest.warns(match="acme-a"):
        error = site.host().infos()[1].error
    assert error.startswith("the entry point acme-a = acme_a_a_plugin:plugn: AttributeError: module 'acme_a_a_plugin'")


def test_a_missing_dependency_that_is_not_declared_is_the_authors_to_declare(failure: Failure) -> None:
    assert failure("import not_there_at_all.sub") == (
        "ModuleNotFoundError: No module named 'not_there_at_all': it imports 'not_there_at_all', which is not "
        "installed, and flash-bad does not declare it; its author adds it to 'dependencies' in pyproject.toml"
    )


def test_a_missing_dependency_that_is_declared_can_be_installed(failure: Failure, monkeypatch: Any) -> None:
    class Declares:
        requires = ("Not.There >= 1 ; python_version > '3'",)

    monkeypatch.setattr(_loading, "distribution", lambda _: Declares)
    assert failure("import not_there").endswith("which is not installed: pip install 'Not.There >= 1'")


def test_a_misspelt_hook_fails_with_the_closest_match(failure: Failure) -> None:
    error = failure("@hookimpl\ndef flash_backbone():\n    return []")
    assert error == "there is no hook flash_backbone; did you mean flash_backbones?"


def test_an_unknown_hook_that_resembles_none_fails_with_all_hooks(failure: Failure) -> None:
    error = failure("@hookimpl\ndef configure():\n    return []")
    assert "there is no hook configure; there are flash_tasks, flash_backbones" in error

from __future__ import annotations

from pathlib import Path

import pytest

from flash.errors import PluginError
from flash.plugins import Contribution, Provider, Strategy, load_target


def contribution(target: str) -> Contribution[Strategy]:
    return Contribution(Strategy("thaw", factory=target), Provider("acme", "flash-acme", "1.2"))


def test_a_target_is_imported() -> None:
    assert load_target("pathlib:Path") is Path


def test_a_target_may_be_an_attribute_of_an_attribute() -> None:
    assert load_target("pathlib:Path.cwd") == Path.cwd


def test_a_module_that_is_missing_is_an_error_with_plugin_dist_and_version() -> None:
    with pytest.raises(
        PluginError,
        match=r"cannot import nowhere:Thaw \(strategy 'thaw' of flash-acme 1\.2\): ModuleNotFoundError: No",
    ):
        contribution("nowhere:Thaw").load()


def test_an_attribute_that_is_missing_comes_with_the_closest_one() -> None:
    with pytest.raises(PluginError, match="there is no 'Pth' in it; did you mean 'Path'"):
        load_target("pathlib:Pth")


def test_an_attribute_of_a_lazy_module_may_fail_to_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lazy_module_of_test.py").write_text("def __getattr__(name): import nowhere")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match="ModuleNotFoundError: No module named 'nowhere'"):
        load_target("lazy_module_of_test:Thaw")

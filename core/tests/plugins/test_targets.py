from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flash.errors import PluginError
from flash.plugins import BackboneCatalogue, Contribution, Provider, Strategy, load_target


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


@pytest.mark.parametrize("source", ["raise SystemExit(3)", "def __getattr__(name): raise SystemExit(3)"])
def test_a_target_does_not_end_the_process(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "exiting_module_of_test.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "exiting_module_of_test", raising=False)
    with pytest.raises(PluginError, match="cannot import exiting_module_of_test:Thaw: SystemExit: 3"):
        load_target("exiting_module_of_test:Thaw")


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("acme_of_test.task:Task", "there is no such module; the package has acme_of_test.tasks$"),
        ("acme_of_test.zzz:Task", "there is no such module; the package has acme_of_test.needs, acme_of_test.tasks$"),
        ("acme_of_test.needs:Task", "it imports 'nowhere', which is not installed$"),
        ("nowhere.task:Task", "there is no package 'nowhere'$"),
    ],
)
def test_a_module_that_is_not_found_comes_with_what_there_is(
    target: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "acme_of_test"
    package.mkdir()
    for name, source in (("__init__", ""), ("tasks", ""), ("needs", "import nowhere.deep")):
        (package / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("acme_of_test", "acme_of_test.needs"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(PluginError, match=f"ModuleNotFoundError: .*; {hint}"):
        load_target(target)


def test_a_catalogue_does_not_end_the_process_or_print(capsys: pytest.CaptureFixture[str]) -> None:
    spec = BackboneCatalogue("zoo", "audio", names="sys:exit", factory="a:b")
    with pytest.raises(PluginError, match=r"'zoo' of flash-acme 1\.2 cannot list its names: SystemExit"):
        Contribution(spec, Provider("acme", "flash-acme", "1.2")).listed()
    chatty = BackboneCatalogue("zoo", "audio", names="this:d.copy", factory="a:b")
    assert Contribution(chatty, Provider("acme", "flash-acme", "1.2")).listed()
    assert capsys.readouterr().out == ""

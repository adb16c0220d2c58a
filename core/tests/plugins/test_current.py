from __future__ import annotations

from types import ModuleType

import pytest

from flash.errors import PluginError, PluginWarning
from flash.plugins import CallbackSpec, get_host, hookimpl, isolated_plugins


class Carbon:
    @hookimpl
    def flash_callbacks(self) -> list[CallbackSpec]:
        return [CallbackSpec("carbon", factory="collections:Counter")]


class Broken:
    @hookimpl
    def flash_callbacks(self) -> list[CallbackSpec]:
        raise ValueError("out of order")


def test_inside_there_are_only_the_given_plugins_and_the_built_in_one() -> None:
    with isolated_plugins(Carbon()):
        assert [info.name for info in get_host().infos()] == ["flash-core", "Carbon"]
        assert "carbon" in get_host().callbacks()


def test_afterwards_everything_is_as_before_even_after_an_error() -> None:
    before = get_host()
    with pytest.raises(RuntimeError), isolated_plugins(Carbon()):
        raise RuntimeError
    assert get_host() is before


def test_isolation_nests() -> None:
    with isolated_plugins(Carbon()) as outer:
        with isolated_plugins():
            assert "carbon" not in get_host().callbacks()
        assert get_host() is outer


def test_a_module_can_be_given() -> None:
    module = ModuleType("acme_plugin")
    vars(module)["flash_callbacks"] = hookimpl(lambda: [CallbackSpec("carbon", factory="a:b")])
    vars(module)["flash_callbacks"].__name__ = "flash_callbacks"
    with isolated_plugins(module) as host:
        assert host.callbacks()["carbon"].provider.plugin == "acme_plugin"


def test_the_environment_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASH_PLUGINS", "")
    with isolated_plugins(Carbon()) as host:
        assert "carbon" in host.callbacks()


def test_a_plugin_that_fails_is_an_error_at_once() -> None:
    before = get_host()
    with pytest.raises(PluginError, match="ValueError: out of order"), isolated_plugins(Broken()):
        pytest.fail("must not get here")
    assert get_host() is before


def test_without_strictness_a_plugin_that_fails_is_left_out() -> None:
    with isolated_plugins(Broken(), Carbon(), strict=False) as host, pytest.warns(PluginWarning):
        assert "carbon" in host.callbacks()

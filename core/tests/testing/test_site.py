"""PluginSite: plugins of a test are seen by this process and by those that it starts, and by no later test."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from flash.plugins import get_host
from flash.testing import PluginSite, in_clean_process

SOURCE = """
from flash.plugins import CallbackSpec, Command, hookimpl

@hookimpl
def flash_callbacks():
    yield CallbackSpec("carbon", factory="acme_carbon.meter:Meter", summary="Counts grams.")

@hookimpl
def flash_commands():
    yield Command("weigh", target="acme_carbon.meter:weigh", summary="Say what was counted.")
"""
METER = """
import socket

class Meter:
    pass

def weigh(arguments):
    if arguments == ["far"]:
        socket.create_connection(("example.com", 80), timeout=1)
    print("grams of", *arguments)
    return len(arguments)
"""
FILES = {"acme_carbon/__init__.py": "", "acme_carbon/plugin.py": SOURCE, "acme_carbon/meter.py": METER}


def test_what_is_installed_is_seen_at_once(plugin_site: PluginSite) -> None:
    assert "carbon" not in get_host().callbacks()
    plugin_site.install("acme-carbon", FILES, version="2.1", requires=["flash-core>=0.1,<0.2"])
    found = get_host().callbacks()["carbon"]
    assert (found.provider.dist, found.provider.version) == ("acme-carbon", "2.1")
    assert found.load().__module__ == "acme_carbon.meter"
    dist = distribution("acme-carbon")
    assert dist.requires == ["flash-core>=0.1,<0.2"]
    assert [str(file) for file in dist.files or ()] == list(FILES)


def test_afterwards_all_is_as_before(tmp_path: Path) -> None:
    before = list(sys.path), dict(os.environ), get_host()
    site = PluginSite(tmp_path / "site")
    with site:
        site.install("acme-carbon", FILES)
        first = get_host().callbacks()["carbon"].load()
    assert (sys.path, dict(os.environ), get_host()) == before
    assert "acme_carbon.meter" not in sys.modules
    assert importlib.util.find_spec("acme_carbon") is None
    with site:
        assert get_host().callbacks()["carbon"].load() is first


def test_a_package_without_a_file_of_its_own_is_forgotten_too(tmp_path: Path) -> None:
    with PluginSite(tmp_path / "site") as site:
        site.install("acme-carbon", {name: text for name, text in FILES.items() if "__init__" not in name})
        get_host().callbacks()["carbon"].load()
    assert not [name for name in sys.modules if name.startswith("acme_carbon")]


def test_a_part_of_a_package_that_is_gone_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone" / "part").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    part = importlib.import_module("gone.part")
    monkeypatch.setitem(sys.modules, "gone.part", part)
    monkeypatch.delitem(sys.modules, "gone")
    with PluginSite(tmp_path / "site"):
        pass
    assert sys.modules["gone.part"] is part


def test_a_folder_is_installed_as_it_is(plugin_site: PluginSite, tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_text(text)
    plugin_site.install("acme-carbon", tmp_path / "source" / "acme_carbon")
    assert [info.name for info in get_host().infos() if info.dist == "acme-carbon"] == ["acme-carbon"]
    assert (plugin_site.folder / "acme_carbon" / "meter.py").read_text() == METER


def test_a_distribution_may_have_several_plugins_or_none(plugin_site: PluginSite) -> None:
    plugin_site.install("acme-two", FILES, plugins={"one": "acme_carbon.plugin", "other": "acme_carbon.plugin"})
    plugin_site.install("acme-lib", {"acme_lib.py": ""}, plugins={})
    assert {info.name: info.dist for info in get_host().infos() if "acme" in info.dist} == {
        "one": "acme-two",
        "other": "acme-two",
    }


@pytest.mark.process
def test_the_command_runs_with_the_plugin_in_a_new_process(plugin_site: PluginSite) -> None:
    plugin_site.install("acme-carbon", FILES)
    result = plugin_site.run_flash("weigh", "coal", "gas")
    assert (result.code, result.out, result.err) == (2, "grams of coal gas\n", "")
    names = [each["name"] for each in json.loads(plugin_site.run_flash("plugins", "--json").out)]
    assert "acme-carbon" in names
    (state,) = (
        each["state"]
        for each in json.loads(plugin_site.run_flash("plugins", "--json", FLASH_DISABLE_PLUGINS="acme-carbon").out)
        if each["name"] == "acme-carbon"
    )
    assert state == "disabled"


@pytest.mark.process
def test_the_command_has_no_network(plugin_site: PluginSite) -> None:
    plugin_site.install("acme-carbon", FILES)
    result = plugin_site.run_flash("weigh", "far")
    assert result.code != 0
    assert "Expected no use of the network, but 'example.com' was asked for" in result.err


@pytest.mark.process
def test_a_clean_process_sees_the_plugin_too(plugin_site: PluginSite, tmp_path: Path) -> None:
    plugin_site.install("acme-carbon", FILES)
    code = "from flash.plugins import get_host\nresult = get_host().callbacks()['carbon'].provider.dist"
    assert in_clean_process(tmp_path, code) == "acme-carbon"

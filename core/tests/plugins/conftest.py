"""Plugins that are installed into a folder of the test, and hosts that see nothing else."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flash.plugins import Backbone, BackboneCatalogue, Contribution, PluginHost, Provider
from flash.plugins._discovery import installed
from flash.plugins.registry import Registry
from flash.plugins.types import Spec
from flash.testing import PluginSite


class Site:
    """A folder like site-packages, and hosts that see nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.opened = PluginSite(folder)

    def install(self, dist: str, version: str = "1.0", /, **plugins: str) -> None:
        """Install a distribution; each plugin is the source text of a module that its entry point names."""
        modules = {name: f"{dist.replace('-', '_')}_{name}_plugin" for name in plugins}
        files = {f"{modules[name]}.py": HEADER + textwrap.dedent(source) for name, source in plugins.items()}
        self.opened.install(dist, files, plugins=modules, version=version)

    def host(self, **environ: str) -> PluginHost:
        """A host for what is installed here."""
        return PluginHost(discover=lambda: installed([str(self.folder)]), environ=environ)


HEADER = """\
from flash.plugins import *
from flash.plugins import hookimpl
"""


GOOD = """
@hookimpl
def flash_backbones():
    yield Backbone("wav_cnn", domain="audio", factory="collections:Counter")
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An empty site folder on the module path; modules imported from it are forgotten afterwards."""
    site = Site(tmp_path / "site")
    with site.opened:
        yield site


@pytest.fixture
def good() -> str:
    """The source of a plugin with nothing wrong: one audio backbone, wav_cnn."""
    return GOOD


@pytest.fixture
def failure(site: Site) -> Callable[[str], str]:
    """Installs a plugin of the given source and returns why it failed."""

    def failure(source: str) -> str:
        site.install("flash-bad", "3.1", bad=source)
        with pytest.warns(match="plugin 'bad' \\(flash-bad 3.1\\) failed"):
            infos = site.host().infos()
        assert infos[1].state == "failed"
        assert infos[1].contributions == ()
        return infos[1].error or ""

    return failure


ACME = Provider("acme", "flash-acme", "1.2")

BEST = Provider("best", "flash-best", "2.0")


def zoo_names() -> list[str]:
    return ["resnet18", "resnet9", "ViT_base", "wav_cnn"]


def zoo_build(name: str, **kwargs: Any) -> tuple[str, dict[str, Any]]:
    return name, kwargs


def zoo_fails() -> list[str]:
    raise OSError("the list is lost")


def _backbone(name: str, factory: str = "collections:Counter", provider: Provider = ACME) -> Contribution[Backbone]:
    spec = Backbone(name, "audio", factory, pretrained=True, summary="A backbone.", source="https://acme.org")
    return Contribution(spec, provider)


@pytest.fixture
def backbone() -> Callable[..., Any]:
    """Makes a backbone that a plugin contributes."""
    return _backbone


def _catalogue(provider: Provider = BEST, names: str = "zoo_names", open: bool = False) -> Contribution[Spec]:
    spec = BackboneCatalogue(
        "zoo", "audio", f"registry_test:{names}", "registry_test:zoo_build", open=open, summary="All."
    )
    return Contribution(spec, provider)


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes a catalogue that a plugin contributes; its targets are here, however pytest imported this file."""
    monkeypatch.setitem(sys.modules, "registry_test", sys.modules[__name__])
    return _catalogue


def _registry(*contributions: Contribution[Spec]) -> Registry:
    return Registry("audio backbones", plugins=lambda: contributions)


@pytest.fixture
def registry() -> Callable[..., Any]:
    """Makes a registry of what plugins contribute."""
    return _registry

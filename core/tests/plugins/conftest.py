"""Plugins that are installed into a folder of the test, and hosts that see nothing else."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flash.plugins import PluginHost
from flash.plugins._discovery import installed
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

"""The plugins of this folder, each installed for the tests of its module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flash.testing import PluginSite

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory) -> PluginSite:
    """A site with both plugins, which the tests of a module open."""
    site = PluginSite(tmp_path_factory.mktemp("site"))
    for package in ("acme_tones", "acme_horizon"):
        site.install(package.replace("_", "-"), HERE / package, requires=["flash-core>=0.1,<0.2"])
    return site


@pytest.fixture(scope="module", autouse=True)
def site(both: PluginSite) -> Iterator[PluginSite]:
    """The site, open."""
    with both:
        yield both

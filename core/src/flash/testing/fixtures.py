"""Fixtures for tests, which a ``conftest.py`` loads by its name.

``pytest_plugins = ["flash.testing.fixtures"]`` in the top ``conftest.py``, or ``pytest -p flash.testing.fixtures``,
brings:

- ``settled``, which each test uses: it runs in a folder of its own, seeded, with one thread, and without Lightning's
  announcements.
- ``trainer``, which makes trainers for one epoch without logger, checkpoints and output:
  :func:`flash.testing.silent_trainer`.
- ``plugin_site``, a :class:`flash.testing.PluginSite` that is open for the test.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import flash
from flash.testing._site import plugin_site
from flash.testing._trainer import settle, silent_trainer

__all__ = ["plugin_site", "settled", "trainer"]


@pytest.fixture(autouse=True)
def settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in its own folder, seeded, with one thread, without Lightning's announcements."""
    monkeypatch.chdir(tmp_path)
    settle()


@pytest.fixture
def trainer() -> Callable[..., flash.Trainer]:
    """Return a function that makes trainers without output: :func:`flash.testing.silent_trainer`."""
    return silent_trainer

"""Fixtures for tests, which a ``conftest.py`` loads by its name.

``pytest_plugins = ["flash.testing.fixtures"]`` in the top ``conftest.py``, or ``pytest -p flash.testing.fixtures``,
brings:

- ``settled``, which each test uses: it runs in a folder of its own, seeded, with one thread, and without Lightning's
  announcements.
- ``trainer``, which makes trainers for one epoch without logger, checkpoints and output:
  :func:`flash.testing.silent_trainer`.
- ``killed``, which kills a training again and again, resumes it, and compares it with a run that was never killed.
- ``hub``, a server on this machine in place of the Hugging Face Hub, which tasks are pushed to and loaded from.
- ``plugin_site``, a :class:`flash.testing.PluginSite` that is open for the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import flash
from flash.testing._hub_server import HubServer, hub_server
from flash.testing._kills import Killed, Train, is_same, run_whole, run_with_kills
from flash.testing._site import plugin_site
from flash.testing._trainer import settle, silent_trainer

__all__ = ["hub", "killed", "plugin_site", "settled", "trainer"]


@pytest.fixture(autouse=True)
def settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in its own folder, seeded, with one thread, without Lightning's announcements."""
    monkeypatch.chdir(tmp_path)
    settle()


@pytest.fixture
def trainer() -> Callable[..., flash.Trainer]:
    """Return a function that makes trainers without output: :func:`flash.testing.silent_trainer`."""
    return silent_trainer


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """Replace the Hugging Face Hub by a server on this machine, with an empty cache; skip without huggingface_hub.

    Pass ``token=hub.token`` to write, and to read what is private or gated.
    """
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache of the hub"))
    with hub_server() as server:
        yield server


@pytest.fixture
def killed(tmp_path: Path) -> Callable[..., Killed]:
    """Return a function that kills a training at random moments, and resumes it until it is done.

    It takes the training, a function of a :class:`flash.testing._kills.Life` that returns what
    ``life.fit(task, data)`` does and more; its steps; its steps per epoch; a seed; and the number of processes that
    train together, one of which is killed each time. What the training returns, and what it logs, is compared with that
    of a run that was never killed.
    """

    def kill(train: Train, steps: int, steps_per_epoch: int, seed: int = 0, processes: int = 1) -> Killed:
        whole = run_whole(train, tmp_path / "whole", processes)
        resumed = run_with_kills(train, tmp_path / "killed", steps, steps_per_epoch, seed, processes)
        for one, other in zip(
            *(run.result if processes > 1 else [run.result] for run in (whole, resumed)), strict=True
        ):
            assert (one["steps"], other["steps"]) == (steps, steps)
            for name, value in one.items():
                assert is_same(other[name], value), f"Expected the same {name} as without kills, but they differ."
        assert resumed.epochs == whole.epochs
        return resumed

    return kill

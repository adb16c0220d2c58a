"""The fixtures and the tiers of the tests of all packages.

The fixtures are those that plugins of others use too, and the folder of real data. Each test is in exactly one tier,
and those of ``unit`` keep to its limits:

- ``unit``, where no mark says otherwise: no new process, and no fit over one epoch.
- ``train``: fits that take several epochs.
- ``process``: new processes.
- ``env``: built wheels, and environments.

``slow``, beside a tier, is for what only the session ``tests_full`` runs.
"""

from __future__ import annotations

import functools
import gc
import importlib.util
import multiprocessing.process
import os
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

# Nothing that is imported or collected is garbage: looking for it takes a tenth of the time.
gc.disable()

pytest_plugins = ["flash.testing.fixtures"]

TIERS = ("unit", "train", "process", "env")
# Examples of docstrings that are not of the tier unit, by name.
DOCTESTS = {"flash.testing._process.in_clean_process": "process"}

# Core's own session lacks matplotlib, which the examples of figures need.
collect_ignore_glob = [] if importlib.util.find_spec("matplotlib") else ["core/src/flash/figures/*"]

# The test that is running, if it is in the tier unit.
_unit_test: str | None = None


@pytest.fixture(scope="session")
def shared() -> Path:
    """Find the folder of real data: the one beside the repository, or the one that FLASH_SHARED names."""
    folder = Path(os.environ.get("FLASH_SHARED") or Path(__file__).resolve().parents[1] / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder


def pytest_configure(config: pytest.Config) -> None:
    """Watch each way to a new process, and each fit."""
    # Not above: flash.testing has settings for what it imports.
    from pytorch_lightning import Trainer

    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    for owner, name in (
        (os, "fork"),
        (subprocess.Popen, "__init__"),
        (multiprocessing.process.BaseProcess, "start"),
    ):
        patch.setattr(owner, name, _refused_to_unit_tests(getattr(owner, name)))
    patch.setattr(Trainer, "fit", _one_epoch_for_unit_tests(Trainer.fit))


@pytest.hookimpl(tryfirst=True)  # Before -m selects.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put each test into its tier."""
    for item in items:
        # Checks of the conformance kit say it themselves, since they also run where these marks are unknown.
        said = getattr(getattr(item, "function", None), "tier", None) or DOCTESTS.get(item.name)
        marked = {mark.name for mark in item.iter_markers() if mark.name in TIERS} | ({said} - {None})
        if len(marked) > 1:
            raise pytest.UsageError(f"Expected one tier of {item.nodeid}, but it is in {sorted(marked)}.")
        item.add_marker(marked.pop() if marked else "unit")


def pytest_collection_finish() -> None:
    """Collect the garbage of tests from now on, among what they make alone."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """Let the interpreter take all apart when it ends; and after an error that nothing was collected of."""
    gc.unfreeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Know which test is running, its fixtures included."""
    global _unit_test
    _unit_test = item.nodeid if item.get_closest_marker("unit") else None
    try:
        return (yield)
    finally:
        _unit_test = None


def _refused_to_unit_tests(start: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(start)
    def refusing(*args: Any, **kwargs: Any) -> Any:
        _check("it starts a process")
        return start(*args, **kwargs)

    return refusing


def _one_epoch_for_unit_tests(fit: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(fit)
    def counting(trainer: Any, *args: Any, **kwargs: Any) -> None:
        before = trainer.current_epoch
        fit(trainer, *args, **kwargs)
        if trainer.current_epoch - before > 1:
            _check(f"it fits for {trainer.current_epoch - before} epochs")

    return counting


def _check(what: str) -> None:
    if _unit_test:
        pytest.fail(f"{_unit_test} is in the tier unit, but {what}. Mark it with one of {', '.join(TIERS[1:])}.")

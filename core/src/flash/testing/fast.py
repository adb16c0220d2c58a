"""The fast tier of the kit: ``pytest -p flash.testing.fast`` leaves out checks that take long.

Those are the checks that train for several epochs, and those that start processes. What is left takes less than 20
seconds for a plugin, most of it the import of torch. A test of your own is left out with them if it has a mark
``train`` or ``process``.

Example:
    >>> pytest_args = ["-p", "flash.testing.fast", "tests"]
"""

from __future__ import annotations

import pytest

__all__ = ["pytest_collection_modifyitems", "pytest_report_header"]

_SLOWER = {"train", "process"}


def pytest_report_header() -> str:
    """Say that this run is no whole one."""
    return "flash.testing: the fast tier; run pytest without -p flash.testing.fast for all checks"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what trains for several epochs, and what starts processes."""
    kept, left_out = [], []
    for item in items:
        tiers = {getattr(getattr(item, "function", None), "tier", None), *(mark.name for mark in item.iter_markers())}
        (left_out if tiers & _SLOWER else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept

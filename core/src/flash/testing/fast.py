"""The fast tier of the kit: ``pytest -p flash.testing.fast`` deselects slow checks.

Slow checks train for several epochs or start processes. The others take less than 20
seconds for a plugin, most of it the import of torch. Your own tests are deselected too if they have a mark
``train`` or ``process``.
"""

from __future__ import annotations

import pytest

__all__ = ["pytest_collection_modifyitems", "pytest_report_header"]

_SLOWER = {"train", "process"}


def pytest_report_header() -> str:
    """Return a header that says that this run is not complete."""
    return "flash.testing: the fast tier; run pytest without -p flash.testing.fast for all checks"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests that train for several epochs or start processes."""
    kept: list[pytest.Item] = []
    deselected: list[pytest.Item] = []
    for item in items:
        tiers = {getattr(getattr(item, "function", None), "tier", None), *(mark.name for mark in item.iter_markers())}
        (deselected if tiers & _SLOWER else kept).append(item)
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = kept

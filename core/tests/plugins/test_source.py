"""What the source of a plugin shows without being imported."""

from __future__ import annotations

from collections.abc import Callable

Failure = Callable[[str], str]


def test_a_hook_without_its_mark_fails(failure: Failure, good: str) -> None:
    error = failure(good + "def flash_tasks():\n    return []")
    assert error == "flash_tasks is not marked with @hookimpl from flash.plugins"

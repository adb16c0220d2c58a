"""What this plugin contributes to Flash: nothing by name.

A solver is a class to inherit from: it trains the tasks that other plugins contribute, and adds none.
"""

from __future__ import annotations

from flash.plugins import TaskSpec, hookimpl


@hookimpl
def flash_tasks() -> list[TaskSpec]:
    """No task; the hook makes the plugin known, so that ``flash plugins`` lists it with its version."""
    return []

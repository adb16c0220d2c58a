"""The plugin's hook implementations: it registers nothing by name.

A solver is a base class: it trains the tasks that other plugins register, and adds none.
"""

from __future__ import annotations

from flash.plugins import TaskSpec, hookimpl


@hookimpl
def flash_tasks() -> list[TaskSpec]:
    """Return no task; the hook registers the plugin, so that ``flash plugins`` lists it with its version."""
    return []

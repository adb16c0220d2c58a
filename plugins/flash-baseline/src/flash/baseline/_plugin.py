"""The hooks of this plugin; imported for listings, so it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from flash.plugins import Command, hookimpl


@hookimpl
def flash_commands() -> Iterator[Command]:
    """Yield ``flash baseline``."""
    yield Command(
        "baseline",
        target="flash.baseline.command:main",
        summary="Check data, race models on it within a time limit, and write a report.",
    )

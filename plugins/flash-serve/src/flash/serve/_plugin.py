"""The hooks of this plugin; imported for listings, so it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from flash.plugins import Command, hookimpl


@hookimpl
def flash_commands() -> Iterator[Command]:
    """Yield ``flash serve``."""
    yield Command(
        "serve",
        target="flash.serve.command:main",
        summary="Serve the predictions of a task over HTTP, with a page to try it.",
    )

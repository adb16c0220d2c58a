"""The engine of flash-ray, for flash-core; imports neither torch nor Ray."""

from __future__ import annotations

from collections.abc import Iterator

from flash.plugins import Engine, hookimpl


@hookimpl
def flash_engines() -> Iterator[Engine]:
    """Yield the engine of the command line."""
    home = "flash.ray.engine"
    yield Engine(
        "ray",
        fit=f"{home}:fit",
        predict=f"{home}:predict",
        pool="flash.ray.pool:pool",
        summary="A Ray cluster, or one on this machine.",
    )

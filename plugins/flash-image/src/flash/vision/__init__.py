"""Alias of :mod:`flash.image`, under its former name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flash import image

if TYPE_CHECKING:
    from flash.image import *  # noqa: F403  # an alias of all public names, for type checkers

__all__ = image.__all__  # exactly the public names of flash.image


# Hidden from type checkers, which would otherwise accept any misspelled name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(image, name)


def __dir__() -> list[str]:
    return dir(image)

"""The old name of :mod:`flash.image`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flash import image

if TYPE_CHECKING:
    from flash.image import *  # noqa: F403  # the same names under another one, for type checkers

__all__ = image.__all__  # exactly those of the other name


# A type checker that saw this would take any misspelt name for one of them.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(image, name)


def __dir__() -> list[str]:
    return dir(image)

"""Format values of the user's data for messages: on one line, truncated."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from flash.plugins._messages import show

__all__ = ["show", "show_some"]

_SHOWN = 8


def show_some(values: Iterable[object]) -> str:
    """Return the first values of an iterable as text, with an ellipsis if there are more.

    Example:
        >>> show_some(["ants", "bees"]), show_some(range(100))
        ("'ants', 'bees'", '0, 1, 2, 3, 4, 5, 6, 7, ...')
    """
    first = list(islice(values, _SHOWN + 1))
    return ", ".join([show(value) for value in first[:_SHOWN]] + ["..."] * (len(first) > _SHOWN))

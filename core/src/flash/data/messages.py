"""Format values of the user's data for messages: on one line, truncated."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from flash.plugins._messages import show

__all__ = ["list_some", "show", "show_some"]


def show_some(values: Iterable[object], most: int = 8) -> str:
    """Return the first values of an iterable as text, with an ellipsis if there are more.

    Example:
        >>> show_some(["ants", "bees"]), show_some(range(100))
        ("'ants', 'bees'", '0, 1, 2, 3, 4, 5, 6, 7, ...')
    """
    return list_some(map(show, values), most)


def list_some(texts: Iterable[str], most: int = 5) -> str:
    """Return the first texts of an iterable, with an ellipsis if there are more.

    Example:
        >>> list_some(["a.jpg", "b.jpg"]), list_some("abcdef")
        ('a.jpg, b.jpg', 'a, b, c, d, e, ...')
    """
    first = list(islice(texts, most + 1))
    return ", ".join([*first[:most], *["..."] * (len(first) > most)])

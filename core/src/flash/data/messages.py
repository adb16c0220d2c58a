"""Format values of the user's data for messages: on one line, truncated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

from flash.plugins._messages import show

__all__ = ["list_some", "show", "show_some", "show_values"]

# The number of values of a list that are shown.
_SHOWN = 6


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


def show_values(values: Mapping[str, object]) -> str:
    """Return ``name=value`` for numbers, strings, classes, and lists of these; other values are left out.

    Example:
        >>> show_values({"rate": 0.1, "labels": ["ants", "bees"], "optimizer": int, "loss": None, "bins": [[0.5]]})
        "rate=0.1, labels=['ants', 'bees'], optimizer=int"
    """
    shown = {name: _show_list(value) if isinstance(value, list) else _show_one(value) for name, value in values.items()}
    return ", ".join(f"{name}={text}" for name, text in shown.items() if text)


def _show_list(values: list[object]) -> str:
    texts = [_show_one(value) for value in values[: _SHOWN + 1]]
    return f"[{list_some(texts, _SHOWN)}]" if texts and all(texts) else ""


def _show_one(value: object) -> str:
    if isinstance(value, str | int | float):
        return show(value)
    return value.__name__ if isinstance(value, type) else ""

"""Detect missing values in tables, targets and texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["is_missing", "without_missing"]


# None stays None.
_NEVER_MISSING = frozenset({str, int, bool, type(None)})


def is_missing(value: Any) -> bool:
    """Return whether a value is missing: ``None``, NaN, NaT, or NA of pandas; strings never are.

    Example:
        >>> [is_missing(value) for value in (None, float("nan"), "", "NA", 0, [None])]
        [True, True, False, False, False, False]
    """
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, str | bytes | bool | int | list | tuple | dict | set) or getattr(value, "shape", ()) != ():
        return False
    return bool(value != value)


def without_missing(values: Sequence[Any]) -> list[Any]:
    """Return values with ``None`` in place of every missing value."""
    kinds = set(map(type, values))
    if kinds <= _NEVER_MISSING:
        return list(values)
    if kinds <= _NEVER_MISSING | {float}:
        return [value if value == value else None for value in values]
    return [None if is_missing(value) else value for value in values]

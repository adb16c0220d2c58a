"""Durations as people write them."""

from __future__ import annotations

import math
import re

from flash.errors import ConfigurationError

__all__ = ["seconds_of"]

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def seconds_of(value: str | float) -> float:
    """Return a time such as ``"90s"``, ``"10m"`` or ``"2h"`` in seconds; a number is one of seconds.

    Raises:
        ConfigurationError: If it is none, or not above 0.

    Example:
        >>> seconds_of("1.5m"), seconds_of("30"), seconds_of(30)
        (90.0, 30.0, 30.0)
    """
    seconds = 0.0
    if isinstance(value, str):
        found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([smh]?)", value.strip())
        seconds = 0.0 if found is None else float(found[1]) * _UNITS[found[2]]
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        seconds = float(value)
    if not seconds > 0:
        raise ConfigurationError(
            f"Expected a time above 0 such as 90s, 10m or 2h, or a number of seconds, but got {value!r}."
        )
    return seconds

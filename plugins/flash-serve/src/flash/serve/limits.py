"""Limits of a service: what a request may hold, and how long it may take."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

from flash.data.requests import RequestKind
from flash.errors import ConfigurationError

__all__ = ["Limits", "bytes_of"]

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}


@dataclass(frozen=True)
class Limits:
    """Limits of a request: what it may hold, and how long it may take.

    Args:
        max_batch: The number of samples that are predicted together; by default 256 rows of a table, or 32 others.
        max_body: The bytes of the body of a request.
        max_rows: The number of samples in a request.
        max_text: The number of characters of a text.
        max_classes: The number of classes whose probabilities are in an answer; the most probable come first.
        queue: The number of requests that wait for the network.
        timeout: The seconds until a request has arrived, and again until it is answered.

    Raises:
        ConfigurationError: If one of them is not a positive number.

    Example:
        >>> Limits(max_rows=10).max_body
        10000000
    """

    max_batch: int | None = None
    max_body: int = 10_000_000
    max_rows: int = 1_000
    max_text: int = 100_000
    max_classes: int = 100
    queue: int = 256
    timeout: float = 30.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            is_number = type(value) is int or (field.name == "timeout" and type(value) is float)
            if not is_number or not 0 < value < float("inf"):
                wanted = "a number of seconds" if field.name == "timeout" else "a whole number"
                raise ConfigurationError(f"Expected {field.name} to be {wanted} above 0, but got {value!r}.")

    def batch_of(self, kind: RequestKind) -> int:
        """Return the number of samples of a kind that are predicted together.

        Args:
            kind: What a sample is.
        """
        return self.max_batch or (256 if kind == "table" else 32)

    @property
    def max_bytes(self) -> int:
        """The bytes of all bodies that are held in memory at a time: those of eight of the largest."""
        return 8 * self.max_body


def bytes_of(text: str) -> int:
    """Return a size such as ``"10MB"`` or ``"500 kB"`` in bytes.

    Raises:
        ConfigurationError: If it is none.

    Example:
        >>> bytes_of("1.5MB"), bytes_of("300")
        (1500000, 300)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKmMgG]?[bB]?)", text.strip())
    size = 0 if found is None else int(float(found[1]) * _UNITS.get(found[2].upper(), 0))
    if not size:
        raise ConfigurationError(f"Expected a size such as 500kB or 10MB, but got {text!r}.")
    return size

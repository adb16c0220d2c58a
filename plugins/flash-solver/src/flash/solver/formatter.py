"""Formatter: select metrics by name, and format them."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from torch import Tensor

__all__ = ["Formatter"]


class Formatter:
    """Selects metrics by name and formats them as strings.

    Patterns are shell patterns (``acc_*``) and case-sensitive; the first match applies.

    Args:
        formats: Python format specifications by pattern.
        default_format: The specification of metrics that match no pattern.
        exclude_keys: Patterns of metrics to exclude, unless they are included.
        include_keys: Patterns of metrics to include; without ``exclude_keys``, only these are included.
        include_formatted: Whether the patterns in ``formats`` count as included.

    Example:
        >>> Formatter({"acc*": ".1%"})({"accuracy": 0.512, "loss": 1.23456, "note": "warm-up"})
        {'accuracy': '51.2%', 'loss': '1.235', 'note': 'warm-up'}
    """

    def __init__(
        self,
        formats: Mapping[str, str] | None = None,
        default_format: str = ".3f",
        exclude_keys: Sequence[str] = (),
        include_keys: Sequence[str] = (),
        include_formatted: bool = True,
    ) -> None:
        self.formats = dict(formats or {})
        self.default_format = default_format
        self.exclude_keys = list(exclude_keys)
        self.include_keys = list(include_keys)
        if include_formatted:
            self.include_keys += [key for key in self.formats if key not in self.include_keys]
        # Patterns of formats alone do not restrict the selection.
        self._chooses = bool(include_keys)

    def get_relevant_metrics(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Return the selected metrics."""
        return {key: value for key, value in metrics.items() if self._is_relevant(key)}

    def _is_relevant(self, key: str) -> bool:
        included = _matches_any(key, self.include_keys)
        if self.exclude_keys:
            return included or not _matches_any(key, self.exclude_keys)
        return included or not self._chooses

    def _format_of(self, key: str) -> str:
        for pattern, specification in self.formats.items():
            if fnmatchcase(key, pattern):
                return specification
        return self.default_format

    def __call__(self, metrics: Mapping[str, Any]) -> dict[str, str]:
        """Return the selected metrics as formatted strings."""
        return {key: _text(value, self._format_of(key)) for key, value in self.get_relevant_metrics(metrics).items()}


def _matches_any(key: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _text(value: Any, specification: str) -> str:
    """Format a value by the specification, or with ``str`` if that fails."""
    value = single_value(value)
    if value is None or isinstance(value, str | bool):
        return str(value)
    if isinstance(value, numbers.Number):
        try:
            return format(value, specification)
        except (TypeError, ValueError):
            return str(value)
    return f"{type(value).__name__.lower()}{tuple(value.shape)}" if hasattr(value, "shape") else str(value)


def single_value(value: Any) -> Any:
    """Convert a tensor, array or NumPy scalar of one element to a Python scalar; return other values unchanged."""
    if isinstance(value, Tensor):
        return value.item() if value.numel() == 1 else value
    if isinstance(value, np.ndarray | np.generic):
        return value.item() if value.size == 1 else value
    return value

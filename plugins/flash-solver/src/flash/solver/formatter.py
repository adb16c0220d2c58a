"""How metrics are shown: which of them, and with how many digits."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from torch import Tensor

__all__ = ["Formatter"]


class Formatter:
    """Chooses metrics by name and turns them into text.

    Patterns are those of the shell (``acc_*``), and case matters; the first one that fits decides.

    Args:
        formats: Python format specifications by pattern.
        default_format: The specification of metrics that no pattern fits.
        exclude_keys: Patterns of metrics to leave out, unless they are included.
        include_keys: Patterns of metrics to show; alone, they are all that is shown.
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
        # Patterns that only say how: they restrict nothing by themselves.
        self._chooses = bool(include_keys)

    def get_relevant_metrics(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Return the metrics that are shown."""
        return {key: value for key, value in metrics.items() if self._is_relevant(key)}

    def _is_relevant(self, key: str) -> bool:
        included = _fits(key, self.include_keys)
        if self.exclude_keys:
            return included or not _fits(key, self.exclude_keys)
        return included or not self._chooses

    def _format_of(self, key: str) -> str:
        for pattern, specification in self.formats.items():
            if fnmatchcase(key, pattern):
                return specification
        return self.default_format

    def __call__(self, metrics: Mapping[str, Any]) -> dict[str, str]:
        """Return the text of each metric that is shown."""
        return {key: _text(value, self._format_of(key)) for key, value in self.get_relevant_metrics(metrics).items()}


def _fits(key: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _text(value: Any, specification: str) -> str:
    """Format what the specification can format, and show anything else as Python does."""
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
    """Return the Python value in a tensor, array or numpy scalar of one element, and anything else as it is."""
    if isinstance(value, Tensor):
        return value.item() if value.numel() == 1 else value
    if isinstance(value, np.ndarray | np.generic):
        return value.item() if value.size == 1 else value
    return value

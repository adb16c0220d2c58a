"""Plain data: what a metric becomes in the history, and what any state becomes in a checkpoint."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flash.solver.errors import StateError
from flash.solver.formatter import single_value

__all__ = ["from_safe", "plain_config", "plain_metrics", "to_safe"]

_ARRAY = "__numpy__"
# A metric with more numbers than this is a picture or a sound that went astray: the history keeps its shape.
_MOST_NUMBERS = 4096


def plain_metrics(metrics: Any) -> Any:
    """Return metrics as JSON can hold them: numbers, strings, booleans, ``None``, lists and dicts.

    Args:
        metrics: Anything; what has no such form becomes its text.

    Example:
        >>> plain_metrics({"loss": torch.tensor(0.5), "note": "warm-up", "best": None, "rates": np.ones(2)})
        {'loss': 0.5, 'note': 'warm-up', 'best': None, 'rates': [1.0, 1.0]}
    """
    value = single_value(metrics)
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Tensor | np.ndarray):
        size = value.numel() if isinstance(value, Tensor) else value.size
        if size > _MOST_NUMBERS:
            return f"{type(value).__name__.lower()}{tuple(value.shape)}"
        return plain_metrics(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain_metrics(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_metrics(item) for item in value]
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def plain_config(config: Any) -> Any:
    """Return a configuration of OmegaConf as dicts and lists, with its interpolations as they are written."""
    omegaconf = sys.modules.get("omegaconf")
    if omegaconf is not None and omegaconf.OmegaConf.is_config(config):
        return omegaconf.OmegaConf.to_container(config, resolve=False)
    return config


def to_safe(value: Any, where: str = "state", copy: bool = False) -> Any:
    """Return state as a checkpoint holds it: data that ``torch.load(weights_only=True)`` takes.

    Args:
        value: Tensors, numbers, strings, arrays, paths, enumerations and configurations, in dicts, lists, tuples
            and sets.
        where: What the value is called in an error.
        copy: Whether tensors are copied to the CPU, for a file that is written while training goes on.

    Raises:
        StateError: If there is something else in it.
    """
    value = plain_config(value)
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True) if copy else value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return {_ARRAY: torch.from_numpy(value.copy()), "dtype": value.dtype.str}
    if isinstance(value, Enum):
        return to_safe(value.value, where, copy)
    if isinstance(value, Mapping):
        return {key: to_safe(item, f"{where}[{key!r}]", copy) for key, item in value.items()}
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, list | tuple):
        items = [to_safe(item, f"{where}[{index}]", copy) for index, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, set | frozenset):
        return {to_safe(item, where, copy) for item in value}
    return _leaf(value, where)


def _leaf(value: Any, where: str) -> Any:
    # Not their subclasses, whose code a reader might not have.
    plain: Any
    for plain in (bool, int, float, complex, str, bytes):
        if isinstance(value, plain):
            return plain(value)
    if value is None or isinstance(value, torch.dtype | torch.device):
        return value
    if isinstance(value, PurePath):
        return str(value)
    raise StateError(
        f"Expected plain data to save, such as tensors, numbers, strings, lists and dicts, but {where} is a "
        f"{type(value).__name__}. Give its class state_dict() and load_state_dict(), or register what it is made of."
    )


def from_safe(value: Any) -> Any:
    """Undo :func:`to_safe`, as far as it can be undone: arrays are arrays again."""
    if isinstance(value, dict):
        if value.keys() == {_ARRAY, "dtype"}:
            return value[_ARRAY].numpy().astype(np.dtype(value["dtype"]), copy=False)
        return {key: from_safe(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(from_safe(item) for item in value)
    return value

"""Plain data: what a metric becomes in the history, and what any state becomes in a checkpoint."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from flash.serialization import NotSerializableError, to_serializable
from flash.solver.errors import StateError
from flash.solver.formatter import single_value

__all__ = ["plain_config", "plain_metrics", "to_safe"]

# A metric with more numbers than this is a picture or a sound that went astray: the history keeps its shape.
_MOST_NUMBERS = 4096


def plain_metrics(metrics: Any) -> Any:
    """Return metrics as JSON can hold them: numbers, strings, booleans, ``None``, lists and dicts.

    Args:
        metrics: Anything; what has no such form becomes its text.

    Example:
        >>> import torch
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
        value: What :func:`flash.serialization.values.to_serializable` takes, and configurations of OmegaConf.
        where: What the value is called in an error.
        copy: Whether tensors are copied to the CPU, for a file that is written while training goes on.

    Raises:
        StateError: If there is something else in it.
    """
    try:
        return to_serializable(value, where=where, copy=copy, prepare=plain_config)
    except NotSerializableError as error:
        raise StateError(
            f"Expected plain data to save, such as tensors, numbers, strings, lists and dicts, but {error}. Give its "
            "class state_dict() and load_state_dict(), or register what it is made of."
        ) from error

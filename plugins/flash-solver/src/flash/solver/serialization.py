"""Convert metrics to JSON values for the history, and state to serializable values for checkpoints."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from flash.serialization import NotSerializableError, to_serializable
from flash.solver.errors import StateError
from flash.solver.formatter import single_value

__all__ = ["config_to_container", "metrics_to_json", "state_to_serializable"]

# A metric with more elements is probably an image or audio passed by mistake: the history keeps its shape only.
_MAX_ELEMENTS = 4096


def metrics_to_json(metrics: Any) -> Any:
    """Convert metrics to JSON values: numbers, strings, booleans, ``None``, lists and dicts.

    Args:
        metrics: Any value; other types are converted with ``float`` if possible, else with ``str``.

    Example:
        >>> import torch
        >>> metrics_to_json({"loss": torch.tensor(0.5), "note": "warm-up", "best": None, "rates": np.ones(2)})
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
        if size > _MAX_ELEMENTS:
            return f"{type(value).__name__.lower()}{tuple(value.shape)}"
        return metrics_to_json(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): metrics_to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [metrics_to_json(item) for item in value]
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def config_to_container(config: Any, resolve: bool = False) -> Any:
    """Convert an OmegaConf configuration to dicts and lists; return any other value as it is.

    Args:
        config: The configuration.
        resolve: Whether interpolations are resolved; otherwise they stay as written.
    """
    omegaconf = sys.modules.get("omegaconf")
    if omegaconf is not None and omegaconf.OmegaConf.is_config(config):
        return omegaconf.OmegaConf.to_container(config, resolve=resolve)
    return config


def state_to_serializable(value: Any, where: str = "state", copy: bool = False) -> Any:
    """Convert state to serializable values, which ``torch.load(weights_only=True)`` loads.

    Args:
        value: A value that :func:`flash.serialization.values.to_serializable` accepts, or an OmegaConf configuration.
        where: The name of the value in error messages.
        copy: Whether tensors are copied to the CPU, for a file that is written in a background thread.

    Raises:
        StateError: If it contains another kind of value.
    """
    try:
        return to_serializable(value, where=where, copy=copy, prepare=config_to_container)
    except NotSerializableError as error:
        raise StateError(
            f"Expected serializable values, such as tensors, numbers, strings, lists and dicts, but {error}. Add "
            "state_dict() and load_state_dict() to its class, or register its attributes instead."
        ) from error

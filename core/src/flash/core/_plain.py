"""Plain data: what a checkpoint may hold, so that loading it executes nothing."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import Self

__all__ = ["InitArguments", "Rebuildable", "from_plain", "same_data", "to_plain"]

_REFERENCE = "__reference__"
# Classes and functions of these modules are stored by name: importing them runs nothing that is not installed
# with torch, and none of them does more than compute.
_REFERABLE = ("torch.nn.functional", "torch.nn", "torch.optim", "torch.optim.lr_scheduler", "torch")


class NotPlainError(TypeError):
    """A value that has no form as plain data."""


def to_plain(value: Any) -> Any:
    """Return ``value`` as numbers, strings, tensors, lists, tuples and dicts; torch's own functions by name.

    Raises:
        NotPlainError: If that is not possible.

    Example:
        >>> to_plain({"optimizer": torch.optim.SGD, "sizes": (1, 2)})
        {'optimizer': {'__reference__': 'torch.optim:SGD'}, 'sizes': (1, 2)}
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return torch.from_numpy(np.ascontiguousarray(value)).clone()
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    if type(value) is tuple:
        return tuple(to_plain(item) for item in value)
    if isinstance(value, Mapping) and all(isinstance(key, str | int | float | bool) for key in value):
        return {key: to_plain(item) for key, item in value.items()}
    return _to_reference(value)


def _to_reference(value: Any) -> dict[str, str]:
    name = getattr(value, "__name__", None)
    if name is not None and (inspect.isclass(value) or callable(value)):
        for module in _REFERABLE:
            if getattr(importlib.import_module(module), name, None) is value:
                return {_REFERENCE: f"{module}:{name}"}
    raise NotPlainError(f"{type(value).__name__} is not plain data")


def from_plain(value: Any) -> Any:
    """Undo :func:`to_plain`; only names in torch's own modules are followed.

    Example:
        >>> from_plain({"__reference__": "torch.nn.functional:mse_loss"}).__name__
        'mse_loss'
    """
    if isinstance(value, dict):
        if set(value) == {_REFERENCE}:
            return _follow(value[_REFERENCE])
        return {key: from_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(from_plain(item) for item in value)
    return value


def _follow(reference: str) -> Any:
    module, _, name = reference.partition(":")
    allowed = module in _REFERABLE and name.isidentifier() and (module != "torch" or name in _TORCH_VALUES)
    found = getattr(importlib.import_module(module), name, None) if allowed else None
    if not callable(found):
        raise ValueError(f"{reference!r} is not a name that a checkpoint may refer to")
    return found


def same_data(one: Any, other: Any) -> bool:
    """Whether two pieces of plain data are equal, tensors included.

    Example:
        >>> same_data({"mean": torch.ones(2)}, {"mean": torch.ones(2)})
        True
    """
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same_data(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same_data, one, other))
    return bool(one == other)


# Of torch itself only elementwise functions, as activations and losses are made of.
_TORCH_VALUES = frozenset({"relu", "sigmoid", "tanh", "softmax", "selu", "celu", "abs", "exp"})


class InitArguments:
    """The arguments that an object was made with, and which of them a checkpoint can hold.

    Args:
        values: Each parameter's value, defaults included.

    Attributes:
        plain: Those that are plain data.
        left_out: The names of the others, with their types.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.plain: dict[str, Any] = {}
        self.left_out: dict[str, str] = {}
        for name, value in values.items():
            try:
                self.plain[name] = to_plain(value)
            except NotPlainError:
                self.left_out[name] = "module" if _has_weights(value) else type(value).__name__

    @classmethod
    def capture(cls, owner: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> InitArguments:
        """Match the arguments of a call of ``owner`` with the parameters of its ``__init__``."""
        signature = inspect.signature(owner.__init__)  # type: ignore[misc]  # the class itself is asked, on purpose
        try:
            bound = signature.bind(None, *args, **kwargs)
        except TypeError:
            # The call itself is about to fail with Python's own message; or this is copy or pickle, which fill in
            # the attributes afterwards.
            return cls({})
        bound.apply_defaults()
        values = dict(list(bound.arguments.items())[1:])
        for name, parameter in signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                values |= values.pop(name)
            elif parameter.kind is parameter.VAR_POSITIONAL and not values[name]:
                del values[name]
        return cls(values)


class Rebuildable:
    """An object that remembers the arguments that it was made with, so that a checkpoint can make it again."""

    _arguments: InitArguments

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remember the arguments of this call."""
        made = super().__new__(cls)
        # Not by assignment: a torch module is not initialised yet at this point.
        object.__setattr__(made, "_arguments", InitArguments.capture(cls, args, kwargs))
        return made


def _has_weights(value: Any) -> bool:
    return isinstance(value, nn.Module) and any(True for _ in value.parameters())

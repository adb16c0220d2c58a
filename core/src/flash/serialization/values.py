"""Convert values to serializable ones that a checkpoint may hold, and back."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import PurePath
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor

__all__ = ["NotSerializableError", "equal", "from_serializable", "made_from", "to_serializable"]

T = TypeVar("T")
_REFERENCE = "__reference__"
_ARRAY = "__numpy__"
# Classes and functions of these modules are stored by name: importing them runs only torch's own code, and calling
# them has no side effects.
_REFERABLE = ("torch.nn.functional", "torch.nn", "torch.optim", "torch.optim.lr_scheduler", "torch")
# The kinds of arrays' types that are stored; others have a size or a layout of their own.
_NUMERIC = "biufc"
# Of torch itself only elementwise functions that activations and losses consist of.
_TORCH_FUNCTIONS = frozenset({"relu", "sigmoid", "tanh", "softmax", "selu", "celu", "abs", "exp"})


class NotSerializableError(TypeError):
    """A value that cannot be serialized into a checkpoint."""


def to_serializable(
    value: Any, *, where: str = "value", copy: bool = False, prepare: Callable[[Any], Any] | None = None
) -> Any:
    """Convert a value to numbers, strings, tensors and containers of them; torch's own functions to their names.

    Args:
        value: Any nesting of numbers, strings, bytes, tensors, arrays, paths, enumerations, dtypes, devices, and
            functions and classes of torch.
        where: Name of the value in error messages.
        copy: Whether to copy tensors, for a file that is written while training continues.
        prepare: Applied to each value first, to convert types that the caller knows.

    Raises:
        NotSerializableError: If it contains a value of another type; the message names its position.

    Example:
        >>> to_serializable({"optimizer": torch.optim.SGD, "sizes": (1, 2)})
        {'optimizer': {'__reference__': 'torch.optim:SGD'}, 'sizes': (1, 2)}
    """

    def convert(value: Any, where: str) -> Any:
        value = value if prepare is None else prepare(value)
        if isinstance(value, Tensor):
            return value.detach().to("cpu", copy=copy)
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, np.ndarray) and value.dtype.kind in _NUMERIC:
            # torch supports the native byte order only.
            native = np.array(value, dtype=value.dtype.newbyteorder("="), order="C")
            return {_ARRAY: torch.from_numpy(native), "dtype": value.dtype.str}
        if isinstance(value, Enum):
            return convert(value.value, where)
        if isinstance(value, Mapping):
            return {_to_key(key, where): convert(item, f"{where}[{key!r}]") for key, item in value.items()}
        if isinstance(value, list | tuple):
            items = [convert(item, f"{where}[{index}]") for index, item in enumerate(value)]
            return tuple(items) if isinstance(value, tuple) else items
        if isinstance(value, set | frozenset):
            return {convert(item, where) for item in value}
        return _to_leaf(value, where)

    return convert(value, where)


def _to_key(key: Any, where: str) -> Any:
    if key is None or isinstance(key, str | int | float | bool | tuple):
        return key
    raise NotSerializableError(f"{where} has a {type(key).__name__} as a key")


def _to_leaf(value: Any, where: str) -> Any:
    # Subclasses are converted to the builtin type: their code may be missing on load.
    plain: Any
    for plain in (bool, int, float, complex, str, bytes):
        if isinstance(value, plain):
            return plain(value)
    if value is None or isinstance(value, torch.dtype | torch.device):
        return value
    if isinstance(value, PurePath):
        return str(value)
    name = getattr(value, "__name__", None)
    if name is not None and (inspect.isclass(value) or callable(value)):
        for module in _REFERABLE:
            if getattr(importlib.import_module(module), name, None) is value:
                return {_REFERENCE: f"{module}:{name}"}
    raise NotSerializableError(f"{where} is a {type(value).__name__}")


def from_serializable(value: Any) -> Any:
    """Restore the values that :func:`to_serializable` converted; only names in torch's own modules are imported.

    Raises:
        ValueError: If a name is not one of torch's functions or classes, or a type is not one of numbers.

    Example:
        >>> from_serializable({"__reference__": "torch.nn.functional:mse_loss"}).__name__
        'mse_loss'
    """
    if isinstance(value, dict):
        if value.keys() == {_REFERENCE}:
            return _follow(value[_REFERENCE])
        if value.keys() == {_ARRAY, "dtype"}:
            return _to_array(value[_ARRAY], value["dtype"])
        return {key: from_serializable(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(from_serializable(item) for item in value)
    return value


def _to_array(value: Any, code: Any) -> np.ndarray[Any, Any]:
    try:
        dtype = np.dtype(code) if isinstance(code, str) else None
    except (TypeError, ValueError):
        dtype = None
    # A type of text or of records has a size of its own: a file could ask for any amount of memory.
    if dtype is None or dtype.kind not in _NUMERIC or not isinstance(value, Tensor):
        raise ValueError(f"{code!r} of a {type(value).__name__} is not an array that a checkpoint may hold")
    found: np.ndarray[Any, Any] = value.numpy().astype(dtype, copy=False)
    return found


def made_from(cls: Callable[..., T], stored: Any) -> T:
    """Make a dataclass of stored values, which have to be of the types that its fields are annotated with.

    Args:
        cls: A dataclass.
        stored: The values by the name of the field.

    Raises:
        TypeError: If a value is of another type, or missing, or there is no such field.

    Example:
        >>> import dataclasses
        >>> @dataclasses.dataclass
        ... class Column:
        ...     name: str
        ...     edges: list[float]
        >>> made_from(Column, {"name": "age", "edges": [0, 1.5]})
        Column(name='age', edges=[0, 1.5])
    """
    if not isinstance(stored, Mapping):
        raise TypeError(f"expected the fields of a {getattr(cls, '__name__', cls)}, but got a {type(stored).__name__}")
    types = get_type_hints(cls)
    for name, value in stored.items():
        if name in types and not _is_of(value, types[name]):
            raise TypeError(f"{name!r} is {value!r:.50}")
    return cls(**stored)


def _is_of(value: Any, kind: Any) -> bool:
    """Return whether a value is of an annotated type, of those that serializable values are made of."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_is_of(value, each) for each in inner)
    if origin is list:
        return isinstance(value, list) and all(_is_of(each, inner[0]) for each in value)
    if kind is float or kind is int:
        return isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
    return kind is Any or not isinstance(kind, type) or isinstance(value, kind)


def _follow(reference: Any) -> Any:
    module, _, name = str(reference).partition(":")
    allowed = module in _REFERABLE and name.isidentifier() and (module != "torch" or name in _TORCH_FUNCTIONS)
    found = getattr(importlib.import_module(module), name, None) if allowed else None
    if not callable(found):
        raise ValueError(f"{reference!r} is not a name that a checkpoint may refer to")
    return found


def equal(one: Any, other: Any) -> bool:
    """Return whether two serializable values are equal, tensors and arrays by shape and elements.

    Example:
        >>> equal({"mean": torch.ones(2)}, {"mean": torch.ones(2)})
        True
    """
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)

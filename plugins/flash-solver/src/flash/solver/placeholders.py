"""Placeholders for classes in checkpoints of Flashy: OmegaConf's configurations, and NumPy's numbers and arrays.

The unpickler calls these classes instead of the real ones. They store what the file says, and run nothing of it: an
array is made after reading, of a type from a fixed list, and only from as many bytes as its shape needs.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["PLACEHOLDERS", "replace_placeholders"]

_MAX_SIZE = 2**40
_NUMBERS = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"})
# Classes of builtins that configurations refer to.
_BUILTINS = (dict, list, tuple, int, float, str, bool)


class _Placeholder:
    """Placeholder of an OmegaConf object, or of a type: stores its state, and does nothing."""

    state: Any = None

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Dict:
    """Placeholder of a ``defaultdict``: creates a dict, the only mapping that torch's unpickler fills."""

    def __new__(cls, *_: Any) -> Any:
        return {}


class _NDArray:
    """Placeholder of ``numpy.ndarray``, which files name, and must not call: it would take memory of their choice."""

    def __new__(cls, *_: Any) -> Any:
        raise pickle.UnpicklingError("Unsupported global: GLOBAL numpy.ndarray")  # As core's reader says.


class _DType:
    """Placeholder of ``numpy.dtype``: a type of numbers, and its byte order."""

    def __init__(self, code: Any = None, *_: Any) -> None:
        if not isinstance(code, str) or code not in _NUMBERS:
            raise _refused(f"a NumPy array of the type {code!r}, which is not one of numbers")
        self.code: str = code
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "=") or any(state[2:5]):
            raise _refused("a NumPy type with a layout of its own")
        self.order = state[1]

    def to_numpy(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.code)


class _Scalar:
    """Placeholder of the function that makes a NumPy number: creates Python's number."""

    def __new__(cls, dtype: Any = None, content: Any = None, *_: Any) -> Any:
        return _to_array(dtype, (), content, "C").item()


class _Array:
    """Placeholder of the function that makes an array, which is empty until its state is set."""

    value: Any = None

    def __init__(self, kind: Any = None, *_: Any) -> None:
        if kind is not _CLASSES["numpy", "ndarray"]:
            raise _refused("a NumPy array of another class")

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise _refused("a NumPy array without its content")
        _, shape, dtype, is_fortran, content = state
        self.value = _to_array(dtype, shape, content, "F" if is_fortran else "C")


def _to_array(dtype: Any, shape: Any, content: Any, order: Any) -> np.ndarray[Any, Any]:
    if not isinstance(dtype, _DType) or not isinstance(content, bytes):
        raise _refused("a NumPy array that is not one of numbers")
    is_shape = isinstance(shape, tuple) and len(shape) <= 32 and all(type(size) is int and size >= 0 for size in shape)
    found = dtype.to_numpy()
    # The sizes beside a 0 are not bounded by the content.
    if not is_shape or math.prod(shape) * found.itemsize != len(content) or max(shape, default=0) > _MAX_SIZE:
        raise _refused(f"a NumPy array of {len(content)} bytes with the shape {shape}")
    if not content:
        return np.zeros(shape, found)
    array: np.ndarray[Any, Any] = np.frombuffer(content, found).reshape(shape, order=order).copy()
    return array


def _refused(what: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(f"Unsupported: {what}")


_NAMES: dict[str, dict[str, type]] = {
    "omegaconf.dictconfig": {"DictConfig": _Placeholder},
    "omegaconf.listconfig": {"ListConfig": _Placeholder},
    "omegaconf.base": dict.fromkeys(("Metadata", "ContainerMetadata", "Node", "SCMode"), _Placeholder),
    "omegaconf.nodes": dict.fromkeys(
        ("AnyNode", "BooleanNode", "BytesNode", "EnumNode", "FloatNode", "IntegerNode", "PathNode", "StringNode"),
        _Placeholder,
    ),
    "typing": dict.fromkeys(("Any", "Union", "Optional"), _Placeholder),
    "builtins": dict.fromkeys((each.__name__ for each in _BUILTINS), _Placeholder),
    "collections": {"defaultdict": _Dict},
    "numpy": {"ndarray": _NDArray, "dtype": _DType},
    "numpy.core.multiarray": {"_reconstruct": _Array, "scalar": _Scalar},
    "numpy._core.multiarray": {"_reconstruct": _Array, "scalar": _Scalar},
}
# The unpickler finds a class by its module and name.
_CLASSES = {
    (module, name): type(name, (base,), {"__module__": module})
    for module, group in _NAMES.items()
    for name, base in group.items()
}

#: The classes that a checkpoint of Flashy may hold, by the names of those that they stand for.
PLACEHOLDERS: tuple[type, ...] = tuple(_CLASSES.values())

_TYPES: dict[type, type] = {_CLASSES["builtins", each.__name__]: each for each in _BUILTINS}


def replace_placeholders(value: Any) -> Any:
    """Replace the placeholders in the content of a file by plain values and arrays.

    Args:
        value: What the unpickler returned.
    """
    if isinstance(value, _Placeholder):
        state = value.state if isinstance(value.state, Mapping) else {}
        return replace_placeholders(state.get("_content", state.get("_val")))
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, dict):
        return {key: replace_placeholders(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(replace_placeholders(item) for item in value)
    return _TYPES.get(value, value) if isinstance(value, type) else value

"""Serializable values as JSON, with their types: what JSON has no form for is an object with one tagged key."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from flash.serialization.values import NotSerializableError

__all__ = ["decode", "dumps", "encode", "loads"]

_TAG = "$"


def encode(value: Any, name_of: Callable[[Tensor], str]) -> Any:
    """Convert serializable values to those of JSON.

    Numbers that are no JSON, complex numbers, bytes, tuples, sets, types of tensors, devices, and dicts with other keys
    than strings are objects with one key, such as ``{"$tuple": [1, 2]}``.

    Args:
        value: The values, as of :func:`flash.serialization.to_serializable`.
        name_of: Stores a tensor elsewhere, and returns its name there.

    Raises:
        NotSerializableError: If it contains a value of another type.

    Example:
        >>> encode({"size": (1, 2), 3: math.inf}, str)
        {'$dict': [['size', {'$tuple': [1, 2]}], [3, {'$float': 'inf'}]]}
    """

    def convert(value: Any) -> Any:
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else {"$float": repr(value)}
        if isinstance(value, complex):
            return {"$complex": [convert(value.real), convert(value.imag)]}
        if isinstance(value, bytes):
            return {"$bytes": base64.b64encode(value).decode("ascii")}
        if isinstance(value, Tensor):
            return {"$tensor": name_of(value)}
        if isinstance(value, torch.dtype):
            return {"$dtype": str(value).removeprefix("torch.")}
        if isinstance(value, torch.device):
            return {"$device": str(value)}
        if isinstance(value, list):
            return [convert(each) for each in value]
        if isinstance(value, tuple):
            return {"$tuple": [convert(each) for each in value]}
        if isinstance(value, set | frozenset):
            return {"$set": [convert(each) for each in sorted(value, key=repr)]}
        if isinstance(value, Mapping):
            pairs = [(key, convert(each)) for key, each in value.items()]
            if all(isinstance(key, str) and not key.startswith(_TAG) for key in value):
                return dict(pairs)
            return {"$dict": [[convert(key), each] for key, each in pairs]}
        raise NotSerializableError(f"a {type(value).__name__} cannot be stored as JSON")

    return convert(value)


def decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Undo :func:`encode`.

    Args:
        value: Values of JSON, of any origin.
        tensors: The tensors by name.

    Raises:
        ValueError: If an object has a tag that :func:`encode` does not write, or its content is not what belongs to it.

    Example:
        >>> decode({"size": {"$tuple": [1, 2]}}, {})
        {'size': (1, 2)}
    """

    def restore(value: Any) -> Any:
        if isinstance(value, list):
            return [restore(each) for each in value]
        if not isinstance(value, dict):
            return value
        tagged = [key for key in value if key.startswith(_TAG)]
        if not tagged:
            return {key: restore(each) for key, each in value.items()}
        if len(value) > 1 or tagged[0] not in _FORMS:
            raise ValueError(f"{tagged[0]!r:.50} is no tag of Flash")
        (content,) = value.values()
        if tagged[0] == "$tensor":
            return tensors[content]
        try:
            if tagged[0] in ("$tuple", "$set", "$dict", "$complex"):
                content = [restore(each) for each in _list(content)]
            return _FORMS[tagged[0]](content)
        except (AttributeError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"{tagged[0]!r} has {content!r:.50}") from error

    try:
        return restore(value)
    except (KeyError, TypeError) as error:
        raise ValueError(f"there is no tensor {error}") from error


def _list(content: Any) -> list[Any]:
    if not isinstance(content, list):
        raise TypeError
    return content


def _float(content: Any) -> float:
    if content not in ("nan", "inf", "-inf"):
        raise ValueError
    return float(content)


def _dtype(content: Any) -> torch.dtype:
    found = getattr(torch, content)
    if not isinstance(found, torch.dtype):
        raise TypeError
    return found


def _device(content: Any) -> torch.device:
    return torch.device(str(content))


def _bytes(content: Any) -> bytes:
    return base64.b64decode(content, validate=True)


def _complex(content: Any) -> complex:
    real, imaginary = content
    return complex(real, imaginary)


_FORMS: dict[str, Callable[[Any], Any]] = {
    "$bytes": _bytes,
    "$complex": _complex,
    "$device": _device,
    "$dict": dict,
    "$dtype": _dtype,
    "$float": _float,
    "$set": set,
    "$tensor": str,
    "$tuple": tuple,
}


def dumps(value: Any, *, indent: int | None = None) -> bytes:
    """Return values of JSON as UTF-8; without an indent, in the one form that checksums are computed from.

    Example:
        >>> dumps({"labels": ["Zürich"]}).decode()
        '{"labels":["Zürich"]}'
    """
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)
    # Half of a character of two, which tokenizers have as a token, is no UTF-8; Python's json reads it all the same.
    return text.encode("utf-8", "surrogatepass")


def loads(content: bytes) -> Any:
    """Return the values of JSON, which has to be standard JSON in UTF-8.

    Raises:
        ValueError: If it is not, or nests too deeply.

    Example:
        >>> loads(b'{"a": [1, 2.0, null]}')
        {'a': [1, 2.0, None]}
    """
    try:
        return json.loads(content.decode("utf-8", "surrogatepass"), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("its values contain each other too deeply") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")

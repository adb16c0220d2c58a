"""Samples as a person looks at them in figures and reports: text, named values, or an image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor

from flash.errors import ConfigurationError

__all__ = ["Display", "check_displays", "is_image", "summarize"]

#: A sample for a person: text; values by name, such as the columns of a row; or an image, a uint8 array of shape
#: ``(height, width, 3)``.
Display: TypeAlias = str | dict[str, Any] | np.ndarray

# Vectors of up to this many numbers are written out.
_MAX_NUMBERS = 8
_MAX_LENGTH = 200


def summarize(sample: Any) -> Display:
    """Return a sample of any type for a person: texts and images as they are, large arrays by their statistics.

    Args:
        sample: Any value.

    Example:
        >>> import torch
        >>> summarize(torch.tensor([1.0, 2.5])), summarize({"series": torch.ones(3, 100), "step": 7})
        ('1, 2.5', {'series': '3 × 100 numbers, mean 1, standard deviation 0', 'step': 7})
    """  # noqa: RUF002  # a multiplication sign
    if isinstance(sample, str) or is_image(sample):
        return sample  # type: ignore[no-any-return]  # one of these two
    if isinstance(sample, Mapping):
        return {str(name): _plain(value) for name, value in sample.items()}
    return str(_plain(sample))


def is_image(value: Any) -> bool:
    """Return whether a value is an image: a uint8 array of shape ``(height, width, 3)``, not empty.

    Example:
        >>> is_image(np.zeros((4, 6, 3), np.uint8)), is_image(np.zeros((4, 6), np.uint8))
        (True, False)
    """
    is_array = isinstance(value, np.ndarray) and value.dtype == np.uint8
    return is_array and value.ndim == 3 and value.shape[2] == 3 and value.size > 0


def check_displays(displays: Sequence[Any], count: int, owner: str) -> list[Display]:
    """Return the results of a ``display`` hook, if they are as many as there are samples, and each of its types.

    Args:
        displays: The results of the hook.
        count: The number of samples.
        owner: The name of the hook in messages, such as ``"AudioPreprocess.display"``.

    Raises:
        ConfigurationError: If they are not.

    Example:
        >>> check_displays(["a recording of 2 s"], 1, "AudioPreprocess.display")
        ['a recording of 2 s']
    """
    if not isinstance(displays, Sequence) or isinstance(displays, str) or len(displays) != count:
        got = f"{len(displays)}" if isinstance(displays, Sequence) else f"a {type(displays).__name__}"
        raise ConfigurationError(
            f"Expected {owner} to return a list with one value for each of {count} samples, but got {got}. Return "
            "[... for row in rows]."
        )
    known: Any = None
    for value in displays:
        if known is not None and type(value) is dict and value.keys() == known:
            continue  # Rows of a table have the same columns.
        named = isinstance(value, dict) and all(isinstance(name, str) for name in value)
        known = value.keys() if named else known
        if not (isinstance(value, str) or named or is_image(value)):
            raise ConfigurationError(
                f"Expected {owner} to return text, dicts of values by name, or images as uint8 arrays of shape "
                f"(height, width, 3), but got {_kind(value)}. Convert it."
            )
    return list(displays)


def _plain(value: Any) -> Any:
    """Return a value as a number, a text, ``None``, or the summary of an array."""
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return _array(value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple) and len(value) <= _MAX_NUMBERS:
        return ", ".join(str(_plain(each)) for each in value)
    text = " ".join(repr(value).split())
    return text if len(text) <= _MAX_LENGTH else f"{text[: _MAX_LENGTH - 1]}…"


def _array(array: np.ndarray[Any, Any]) -> Any:
    is_number = array.dtype.kind in "biuf"
    if array.ndim == 0:
        return float(f"{array.item():.6g}") if array.dtype.kind == "f" and math.isfinite(array) else array.item()
    if array.ndim == 1 and array.size <= _MAX_NUMBERS:
        return ", ".join(f"{each:.4g}" if is_number else str(each) for each in array.tolist())
    size = " × ".join(map(str, array.shape))  # noqa: RUF001  # a multiplication sign
    if not is_number or not array.size:
        return f"{size} values of type {array.dtype}"
    numbers = array.astype(np.float64)
    return f"{size} numbers, mean {numbers.mean():.4g}, standard deviation {numbers.std():.4g}"


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray | Tensor):
        return f"{type(value).__name__} of {value.dtype} and shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"

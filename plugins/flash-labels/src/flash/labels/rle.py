"""The run-length code of brush strokes in Label Studio: bytes of an RGBA image, packed by the bit.

A stream of bits, the highest first: the number of values (32 bits), the size of a value in bits less one (5 bits), and
four sizes of run lengths in bits less one (4 bits each). Then come runs: a bit that is 1 for one value that repeats and
0 for values that differ, two bits for the size of the length, the length less one, and the value or the values. It is
the format ``rle-pack`` of thi.ng.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from flash.errors import DataError

__all__ = ["decode_mask", "encode_mask"]

_SIZES = (3, 4, 8, 16)
_CHANNELS = 4


def decode_mask(code: Any, size: tuple[int, int], name: str = "a task") -> npt.NDArray[np.bool_]:
    """Return the pixels of a brush stroke, shape ``(height, width)``.

    Args:
        code: Integers from 0 to 255.
        size: Width and height of the image.
        name: The name of the task in messages.

    Raises:
        DataError: If the code is malformed, or is that of an image of another size.

    Example:
        >>> decode_mask(encode_mask(np.array([[0, 1, 1], [0, 0, 1]])), (3, 2)).astype(int).tolist()
        [[0, 1, 1], [0, 0, 1]]
    """
    width, height = size
    if not isinstance(code, list | tuple) or not all(type(each) is int and 0 <= each < 256 for each in code):
        raise _malformed(name, size)
    values = _decode(bytes(code), width * height * _CHANNELS)
    if values is None:
        raise _malformed(name, size)
    alpha: npt.NDArray[np.bool_] = values.reshape(height, width, _CHANNELS)[..., -1] > 0
    return alpha


def _malformed(name: str, size: tuple[int, int]) -> DataError:
    return DataError(
        f"Expected a brush stroke to be the run lengths of an image of {size[0]} x {size[1]} pixels, but that of "
        f"{name} is truncated, or of another size. Export it again as JSON."
    )


def _decode(code: bytes, count: int) -> npt.NDArray[np.uint8] | None:
    """Return the values; ``None`` if there are not as many as expected."""
    bits = _Bits(code)
    try:
        if bits.take(32) != count:
            return None
        word = bits.take(5) + 1
        sizes = [bits.take(4) + 1 for _ in range(4)]
        if word != 8:
            return None
        values = np.zeros(count, np.uint8)
        place = 0
        while place < count:
            repeats = bits.take(1)
            stop = place + bits.take(sizes[bits.take(2)]) + 1
            if stop > count:
                return None
            values[place:stop] = bits.take(word) if repeats else [bits.take(word) for _ in range(place, stop)]
            place = stop
    except EOFError:
        return None
    return values


class _Bits:
    """A reader of bits.

    Args:
        content: The bytes, of which the highest bit comes first.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._place = 0

    def take(self, count: int) -> int:
        """Return the number in the next bits.

        Raises:
            EOFError: If there are not as many.
        """
        stop = self._place + count
        if stop > 8 * len(self._content):
            raise EOFError
        first, last = self._place // 8, -(-stop // 8)
        self._place = stop
        whole = int.from_bytes(self._content[first:last], "big")
        return (whole >> (8 * last - stop)) & ((1 << count) - 1)


def encode_mask(mask: npt.NDArray[Any]) -> list[int]:
    """Return the code of pixels.

    Args:
        mask: Zero where there is no stroke, shape ``(height, width)``.

    Returns:
        Integers from 0 to 255.
    """
    flat = np.repeat(np.asarray(mask).ravel() != 0, _CHANNELS)
    changes = np.flatnonzero(np.diff(flat)) + 1
    edges = [0, *changes.tolist(), len(flat)]
    parts = [f"{len(flat):032b}", f"{7:05b}", *(f"{each - 1:04b}" for each in _SIZES)]
    for start, stop in pairwise(edges):
        parts += _run(stop - start, 255 if flat[start] else 0)
    text = "".join(parts)
    text += "0" * (-len(text) % 8)
    # As one number of many digits it would take time with their square.
    return [int(text[place : place + 8], 2) for place in range(0, len(text), 8)]


def _run(length: int, value: int) -> Sequence[str]:
    parts = []
    while length > 0:
        here = min(length, 1 << _SIZES[-1])
        kind = next(place for place, size in enumerate(_SIZES) if here <= 1 << size)
        parts.append(f"1{kind:02b}{here - 1:0{_SIZES[kind]}b}{value:08b}")
        length -= here
    return parts

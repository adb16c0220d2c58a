"""Texts that are kept compressed in memory, to be tokenized once a task is connected, and again for another task."""

from __future__ import annotations

import numbers
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice
from typing import Any, overload

import numpy as np

from flash.data.tables import is_missing
from flash.errors import DataError

__all__ = ["PackedTexts", "texts_of"]

_BLOCK_SIZE = 1024


class PackedTexts(Sequence[str]):
    """A sequence of texts that is compressed in blocks, with a fraction of the memory of a list of strings.

    Characters that UTF-8 cannot encode (lone surrogates) are replaced by question marks.

    Args:
        texts: The texts; they are read once, block by block.

    Example:
        >>> texts = PackedTexts(["good", "", "très bien"])
        >>> len(texts), texts[2], list(texts.take([2, 0]))
        (3, 'très bien', ['très bien', 'good'])
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._blocks: list[tuple[bytes, array[int]]] = []
        self._length = 0
        rest = iter(texts)
        while block := [text.encode("utf-8", errors="replace") for text in islice(rest, _BLOCK_SIZE)]:
            ends = array("q", accumulate(len(text) for text in block))
            self._blocks.append((zlib.compress(b"".join(block), level=1), ends))
            self._length += len(block)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> PackedTexts: ...
    def __getitem__(self, index: int | slice) -> str | PackedTexts:
        if isinstance(index, slice):
            return self.take(range(self._length)[index])
        row = range(self._length)[index]
        return _unpack(*self._blocks[row // _BLOCK_SIZE])[row % _BLOCK_SIZE]

    def __iter__(self) -> Iterator[str]:
        for block in self.blocks():
            yield from block

    def blocks(self) -> Iterator[list[str]]:
        """Yield the texts in order, as one list per block."""
        for block in self._blocks:
            yield _unpack(*block)

    def take(self, rows: Iterable[int]) -> PackedTexts:
        """Return the texts of some rows, in the order of the rows."""
        texts = list(self)
        return PackedTexts(texts[row] for row in rows)

    @property
    def nbytes(self) -> int:
        """The size of the compressed texts in memory, in bytes."""
        return sum(len(packed) + ends.itemsize * len(ends) for packed, ends in self._blocks)


def _unpack(packed: bytes, ends: array[int]) -> list[str]:
    joined = zlib.decompress(packed)
    return [joined[start:end].decode("utf-8") for start, end in zip([0, *ends], ends, strict=False)]


def texts_of(values: Iterable[Any], source: str) -> list[str]:
    """Return values as texts: numbers are converted to strings, and empty texts are allowed.

    Args:
        values: One value per row.
        source: The name of the values in messages, such as ``"the train data"``.

    Raises:
        DataError: If a value is missing, or is neither a text nor a number.

    Example:
        >>> texts_of(["good", 7, ""], "the train data")
        ['good', '7', '']
    """
    texts: list[str] = []
    missing: list[int] = []
    for row, value in enumerate(values):
        if isinstance(value, str):
            texts.append(value)
        elif is_missing(value):
            missing.append(row)
        elif isinstance(value, numbers.Number | np.bool_):
            texts.append(str(value))
        else:
            raise DataError(
                f"Expected a text in each row of {source}, but row {row} (counted from 0) is a "
                f"{type(value).__name__}. Convert it to a text first."
            )
    if missing:
        raise DataError(
            f"Expected a text in each row of {source}, but {len(missing)} of {len(texts) + len(missing)} have none, "
            f"the first of them row {missing[0]} (counted from 0). Drop these rows, or fill them with ''."
        )
    return texts

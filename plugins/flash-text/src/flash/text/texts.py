"""Texts that are kept compressed in memory, to be tokenized once a task is connected, and again for another task."""

from __future__ import annotations

import numbers
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice
from typing import Any, overload

import numpy as np

from flash.data.messages import show
from flash.data.tables import is_missing
from flash.errors import DataError

__all__ = ["PackedPairs", "PackedTexts", "packed", "texts_of"]

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

    def pick(self, rows: Sequence[int]) -> list[str]:
        """Return the texts of some rows as a list: few by their blocks alone, many by reading all once."""
        if len(rows) * _BLOCK_SIZE < len(self):
            return [self[row] for row in rows]
        texts = list(self)
        return [texts[row] for row in rows]

    @property
    def nbytes(self) -> int:
        """The size of the compressed texts in memory, in bytes."""
        return sum(len(packed) + ends.itemsize * len(ends) for packed, ends in self._blocks)


class PackedPairs(Sequence[tuple[str, str]]):
    """A sequence of pairs of texts, such as questions with answers, compressed like :class:`PackedTexts`.

    Args:
        first: The first text of each pair.
        second: The second text of each pair.

    Example:
        >>> pairs = PackedPairs(PackedTexts(["Who?", "Where?"]), PackedTexts(["Ada.", "Here."]))
        >>> len(pairs), pairs[1], list(pairs.take([0]))
        (2, ('Where?', 'Here.'), [('Who?', 'Ada.')])
    """

    def __init__(self, first: PackedTexts, second: PackedTexts) -> None:
        self.first = first
        self.second = second

    def __len__(self) -> int:
        return len(self.first)

    @overload
    def __getitem__(self, index: int) -> tuple[str, str]: ...
    @overload
    def __getitem__(self, index: slice) -> PackedPairs: ...
    def __getitem__(self, index: int | slice) -> tuple[str, str] | PackedPairs:
        if isinstance(index, slice):
            return PackedPairs(self.first[index], self.second[index])
        return self.first[index], self.second[index]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for block in self.blocks():
            yield from block

    def blocks(self) -> Iterator[list[tuple[str, str]]]:
        """Yield the pairs in order, as one list per block."""
        for first, second in zip(self.first.blocks(), self.second.blocks(), strict=True):
            yield list(zip(first, second, strict=True))

    def take(self, rows: Sequence[int]) -> PackedPairs:
        """Return the pairs of some rows, in the order of the rows."""
        return PackedPairs(self.first.take(rows), self.second.take(rows))

    @property
    def nbytes(self) -> int:
        """The size of the compressed texts in memory, in bytes."""
        return self.first.nbytes + self.second.nbytes


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


def packed(values: Iterable[Any], source: str) -> PackedTexts | PackedPairs:
    """Return values as compressed texts, or as pairs of texts if they are lists, tuples or arrays of two.

    Args:
        values: One text, or one pair of texts, per row.
        source: The name of the values in messages, such as ``"the train data"``.

    Raises:
        DataError: If a value is missing, or some values are pairs and others are not.

    Example:
        >>> packed([("Who?", "Ada."), ["Where?", "Here."]], "the train data")[1]
        ('Where?', 'Here.')
    """
    if isinstance(values, PackedTexts | PackedPairs):
        return values
    rows = list(values)
    if not any(_is_row(value) for value in rows):
        return PackedTexts(texts_of(rows, source))
    for row, value in enumerate(rows):
        if not _is_row(value) or len(value) != 2:
            raise DataError(
                f"Expected a text in each row of {source}, or a pair of two texts in each, but row {row} (counted from "
                f"0) is {show(value)}. Make all rows alike, or join their texts to one."
            )
    first, second = ([value[part] for value in rows] for part in (0, 1))
    return PackedPairs(
        PackedTexts(texts_of(first, f"the first texts of {source}")),
        PackedTexts(texts_of(second, f"the second texts of {source}")),
    )


def _is_row(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1)

"""The rows of a large table that are kept, in one bit per row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

__all__ = ["KeptRows"]

_Flags = npt.NDArray[np.bool_]
# The rows whose numbers are looked up together.
_CHUNK = 1 << 16


class KeptRows(Sequence[int]):
    """The sorted numbers of some rows of a table, counted from 0.

    A list of them takes 36 bytes per row, and so more than many a row; this is a bit per row of the table.

    Args:
        flags: For each row of the table whether it is kept, shape ``(rows,)``.

    Example:
        >>> kept = KeptRows(np.array([False, True, True, False, True]))
        >>> len(kept), list(kept), kept.flags(1, 4)
        (3, [1, 2, 4], array([ True,  True, False]))
    """

    def __init__(self, flags: _Flags) -> None:
        self._bits = np.packbits(flags)
        self.whole = len(flags)
        starts = np.arange(0, max(len(flags), 1), _CHUNK)
        # The number of kept rows before each chunk, and of all.
        self._before = np.concatenate([[0], np.add.reduceat(flags, starts, dtype=np.int64).cumsum()])
        self._chunk: tuple[int, npt.NDArray[np.int64]] = (-1, np.empty(0, dtype=np.int64))

    def __len__(self) -> int:
        return int(self._before[-1])

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"There are {len(self)} rows, but no row {index}.")
        chunk = int(np.searchsorted(self._before, place, side="right")) - 1
        if self._chunk[0] != chunk:
            start = chunk * _CHUNK
            self._chunk = chunk, np.flatnonzero(self.flags(start, min(start + _CHUNK, self.whole))) + start
        return int(self._chunk[1][place - self._before[chunk]])

    def flags(self, start: int, stop: int) -> _Flags:
        """Return for each row of a part of the table whether it is kept, shape ``(stop - start,)``.

        Args:
            start: The first row of the part.
            stop: The row after its last.
        """
        first = start // 8
        bits = np.unpackbits(self._bits[first : -(-stop // 8)])
        return bits[start - first * 8 : stop - first * 8].astype(bool)

    def within(self, kept: KeptRows) -> KeptRows:
        """Return those of these rows that others keep, whose table is these rows.

        Example:
            >>> kept = KeptRows(np.array([False, True, True, False, True]))
            >>> list(kept.within(KeptRows(np.array([True, False, True]))))
            [1, 4]
        """
        flags = self.flags(0, self.whole)
        flags[flags] = kept.flags(0, len(self))
        return KeptRows(flags)

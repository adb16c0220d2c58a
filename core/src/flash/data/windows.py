"""A random order of the rows of a file that reads the file block by block."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from flash.data.samplers import ShuffledRows

__all__ = ["WindowedOrder", "WindowedRows", "Windows"]


class Windows(NamedTuple):
    """The shuffling of the rows of a file: the blocks that are read at once, and how many of them are mixed.

    Samples that lie on disk have it as their attribute ``windows``.

    Args:
        rows_of_block: The number of rows of a block; or, where they differ, the first row of each block and the number
            of all rows, shape ``(blocks + 1,)``.
        blocks_of_window: The number of blocks whose rows are mixed.
    """

    rows_of_block: int | Tensor
    blocks_of_window: int


class WindowedOrder:
    """The rows in a random order, which is made window by window when it is asked for.

    The blocks of the file come in random order; the rows of a window of so many blocks are mixed. So nothing is held
    for each row.

    Args:
        length: The number of rows.
        rows_of_block: The number of rows of a block, or the bounds of all blocks; see :class:`Windows`.
        blocks_of_window: The number of blocks of a window.
        seed: The seed of the order.

    Example:
        >>> order = WindowedOrder(11, rows_of_block=2, blocks_of_window=3, seed=0)
        >>> sorted(order[0:11].tolist())
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
        >>> torch.equal(order[4:8], order[0:11][4:8])
        True
    """

    def __init__(self, length: int, rows_of_block: int | Tensor, blocks_of_window: int, seed: int) -> None:
        self._length, self._seed = length, seed
        if isinstance(rows_of_block, Tensor):
            self._edges = rows_of_block
            whole = len(self._edges) - 1
        else:
            # Rows that do not fill a block are mixed into the last window.
            whole = length // rows_of_block
            self._edges = torch.arange(whole + 1) * rows_of_block
        self._blocks = self._permutation(whole, 0)
        windows = max(1, -(-whole // blocks_of_window))
        self._bounds = [whole * window // windows for window in range(windows + 1)]
        sizes = (self._edges[1:] - self._edges[:-1])[self._blocks]
        ends = torch.cat([torch.zeros(1, dtype=torch.long), sizes.cumsum(0)])
        self._starts = ends[torch.tensor(self._bounds[:-1])]
        self._last: tuple[int, Tensor] = (-1, self._blocks)

    def _permutation(self, count: int, number: int) -> Tensor:
        generator = torch.Generator().manual_seed((self._seed * 1_000_003 + number) % 2**63)
        return torch.randperm(count, generator=generator)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, places: slice) -> Tensor:
        start, stop, _ = places.indices(self._length)
        parts = [torch.empty(0, dtype=torch.long)]
        while start < stop:
            number = int(torch.searchsorted(self._starts, start, right=True)) - 1
            first = int(self._starts[number])
            parts.append(self._window(number)[start - first : stop - first])
            start += len(parts[-1])
        return parts[1] if len(parts) == 2 else torch.cat(parts)

    def _window(self, number: int) -> Tensor:
        if self._last[0] != number:
            rows = self._rows_of(self._blocks[self._bounds[number] : self._bounds[number + 1]])
            if number == len(self._bounds) - 2:
                rows = torch.cat([rows, torch.arange(int(self._edges[-1]), self._length)])
            self._last = number, rows[self._permutation(len(rows), number + 1)]
        return self._last[1]

    def _rows_of(self, blocks: Tensor) -> Tensor:
        """Return the rows of some blocks, one block after the other."""
        firsts, sizes = self._edges[blocks], self._edges[blocks + 1] - self._edges[blocks]
        places = torch.arange(int(sizes.sum()))
        return places + (firsts - (sizes.cumsum(0) - sizes)).repeat_interleave(sizes)


class WindowedRows(ShuffledRows):
    """A random order of the rows of a file, which depends only on the seed and the epoch; see :class:`WindowedOrder`.

    Args:
        length: The number of rows.
        seed: The seed of the random order.
        rows_of_block: The number of rows of a block of the file, or the bounds of all blocks; see :class:`Windows`.
        blocks_of_window: The number of blocks whose rows are mixed.

    Example:
        >>> rows = WindowedRows(5, seed=0, rows_of_block=2, blocks_of_window=2)
        >>> sorted(rows)
        [0, 1, 2, 3, 4]
    """

    def __init__(self, length: int, seed: int, rows_of_block: int | Tensor, blocks_of_window: int) -> None:
        super().__init__(length, seed)
        self._sizes = (rows_of_block, blocks_of_window)

    def permutation(self) -> WindowedOrder:
        """Return the order of this epoch."""
        return WindowedOrder(self._length, *self._sizes, seed=self._seed * 1_000_003 + self.epoch)

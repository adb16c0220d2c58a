"""A random order of the rows of a file that reads the file block by block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from flash.data.samplers import RowOrder, SharedOrder, ShuffledRows

__all__ = ["LanedOrder", "WindowedOrder", "WindowedRows", "Windows"]


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
    """The rows in a random order, or a part of it, which is made window by window when it is asked for.

    The blocks of the file come in random order; the rows of a window of so many blocks are mixed. So nothing is held
    for each row. A part begins and ends at rows of the blocks in their random order, before they are mixed: parts of
    one seed that do not overlap have different rows, and different blocks but for those at their bounds.

    Args:
        length: The number of rows of the file.
        rows_of_block: The number of rows of a block, or the bounds of all blocks; see :class:`Windows`.
        blocks_of_window: The number of blocks of a window.
        seed: The seed of the order.
        part: The rows of the order; by default all.

    Example:
        >>> order = WindowedOrder(11, rows_of_block=2, blocks_of_window=3, seed=0)
        >>> sorted(order[0:11].tolist())
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
        >>> torch.equal(order[4:8], order[0:11][4:8])
        True
        >>> parts = [WindowedOrder(11, 2, 3, seed=0, part=part) for part in (range(4), range(4, 11))]
        >>> sorted([*parts[0][0:4].tolist(), *parts[1][0:7].tolist()]) == list(range(11))
        True
    """

    def __init__(
        self, length: int, rows_of_block: int | Tensor, blocks_of_window: int, seed: int, part: range | None = None
    ) -> None:
        self._length, self._seed = length, seed
        self._part = range(length) if part is None else part
        if isinstance(rows_of_block, Tensor):
            self._edges = rows_of_block
            whole = len(self._edges) - 1
        else:
            # Rows that do not fill a block are mixed into the last window.
            whole = length // rows_of_block
            self._edges = torch.arange(whole + 1) * rows_of_block
        self._blocks = self._permutation(whole, 0)
        sizes = (self._edges[1:] - self._edges[:-1])[self._blocks]
        self._ends = torch.cat([torch.zeros(1, dtype=torch.long), sizes.cumsum(0)])
        first = int(torch.searchsorted(self._ends, self._part.start, right=True)) - 1
        last = min(int(torch.searchsorted(self._ends, self._part.stop)), whole)
        windows = max(1, -(-(last - first) // blocks_of_window))
        self._bounds = [first + (last - first) * window // windows for window in range(windows + 1)]
        self._starts = (self._ends[torch.tensor(self._bounds[:-1])] - self._part.start).clamp(min=0)
        self._last: tuple[int, Tensor] = (-1, self._blocks)

    def _permutation(self, count: int, number: int) -> Tensor:
        generator = torch.Generator().manual_seed((self._seed * 1_000_003 + number) % 2**63)
        return torch.randperm(count, generator=generator)

    def __len__(self) -> int:
        return len(self._part)

    def __getitem__(self, places: slice) -> Tensor:
        start, stop, _ = places.indices(len(self))
        parts = [torch.empty(0, dtype=torch.long)]
        while start < stop:
            number = int(torch.searchsorted(self._starts, start, right=True)) - 1
            first = int(self._starts[number])
            parts.append(self._window(number)[start - first : stop - first])
            start += len(parts[-1])
        return parts[1] if len(parts) == 2 else torch.cat(parts)

    def _window(self, number: int) -> Tensor:
        if self._last[0] != number:
            begin, end = self._bounds[number], self._bounds[number + 1]
            rows = self._rows_of(self._blocks[begin:end])
            if end == len(self._blocks):
                rows = torch.cat([rows, torch.arange(int(self._edges[-1]), self._length)])
            # The first and the last block may belong to the neighbors too.
            place = int(self._ends[begin])
            rows = rows[max(0, self._part.start - place) : self._part.stop - place]
            self._last = number, rows[self._permutation(len(rows), self._part.start + number + 1)]
        return self._last[1]

    def _rows_of(self, blocks: Tensor) -> Tensor:
        """Return the rows of some blocks, one block after the other."""
        firsts, sizes = self._edges[blocks], self._edges[blocks + 1] - self._edges[blocks]
        places = torch.arange(int(sizes.sum()))
        return places + (firsts - (sizes.cumsum(0) - sizes)).repeat_interleave(sizes)


class LanedOrder:
    """Orders whose batches come in turn: where each worker gets the batches of one of them, it needs its rows alone.

    Args:
        lanes: The orders; the lengths are those of :meth:`lengths`.
        batch_size: The number of rows of a batch.

    Example:
        >>> order = LanedOrder([torch.arange(4), torch.arange(10, 13)], batch_size=2)
        >>> order[0:7].tolist(), order[3:5].tolist()
        ([0, 1, 10, 11, 2, 3, 12], [11, 2])
    """

    def __init__(self, lanes: Sequence[RowOrder], batch_size: int) -> None:
        self._lanes, self._batch_size = lanes, batch_size

    @staticmethod
    def lengths(rows: int, batch_size: int, lanes: int) -> list[int]:
        """Return how many of some rows each order has, if the last batch may be smaller.

        Example:
            >>> LanedOrder.lengths(7, batch_size=2, lanes=2)
            [4, 3]
        """
        batches = -(-rows // batch_size)
        found = [len(range(lane, batches, lanes)) * batch_size for lane in range(lanes)]
        found[(batches - 1) % lanes] -= batches * batch_size - rows
        return found

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    def __getitem__(self, places: slice) -> Tensor:
        start, stop, _ = places.indices(len(self))
        parts = [torch.empty(0, dtype=torch.long)]
        while start < stop:
            batch, place = divmod(start, self._batch_size)
            turn, lane = divmod(batch, len(self._lanes))
            count = min(stop - start, self._batch_size - place)
            first = turn * self._batch_size + place
            parts.append(self._lanes[lane][first : first + count])
            start += count
        return parts[1] if len(parts) == 2 else torch.cat(parts)


class WindowedRows(ShuffledRows):
    """A random order of the rows of a file, which depends only on the seed, the epoch and who reads it.

    Where there are enough blocks that each worker of each process has a window of its own, each reads other blocks; see
    :class:`WindowedOrder`. Otherwise all read the blocks of one window, which keeps their rows mixed.

    Args:
        length: The number of rows.
        seed: The seed of the random order.
        rows_of_block: The number of rows of a block of the file, or the bounds of all blocks; see :class:`Windows`.
        blocks_of_window: The number of blocks whose rows are mixed.
        workers: The number of workers of each process that read batches in turn.
        batch_size: The number of rows of a batch.

    Example:
        >>> rows = WindowedRows(5, seed=0, rows_of_block=2, blocks_of_window=2)
        >>> sorted(rows)
        [0, 1, 2, 3, 4]
    """

    def __init__(
        self,
        length: int,
        seed: int,
        rows_of_block: int | Tensor,
        blocks_of_window: int,
        *,
        workers: int = 0,
        batch_size: int = 1,
    ) -> None:
        super().__init__(length, seed)
        self._sizes = (rows_of_block, blocks_of_window)
        self._workers, self._batch_size = workers, batch_size
        # Of the pass that is resumed, and of the last one: the number of workers that its order is made for.
        self._lanes_to_resume: int | None = None
        self._lanes = 1

    def permutation(self) -> RowOrder:
        """Return the order of this epoch."""
        return self._mixed(range(self._length), processes=1)

    def share_of_pass(self, rank: int, processes: int, length: int) -> RowOrder:
        """Return the rows of one process in the next pass: those of its own blocks, if there are enough."""
        self.start_pass()
        if not self._suffice_for(processes):
            return SharedOrder(self._mixed(range(self._length), processes), rank, processes, length)
        # The last process begins in the rows of another one, if they cannot be shared evenly.
        start = min(rank * length, self._length - length)
        return self._mixed(range(start, start + length), processes)

    def state_of_pass(self) -> dict[str, Any]:
        """Return the number of workers that the order of the pass is made for."""
        return {"lanes": self._lanes}

    def resume_pass(self, state: Mapping[str, Any]) -> None:
        """Make the next pass in the order of another one, for as many workers, whatever there are now."""
        self._lanes_to_resume = state.get("lanes")

    def _suffice_for(self, readers: int) -> bool:
        rows_of_block, blocks_of_window = self._sizes
        blocks = len(rows_of_block) - 1 if isinstance(rows_of_block, Tensor) else self._length // rows_of_block
        return blocks >= readers * blocks_of_window

    def _mixed(self, part: range, processes: int) -> RowOrder:
        workers = max(1, self._workers)
        has_batches = len(part) > self._batch_size * (workers - 1)
        self._lanes = workers if has_batches and self._suffice_for(processes * workers) else 1
        if self._lanes_to_resume is not None:
            self._lanes = self._lanes_to_resume
        orders, start, seed = [], part.start, self._seed * 1_000_003 + self.epoch
        for length in LanedOrder.lengths(len(part), self._batch_size, self._lanes):
            orders.append(WindowedOrder(self._length, *self._sizes, seed=seed, part=range(start, start + length)))
            start += length
        return orders[0] if self._lanes == 1 else LanedOrder(orders, self._batch_size)

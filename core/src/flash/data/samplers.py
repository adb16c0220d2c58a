"""Samplers: the order of rows, their sharding between processes, and their batches."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DistributedSampler, Sampler, SequentialSampler

__all__ = [
    "BatchRows",
    "BucketedRows",
    "EvaluationShard",
    "EvenBatches",
    "RowOrder",
    "SeededRows",
    "SharedOrder",
    "ShuffledRows",
    "SortedRows",
    "TrainShard",
    "in_turns",
    "restore_order",
    "seed_batch",
    "sorted_rows",
]

# Rows are bucketed by length within windows of this many batches: enough to save padding, and few enough that batches
# differ between epochs.
_WINDOW = 50


class RowOrder(Protocol):
    """The rows in their order: a tensor, or an object that makes parts of one when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, places: slice) -> Tensor: ...


class ShuffledRows(Sampler[int]):
    """A random order of the rows that depends only on the seed and the epoch.

    Therefore a resumed run has the same batches as an uninterrupted one. Without a call of
    :meth:`set_epoch` before a pass, the epoch is incremented.

    Args:
        length: The number of rows.
        seed: The seed of the random order.

    Example:
        >>> rows = ShuffledRows(4, seed=0)
        >>> sorted(rows)
        [0, 1, 2, 3]
    """

    def __init__(self, length: int, seed: int) -> None:
        self._length = length
        self._seed = seed
        self.epoch = 0
        self._is_chosen = True

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next pass; called by Lightning before each."""
        self.epoch = epoch
        self._is_chosen = True

    def start_pass(self) -> None:
        """Begin the next pass, in the epoch that was set, or else in the one after the last."""
        if not self._is_chosen:
            self.epoch += 1
        self._is_chosen = False

    def next_pass(self) -> RowOrder:
        """Return the order of the next pass, shape ``(length,)``."""
        self.start_pass()
        return self.permutation()

    def share_of_pass(self, rank: int, processes: int, length: int) -> RowOrder:
        """Return the rows of one process in the next pass, shape ``(length,)``.

        Args:
            rank: The rank of the process.
            processes: The number of processes.
            length: The number of rows of each process.
        """
        return SharedOrder(self.next_pass(), rank, processes, length)

    def state_of_pass(self) -> dict[str, Any]:
        """Return what the order of the last pass depends on beside the seed and the epoch: by default nothing."""
        return {}

    def resume_pass(self, state: Mapping[str, Any]) -> None:
        """Make the next pass the rest of another one; an empty state is that of a pass from its beginning.

        Args:
            state: The result of :meth:`state_of_pass` in that pass.
        """

    def state_dict(self) -> dict[str, int]:
        """Return the seed and the epoch of the last pass."""
        return {"seed": self._seed, "epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Continue after the last pass of another run."""
        self._seed, self.epoch, self._is_chosen = state["seed"], state["epoch"], False

    def permutation(self) -> RowOrder:
        """Return the order of this epoch, shape ``(length,)``."""
        return torch.randperm(self._length, generator=self._generator())

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed((self._seed * 1_000_003 + self.epoch) % 2**63)

    def __iter__(self) -> Iterator[int]:
        yield from self.next_pass()[0 : self._length].tolist()

    def __len__(self) -> int:
        return self._length


class BucketedRows(ShuffledRows):
    """A random order with batches bucketed by length, which depends only on the seed and the epoch.

    Args:
        lengths: Length per row, shape ``(rows,)``.
        seed: The seed of the random order.
        batch_size: Number of rows per batch.

    Example:
        >>> rows = BucketedRows(torch.tensor([1, 9, 2, 8]), seed=0, batch_size=2)
        >>> sorted(sorted(batch) for batch in rows.permutation().view(2, 2).tolist())
        [[0, 2], [1, 3]]
    """

    def __init__(self, lengths: Tensor, seed: int, batch_size: int) -> None:
        super().__init__(len(lengths), seed)
        self._lengths = lengths
        self._batch_size = batch_size

    def permutation(self) -> Tensor:
        """Return the order of this epoch, shape ``(length,)``; an incomplete last batch is not bucketed."""
        generator = self._generator()
        rows = torch.randperm(self._length, generator=generator)
        batches, rest = self._length // self._batch_size, self._length % self._batch_size
        if batches == 0:
            return rows
        windows = rows[: self._length - rest].view(batches, self._batch_size).tensor_split(-(-batches // _WINDOW))
        order = [self._by_length(window.flatten()).view(window.shape) for window in windows]
        shuffled = torch.cat(order)[torch.randperm(batches, generator=generator)]
        return torch.cat([shuffled.flatten(), rows[self._length - rest :]])

    def _by_length(self, rows: Tensor) -> Tensor:
        return rows[self._lengths[rows].argsort(stable=True)]


class SortedRows(Sampler[int]):
    """All rows, sorted by length in descending order, so that each batch has rows of similar length.

    Args:
        lengths: Length per row, shape ``(rows,)``.

    Attributes:
        order: The sorted rows.

    Example:
        >>> list(SortedRows(torch.tensor([1, 9, 2])))
        [1, 2, 0]
    """

    def __init__(self, lengths: Tensor) -> None:
        self.order = lengths.argsort(descending=True, stable=True)

    def __iter__(self) -> Iterator[int]:
        yield from self.order.tolist()

    def __len__(self) -> int:
        return len(self.order)


class TrainShard(DistributedSampler[Any]):
    """The rows of one process in distributed training; all processes have the same number of rows.

    Rows are assigned in turn; with :class:`BucketedRows` all processes have rows of similar length at the same time.

    Args:
        order: The order of all rows, the same in each process.
        rank: The rank of this process.
        processes: The number of processes.
        drop_last: Whether to drop rows that do not fill all shards; otherwise the first rows are repeated.

    Example:
        >>> shards = [TrainShard(ShuffledRows(6, seed=0), rank, processes=2) for rank in (0, 1)]
        >>> sorted([*shards[0], *shards[1]])
        [0, 1, 2, 3, 4, 5]
        >>> len(shards[0])
        3
    """

    def __init__(self, order: ShuffledRows, rank: int, processes: int, *, drop_last: bool = False) -> None:
        rows: Any = range(len(order))
        super().__init__(rows, num_replicas=processes, rank=rank, drop_last=drop_last)
        self.order = order

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next pass."""
        super().set_epoch(epoch)
        self.order.set_epoch(epoch)

    def next_pass(self) -> RowOrder:
        """Return the order of the next pass in this process."""
        return self.order.share_of_pass(self.rank, self.num_replicas, self.num_samples)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.next_pass()[0 : self.num_samples].tolist())

    def state_of_pass(self) -> dict[str, Any]:
        """Return what the order of the last pass depends on."""
        return self.order.state_of_pass()

    def resume_pass(self, state: Mapping[str, Any]) -> None:
        """Make the next pass the rest of another one."""
        self.order.resume_pass(state)

    def state_dict(self) -> dict[str, int]:
        """Return the state of the order."""
        return self.order.state_dict()

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Continue after the last pass of another run."""
        self.order.load_state_dict(state)


class SharedOrder:
    """The rows of one process: each so many-th of an order, which starts again where it is too short.

    Args:
        order: The order of all rows.
        rank: The rank of the process.
        processes: The number of processes.
        length: The number of rows of the process.

    Example:
        >>> SharedOrder(torch.arange(5), rank=1, processes=2, length=3)[0:3].tolist()
        [1, 3, 0]
    """

    def __init__(self, order: RowOrder, rank: int, processes: int, length: int) -> None:
        self._order, self._rank, self._processes, self._length = order, rank, processes, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, places: slice) -> Tensor:
        start, stop, _ = places.indices(self._length)
        first, end, whole = start * self._processes, stop * self._processes, max(len(self._order), 1)
        parts = []
        while first < end:
            begin = first % whole
            parts.append(self._order[begin : min(whole, begin + end - first)])
            first += len(parts[-1])
        return torch.cat([*parts, torch.empty(0, dtype=torch.long)])[self._rank :: self._processes]


class EvaluationShard(DistributedSampler[Any]):
    """The rows of one process in distributed evaluation; each row is evaluated once.

    A process may have one row less than another, or none.

    Args:
        order: The order of all rows, the same in each process.
        rank: The rank of this process.
        processes: The number of processes.
        consecutive: Whether a process has rows that follow one another, so that it writes them together.
        lanes: The number of workers of a process that read batches in turn; each gets batches that follow one another
            in the order, see :func:`in_turns`.

    Example:
        >>> [list(EvaluationShard(range(5), rank, processes=2)) for rank in (0, 1)]
        [[0, 2, 4], [1, 3]]
        >>> [list(EvaluationShard(range(5), rank, processes=2, consecutive=True)) for rank in (0, 1)]
        [[0, 1, 2], [3, 4]]
    """

    def __init__(
        self,
        order: Sampler[int] | Sequence[int],
        rank: int,
        processes: int,
        *,
        consecutive: bool = False,
        lanes: int = 1,
    ) -> None:
        rows: Any = order
        super().__init__(rows, num_replicas=processes, rank=rank, shuffle=False)
        self.order = order
        self.total_size = len(rows)
        self.num_samples = len(range(rank, self.total_size, processes))
        self._consecutive = consecutive
        self.lanes = lanes

    def rows(self) -> Sequence[int]:
        """Return the rows of this process; a range of them takes no memory."""
        order = _in_order(self.order)
        if not self._consecutive:
            return order[self.rank :: self.num_replicas]
        small, larger = divmod(len(order), self.num_replicas)
        start = self.rank * small + min(self.rank, larger)
        return order[start : start + self.num_samples]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows())


class SeededRows(NamedTuple):
    """The rows of a batch, and the seed of what is random in it."""

    seed: str
    rows: Any


def seed_batch(seed: str) -> None:
    """Seed the random numbers of this process, a worker, for a batch.

    What a worker draws then depends neither on the number of workers nor on the batches before.

    Args:
        seed: The seed, which differs from batch to batch.
    """
    number = random.Random(seed).getrandbits(32)  # noqa: S311  # no secret
    random.seed(number)
    np.random.seed(number)
    # Not torch.manual_seed, which also seeds devices that a worker does not have.
    torch.default_generator.manual_seed(number)


class BatchRows(BatchSampler):
    """Batches of row indices; shuffled ones are tensors, without a Python step per row.

    The signature is that of torch's ``BatchSampler``, so that Lightning can inject a distributed sampler.

    Args:
        sampler: The sampler of the row order.
        batch_size: Number of rows per batch.
        drop_last: Whether to drop an incomplete last batch.

    Attributes:
        seeds: Numbers that the seed of each batch is made of, together with the pass and the batch; if there are any,
            batches are :class:`SeededRows`.
    """

    def __init__(self, sampler: Sampler[int], batch_size: int, drop_last: bool) -> None:
        super().__init__(sampler, batch_size, drop_last)
        self.seeds: tuple[int, ...] | None = None
        self._skip = self._pass = 0
        self._resumed: list[Any] | None = None
        self._order: Any = None

    def begin(self, skip: int, number: int, state: Mapping[str, Any] | None = None) -> None:
        """Prepare the next iteration.

        Args:
            skip: Number of batches to skip.
            number: The number of the pass.
            state: The result of :meth:`state_of_rows` in the pass that is resumed.
        """
        self._skip, self._pass, self._order = skip, number, None
        state = state or {}
        if isinstance(self.sampler, ShuffledRows | TrainShard):
            self.sampler.resume_pass(state)
        self._resumed = state["order"].tolist() if "order" in state else None
        self.load_generator(state)

    def state_of_rows(self) -> dict[str, Any] | None:
        """Return what the order of the current pass depends on beside the seed and the epoch, as serializable values.

        Of a user's sampler, which draws the order in its own way, it is the order, and the state of its generator; but
        not in several processes. ``None`` if there is nothing.
        """
        if isinstance(self.sampler, ShuffledRows | TrainShard):
            return self.sampler.state_of_pass() or None
        fixed = (DistributedSampler, SequentialSampler)
        if self._order is None or isinstance(self.sampler, fixed):
            return None
        generator = getattr(self.sampler, "generator", None)
        states = {"generator": generator.get_state()} if isinstance(generator, torch.Generator) else {}
        return {"order": torch.tensor(self._order), **states}

    def __iter__(self) -> Iterator[Any]:
        skip, self._skip = self._skip, 0
        rows = self._next_order()
        for number in islice(in_turns(-(-len(rows) // self.batch_size), _lanes_of(self.sampler)), skip, None):
            start = number * self.batch_size
            batch = rows[start : start + self.batch_size]
            if len(batch) == self.batch_size or not self.drop_last:
                yield (
                    batch
                    if self.seeds is None
                    else SeededRows(" ".join(map(str, (*self.seeds, self._pass, start))), batch)
                )

    def _next_order(self) -> Any:
        if isinstance(self.sampler, ShuffledRows | TrainShard):
            return self.sampler.next_pass()
        resumed, self._resumed = self._resumed, None
        self._order = _in_order(self.sampler) if resumed is None else resumed
        return self._order

    def load_generator(self, state: Mapping[str, Any]) -> None:
        """Load the state of the sampler's generator from the result of :meth:`state_of_rows`, if it is there."""
        generator = getattr(self.sampler, "generator", None)
        if isinstance(generator, torch.Generator) and "generator" in state:
            generator.set_state(state["generator"])


class EvenBatches(BatchRows):
    """Batches of similar size, the same number in each process, regardless of its number of rows.

    Otherwise processes that synchronize in each batch would hang.

    Args:
        sampler: The rows of this process.
        batch_size: Maximum number of rows per batch.
        drop_last: Not used: no row is dropped.
    """

    sampler: EvaluationShard

    def __len__(self) -> int:
        max_rows = -(-self.sampler.total_size // self.sampler.num_replicas)
        return -(-max_rows // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        rows, batches = self.sampler.rows(), len(self)
        small, larger = divmod(len(rows), batches)
        for number in in_turns(batches, self.sampler.lanes):
            start = number * small + min(number, larger)
            yield rows[start : start + small + (number < larger)]


def in_turns(batches: int, lanes: int) -> Iterator[int]:
    """Yield the numbers of batches for workers that get them in turn, so that each has ones that follow one another.

    Args:
        batches: The number of batches.
        lanes: The number of workers.

    Example:
        >>> list(in_turns(7, lanes=2))
        [0, 4, 1, 5, 2, 6, 3]
    """
    small, larger = divmod(batches, lanes)
    for place in range(batches):
        turn, lane = divmod(place, lanes)
        yield lane * small + min(lane, larger) + turn


def _lanes_of(sampler: Any) -> int:
    return sampler.lanes if isinstance(sampler, EvaluationShard) else 1


def _in_order(sampler: Any) -> Sequence[int]:
    """Return the rows of a sampler; those of a sequential one are a range, which takes no memory."""
    if isinstance(sampler, EvaluationShard):
        return sampler.rows()
    is_range = type(sampler) is SequentialSampler or isinstance(sampler, range)
    return range(len(sampler)) if is_range else list(sampler)


def sorted_rows(loader: Any) -> list[int] | None:
    """Return the order of rows of a loader that sorts them by length, or has lanes for its workers; otherwise None."""
    batches = getattr(loader, "batch_sampler", None)
    sampler = getattr(batches, "sampler", None)
    if batches is not None and _lanes_of(sampler) > 1:
        return list(chain.from_iterable(batches))
    return list(sampler) if isinstance(sampler, SortedRows) else None


def restore_order(rows: Sequence[int], results: Sequence[Any]) -> list[Any]:
    """Restore dataset order for per-sample results of a loader with another order, see :func:`sorted_rows`.

    Args:
        rows: The row index of each result.
        results: One result per sample.

    Example:
        >>> restore_order([2, 0, 1], ["c", "a", "b"])
        ['a', 'b', 'c']
    """
    ordered: list[Any] = [None] * len(rows)
    for row, result in zip(rows, results, strict=True):
        ordered[row] = result
    return ordered

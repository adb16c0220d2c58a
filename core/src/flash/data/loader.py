"""Loaders: seeded order that a checkpoint can restore, and whole batches from memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from pytorch_lightning.overrides.distributed import UnrepeatedDistributedSampler
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    Sampler,
    SequentialSampler,
    Subset,
    TensorDataset,
)

from flash.data.auto_dataset import AutoDataset
from flash.data.columns import Columns
from flash.data.features import Features
from flash.data.hooks import SampleHooks
from flash.data.process import Preprocess, StageHooks
from flash.data.stage import Stage
from flash.data.streams import AutoStream, shared_out

__all__ = [
    "BatchRows",
    "BucketedRows",
    "Loader",
    "ShuffledRows",
    "SortedRows",
    "in_input_order",
    "is_sorted",
    "make_loader",
]

# Rows of similar length are sought among those of this many batches: enough to save padding, and few enough that no
# two epochs have the same batches.
_WINDOW = 50


class ShuffledRows(Sampler[int]):
    """A random order of the rows that depends on nothing but the seed and the epoch.

    That is what lets a resumed run see the batches that the interrupted one would have seen.

    Args:
        length: The number of rows.
        seed: Where the random numbers start.

    Example:
        >>> rows = ShuffledRows(4, seed=0)
        >>> sorted(rows)
        [0, 1, 2, 3]
    """

    def __init__(self, length: int, seed: int) -> None:
        self._length = length
        self._seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of another epoch; Lightning calls this before each."""
        self.epoch = epoch

    def permutation(self) -> Tensor:
        """The order of this epoch, shape ``(length,)``."""
        return torch.randperm(self._length, generator=self._generator())

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self._seed * 1_000_003 + self.epoch)

    def __iter__(self) -> Iterator[int]:
        yield from self.permutation().tolist()

    def __len__(self) -> int:
        return self._length


class BucketedRows(ShuffledRows):
    """A random order in which each batch is of rows of similar length, which depends on the seed and the epoch.

    Args:
        lengths: How long each row is, shape ``(rows,)``.
        seed: Where the random numbers start.
        batch_size: Rows in a batch.

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
        """The order of this epoch, shape ``(length,)``; a last batch that is not full is of any lengths."""
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


class _ShardOfBuckets(DistributedSampler[Any]):
    """The rows of one of several processes that train together: all have batches of similar length at a time."""

    def __init__(self, dataset: Any, lengths: Tensor, seed: int, batch_size: int, shard: tuple[int, int]) -> None:
        rank, processes = shard
        super().__init__(dataset, num_replicas=processes, rank=rank, shuffle=True, seed=seed)
        self._rows = BucketedRows(lengths, seed, batch_size * processes)

    def __iter__(self) -> Iterator[Any]:
        self._rows.set_epoch(self.epoch)
        rows = self._rows.permutation()
        # Each process has the same number of rows: the first ones serve twice.
        rows = rows[torch.arange(self.total_size) % len(rows)]
        return iter(rows[self.rank :: self.num_replicas].tolist())


class _ShardOfEvaluation(UnrepeatedDistributedSampler):
    """The rows of one of several processes that evaluate together: each row is in one of them, once."""

    def __init__(self, dataset: Any, order: Sampler[int], shard: tuple[int, int]) -> None:
        rank, processes = shard
        super().__init__(dataset, num_replicas=processes, rank=rank, shuffle=False)
        self._order = order

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._order)[self.rank :: self.num_replicas])


class SortedRows(Sampler[int]):
    """All rows, the longest first, so that each batch is of rows of similar length.

    Args:
        lengths: How long each row is, shape ``(rows,)``.

    Attributes:
        order: The rows in their order.

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


def is_sorted(loader: Any) -> bool:
    """Whether a loader gives the rows sorted by their length."""
    return isinstance(getattr(getattr(loader, "batch_sampler", None), "sampler", None), SortedRows)


def in_input_order(results: list[Any], loader: Any) -> list[Any]:
    """Put results, one a row, into the order of the dataset, whatever the order in which a loader gave the rows."""
    if not is_sorted(loader):
        return results
    rows = loader.batch_sampler.sampler
    ordered: list[Any] = [None] * len(rows)
    for row, result in zip(rows, results, strict=True):
        ordered[row] = result
    return ordered


class BatchRows(BatchSampler):
    """Batches of row numbers; shuffled ones come as tensors, without one Python step a row.

    The signature is that of torch's ``BatchSampler``, so that Lightning can put a distributed sampler inside.

    Args:
        sampler: Gives the rows in order.
        batch_size: Rows in a batch.
        drop_last: Whether to leave out a last batch that is not full.
        skip: How many batches at the start to leave out, once.
    """

    def __init__(self, sampler: Sampler[int], batch_size: int, drop_last: bool) -> None:
        super().__init__(sampler, batch_size, drop_last)
        self.skip = 0

    def __iter__(self) -> Iterator[Any]:
        skip, self.skip = self.skip, 0
        rows: Any = self.sampler.permutation() if isinstance(self.sampler, ShuffledRows) else list(self.sampler)
        for start in range(skip * self.batch_size, len(rows), self.batch_size):
            batch = rows[start : start + self.batch_size]
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch


class EvenBatches(BatchRows):
    """Batches of about the same size, of which each process has the same number, whatever its number of rows.

    Processes that wait for each other in each batch would hang otherwise.

    Args:
        sampler: The rows of this process.
        batch_size: Rows in a batch, at most.
        drop_last: Not used: no row is left out.
    """

    sampler: _ShardOfEvaluation

    def __len__(self) -> int:
        most = -(-self.sampler.total_size // self.sampler.num_replicas)
        return -(-most // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        for batch in torch.tensor(list(self.sampler)).tensor_split(len(self)):
            yield batch.tolist()


class Loader(DataLoader[Any]):
    """A ``DataLoader`` that can say how far it is, and go on from there.

    Lightning stores :meth:`state_dict` in checkpoints that are written in the middle of an epoch.

    Attributes:
        features: Gives the features of all rows with their targets, once they are computed; batches are made of
            them from then on, and the dataset rests. ``None`` before.
    """

    features: Callable[[], Columns | None] | None = None

    _given = 0
    _resume_at = 0
    _sampler: Any = None

    # With a batch sampler, torch would answer with a sequential sampler, whatever the order really is. Lightning
    # asks here whether the rows are sharded between processes already.
    @property
    def sampler(self) -> Any:
        """What gives the rows in order."""
        return self.batch_sampler.sampler if isinstance(self.batch_sampler, BatchRows) else self._sampler

    @sampler.setter
    def sampler(self, sampler: Any) -> None:
        self._sampler = sampler

    def __len__(self) -> int:
        if not isinstance(self.dataset, AutoStream):
            return super().__len__()
        if self.dataset.num_batches is None:
            raise TypeError("The stream has no length.")
        return self.dataset.num_batches

    def __iter__(self) -> Any:
        if isinstance(self.batch_sampler, BatchRows):
            self.batch_sampler.skip = self._resume_at
        elif isinstance(self.dataset, AutoStream):
            self.dataset.skip(self._resume_at)
        self._given, self._resume_at = self._resume_at, 0
        return self._count()

    def _count(self) -> Iterator[Any]:
        # Lightning makes the iterator of a resumed run's first epoch before a strategy can thaw something in it:
        # whether batches are of features is decided with the first batch.
        columns = None if self.features is None else self.features()
        for batch in super().__iter__() if columns is None else self._batches_of(columns):
            self._given += 1
            yield batch

    def _batches_of(self, columns: Columns) -> Iterator[Any]:
        for rows in self.batch_sampler or ():
            features, targets = columns.take(rows)
            yield Features(features), targets

    def state_dict(self) -> dict[str, int]:
        """How many batches of this epoch have been given out."""
        return {"batches": self._given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Leave out, in the next iteration, the batches that were given out already."""
        self._resume_at = state["batches"]


class _MemoryDataset(Dataset[Any]):
    """Whole batches from memory, of an :class:`AutoDataset` or of another dataset."""

    def __init__(self, columns: Columns, hooks: SampleHooks, source: Dataset[Any]) -> None:
        self._columns = columns
        self._hooks = hooks
        self.source = source

    def __len__(self) -> int:
        return len(self._columns)

    def __getitem__(self, index: int) -> Any:
        return self._columns[index]

    def __getitems__(self, rows: Any) -> Any:
        return self._hooks.transform_batch(self._columns.take(rows))


def samples_of(loader: Any) -> AutoDataset | AutoStream | None:
    """Return the dataset whose samples a loader makes batches of, if its hooks and its stage are known."""
    dataset = getattr(loader, "dataset", None)
    source = dataset.source if isinstance(dataset, _MemoryDataset) else dataset
    if isinstance(source, AutoDataset) or (isinstance(source, AutoStream) and source.has_hooks):
        return source
    return None


def make_loader(
    dataset: Dataset[Any],
    stage: Stage,
    preprocess: Preprocess | None,
    *,
    batch_size: int,
    num_workers: int = 0,
    seed: int = 0,
    epoch: int = 0,
    shard: tuple[int, int] = (0, 1),
    sampler: Any = None,
    by_length: bool = False,
    **options: Any,
) -> DataLoader[Any]:
    """Make the loader for a stage: shuffled for training, in order otherwise.

    A last train batch of a single row is left out where there are others, since batch normalisation cannot use it.

    Args:
        dataset: Any torch dataset.
        stage: What the batches are for.
        preprocess: Its ``collate`` makes the batches of a dataset that is not an :class:`AutoDataset`.
        batch_size: Rows in a batch.
        num_workers: Processes that load batches; 0 loads in this process.
        seed: With the epoch, decides the order.
        epoch: The epoch that the first iteration serves.
        shard: The number of this process and of all processes that train together.
        sampler: For training: gives the rows in order instead of the shuffle; an object or a callable that takes
            the dataset.
        by_length: Whether batches are made of samples of similar length, where an :class:`AutoDataset` says how long
            they are; the samples of other stages than training then come sorted, see :func:`in_input_order`.
        options: More arguments of torch's ``DataLoader``.
    """
    source, collate = _with_collate(dataset, stage, preprocess)
    options["persistent_workers"] = bool(options.get("persistent_workers", True)) and num_workers > 0
    sized: Any = dataset
    if isinstance(dataset, IterableDataset):
        stream = shared_out(dataset, num_workers, shard[1])
        stream.batch_size, stream.shard = batch_size, shard
        return Loader(stream, batch_size=batch_size, num_workers=num_workers, collate_fn=collate, **options)
    length = len(sized)
    lengths = dataset.lengths if by_length and isinstance(dataset, AutoDataset) else None
    rows: Any = SequentialSampler(sized) if lengths is None else SortedRows(lengths)
    if stage is Stage.TRAIN:
        rows = _train_rows(dataset, lengths, batch_size, seed, epoch, shard, sampler)
        length = len(rows) if hasattr(rows, "__len__") else length
    batches: type[BatchRows] = BatchRows
    if stage in (Stage.VAL, Stage.TEST) and 1 < shard[1] <= length:
        rows, batches = _ShardOfEvaluation(dataset, rows, shard), EvenBatches
    drop_last = stage is Stage.TRAIN and length > batch_size and length % batch_size == 1
    return Loader(
        source,
        batch_sampler=batches(rows, batch_size, drop_last),
        num_workers=num_workers,
        collate_fn=collate,
        # Its own generator: reading data draws nothing from the random numbers that training uses.
        generator=torch.Generator().manual_seed(seed),
        **options,
    )


def _train_rows(
    dataset: Any,
    lengths: Tensor | None,
    batch_size: int,
    seed: int,
    epoch: int,
    shard: tuple[int, int],
    sampler: Any,
) -> Any:
    if sampler is not None:
        return sampler(dataset) if isinstance(sampler, type) or not hasattr(sampler, "__iter__") else sampler
    rank, processes = shard
    rows: ShuffledRows | DistributedSampler[Any]
    if processes > 1 and lengths is not None:
        rows = _ShardOfBuckets(dataset, lengths, seed, batch_size, shard)
    elif processes > 1:
        rows = DistributedSampler(dataset, num_replicas=processes, rank=rank, shuffle=True, seed=seed)
    elif lengths is not None:
        rows = BucketedRows(lengths, seed, batch_size)
    else:
        rows = ShuffledRows(len(dataset), seed)
    # Workers read ahead as soon as they start, before anybody calls set_epoch.
    rows.set_epoch(epoch)
    return rows


def _with_collate(dataset: Dataset[Any], stage: Stage, preprocess: Preprocess | None) -> tuple[Dataset[Any], Any]:
    if isinstance(dataset, AutoStream) and dataset.has_hooks:
        return dataset, dataset.hooks.collate
    if isinstance(dataset, AutoDataset):
        hooks, columns = dataset.hooks, dataset.columns
    else:
        hooks = StageHooks(preprocess or Preprocess(), stage)
        columns = _columns_of(dataset) if hooks.has_default_sample_path else None
    if columns is None:
        return dataset, hooks.collate
    return _MemoryDataset(columns, hooks, dataset), _already_a_batch


def _columns_of(dataset: Dataset[Any]) -> Columns | None:
    if type(dataset) is TensorDataset:
        return Columns(tuple(dataset.tensors))
    if type(dataset) is Subset:
        whole = _columns_of(dataset.dataset)
        return None if whole is None else Columns(whole.take(dataset.indices))
    return None


def _already_a_batch(batch: Any) -> Any:
    return batch

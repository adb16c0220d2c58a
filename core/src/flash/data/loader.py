"""Loaders: seeded, resumable order of samples, and whole batches from memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, SequentialSampler, Subset, TensorDataset

from flash.data.auto_dataset import AutoDataset
from flash.data.columns import Columns
from flash.data.features import Features
from flash.data.hooks import SampleHooks
from flash.data.process import Preprocess, StageHooks
from flash.data.samplers import (
    BatchRows,
    BucketedRows,
    EvaluationShard,
    EvenBatches,
    ShuffledRows,
    SortedRows,
    TrainShard,
)
from flash.data.stage import Stage
from flash.data.streams import AutoStream, shard_stream

__all__ = ["Loader", "SamplerSpec", "make_loader", "rows_of_batch", "samples_of"]


#: A sampler of rows: any iterable of row indices, or a class or function that returns one for the dataset.
SamplerSpec: TypeAlias = Iterable[Any] | Callable[[Any], Iterable[Any]]


class Loader(DataLoader[Any]):
    """A stateful ``DataLoader`` that can be resumed in the middle of an epoch.

    Lightning stores :meth:`state_dict` in checkpoints that are written in the middle of an epoch.

    Attributes:
        features: Returns the cached features of all rows with their targets, or ``None`` if there are none. If there
            are, batches are made from them, and the dataset is not used.
    """

    features: Callable[[], Columns | None] | None = None

    _yielded = 0
    _resume_at = 0
    _sampler: Any = None

    # With a batch sampler, torch would return a sequential sampler, regardless of the real order. Lightning
    # checks here whether the rows are sharded between processes already.
    @property
    def sampler(self) -> Any:
        """The sampler of the row order."""
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
        self._yielded, self._resume_at = self._resume_at, 0
        return self._count()

    def _count(self) -> Iterator[Any]:
        # Lightning creates the iterator of a resumed run's first epoch before a strategy can unfreeze layers in it:
        # whether to use cached features is decided at the first batch.
        columns = None if self.features is None else self.features()
        for batch in super().__iter__() if columns is None else self._batches_of(columns):
            self._yielded += 1
            yield batch

    def _batches_of(self, columns: Columns) -> Iterator[Any]:
        for rows in self.batch_sampler or ():
            features, targets = columns.take(rows)
            yield Features(features), targets

    def state_dict(self) -> dict[str, int]:
        """Return the number of batches of this epoch that have been yielded."""
        return {"batches": self._yielded}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Skip the batches that were yielded already in the next iteration."""
        self._resume_at = state["batches"]


class _MemoryDataset(Dataset[Any]):
    """Whole batches from memory, for an :class:`AutoDataset` or another dataset."""

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
    """Return the dataset of a loader, if its hooks and its stage are known."""
    dataset = getattr(loader, "dataset", None)
    source = dataset.source if isinstance(dataset, _MemoryDataset) else dataset
    if isinstance(source, AutoDataset) or (isinstance(source, AutoStream) and source.has_hooks):
        return source
    return None


def rows_of_batch(loader: Any, batch_idx: int, count: int) -> list[int]:
    """Return the indices of the samples of a batch in their dataset or stream.

    Args:
        loader: A prediction loader that Lightning is iterating over.
        batch_idx: The index of the batch, in this process.
        count: The number of samples in the batch.
    """
    samples = samples_of(loader)
    if isinstance(samples, AutoStream):
        rank, processes = samples.shard
        start = (batch_idx * processes + rank) * samples.batch_size
        return list(range(start, start + count))
    # Lightning's wrapper of the batch sampler records the rows that it yielded.
    return [int(row) for row in loader.batch_sampler.seen_batch_indices[batch_idx]]


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
    sampler: SamplerSpec | None = None,
    by_length: bool = False,
    **options: Any,
) -> DataLoader[Any]:
    """Return the loader of a stage: shuffled for training, in order otherwise.

    A last train batch of a single row is dropped if there are others, since batch normalization cannot use it.

    Args:
        dataset: Any torch dataset.
        stage: The stage of the batches.
        preprocess: Its ``collate`` is used for a dataset that is not an :class:`AutoDataset`.
        batch_size: Number of rows per batch.
        num_workers: Number of worker processes; 0 loads in this process.
        seed: Seed of the order, together with the epoch.
        epoch: The epoch of the first iteration.
        shard: The rank of this process and the number of processes.
        sampler: For training: a sampler, or a callable that returns one for the dataset, instead of shuffling.
        by_length: Whether to bucket by length if an :class:`AutoDataset` has lengths; in other stages than training
            the samples are then sorted by length, see :func:`flash.data.samplers.sorted_rows`.
        options: Additional arguments of torch's ``DataLoader``.
    """
    source, collate = _with_collate(dataset, stage, preprocess)
    options["persistent_workers"] = bool(options.get("persistent_workers", True)) and num_workers > 0
    sized: Any = dataset
    if isinstance(dataset, IterableDataset):
        stream = shard_stream(dataset, num_workers, shard[1])
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
        rows, batches = EvaluationShard(rows, *shard), EvenBatches
    drop_last = stage is Stage.TRAIN and length > batch_size and length % batch_size == 1
    return Loader(
        source,
        batch_sampler=batches(rows, batch_size, drop_last),
        num_workers=num_workers,
        collate_fn=collate,
        # A separate generator, so that loading data does not advance the global RNG state.
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
    sampler: SamplerSpec | None,
) -> Any:
    if sampler is not None:
        return sampler(dataset) if isinstance(sampler, type) or not hasattr(sampler, "__iter__") else sampler
    rank, processes = shard
    # One bucket holds a batch of every process, so that all process rows of similar length at the same time.
    order = ShuffledRows(len(dataset), seed) if lengths is None else BucketedRows(lengths, seed, batch_size * processes)
    rows = order if processes == 1 else TrainShard(order, rank, processes)
    # Workers prefetch as soon as they start, before set_epoch is called.
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

"""Loaders: seeded order that a checkpoint can restore, and whole batches from memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

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
from flash.data.streams import AutoStream, shared_out

__all__ = ["Loader", "make_loader", "rows_of_batch", "samples_of"]


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


def rows_of_batch(loader: Any, batch_idx: int, count: int) -> list[int]:
    """Return the positions of the samples of a batch in their dataset, or in the order of a stream.

    Args:
        loader: A loader of prediction, as Lightning runs it: the batches before this one were taken from it.
        batch_idx: The number of the batch, in this process.
        count: How many samples the batch has.
    """
    samples = samples_of(loader)
    if isinstance(samples, AutoStream):
        rank, processes = samples.shard
        start = (batch_idx * processes + rank) * samples.batch_size
        return list(range(start, start + count))
    # Lightning's wrapper of the batch sampler notes which rows it gave out.
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
            they are; the samples of other stages than training then come sorted, see
            :func:`flash.data.samplers.sorted_rows`.
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
        rows, batches = EvaluationShard(rows, *shard), EvenBatches
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
    # Rows are of similar length in all processes at a time: the batches of all are one.
    order = ShuffledRows(len(dataset), seed) if lengths is None else BucketedRows(lengths, seed, batch_size * processes)
    rows = order if processes == 1 else TrainShard(order, rank, processes)
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

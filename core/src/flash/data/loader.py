"""Loaders: seeded, resumable order of samples, and whole batches from memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, SequentialSampler, Subset, TensorDataset

from flash.data.auto_dataset import AutoDataset
from flash.data.batch import Features
from flash.data.columns import Columns
from flash.data.hooks import SampleHooks
from flash.data.process import Preprocess, StageHooks
from flash.data.samplers import (
    BatchRows,
    BucketedRows,
    EvaluationShard,
    EvenBatches,
    SeededRows,
    ShuffledRows,
    SortedRows,
    TrainShard,
    seed_batch,
)
from flash.data.stage import Stage
from flash.data.streams import AutoStream, shard_stream
from flash.data.windows import WindowedRows, Windows
from flash.errors import ConfigurationError, DataError
from flash.serialization import capture_rng_state, restore_rng_state

__all__ = ["Loader", "SamplerSpec", "batches_in_order", "check_count", "make_loader", "rows_of_batch", "samples_of"]


#: A sampler of rows: any iterable of row indices, or a class or function that returns one for the dataset.
SamplerSpec: TypeAlias = Iterable[Any] | Callable[[Any], Iterable[Any]]


def check_count(name: str, value: Any, minimum: int = 1) -> None:
    """Check an argument that counts something, such as the samples of a batch.

    Args:
        name: The name of the argument.
        value: What was given for it.
        minimum: The smallest number that makes sense.

    Raises:
        ConfigurationError: If it is no whole number, or smaller.

    Example:
        >>> check_count("batch_size", 0)
        Traceback (most recent call last):
        flash.errors.ConfigurationError: Expected batch_size to be a whole number of at least 1, but got 0.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise ConfigurationError(f"Expected {name} to be a whole number of at least {minimum}, but got {value!r}.")


class Loader(DataLoader[Any]):
    """A stateful ``DataLoader`` that can be resumed in the middle of an epoch.

    Lightning stores :meth:`state_dict` in checkpoints that are written in the middle of an epoch.

    Attributes:
        features: Returns the cached features of all rows with their targets, or ``None`` if there are none. If there
            are, batches are made from them, and the dataset is not used.
    """

    features: Callable[[], Columns | None] | None = None

    _yielded = 0
    _passes = 0
    _sampler: Any = None
    # The state of an interrupted pass, for the next iteration.
    _interrupted: Mapping[str, Any] | None = None
    # The RNG state before the batch that was yielded last.
    _random: Mapping[str, Any] | None = None

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
        state, self._interrupted = self._interrupted or {}, None
        self._yielded = state.get("batches", 0)
        self._passes = state.get("pass", self._passes)
        self._random = state.get("random")
        # A pass counts once its first batch is asked for: some versions of Lightning make two iterators for one.
        number = self._passes if state else self._passes + 1
        if isinstance(self.batch_sampler, BatchRows):
            self.batch_sampler.begin(self._yielded, number, state.get("rows"))
        elif isinstance(self.dataset, AutoStream):
            self.dataset.begin(self._yielded, number)
        return self._count(number)

    def _count(self, number: int) -> Iterator[Any]:
        self._passes = number
        # Lightning creates the iterator of a resumed run's first epoch before a strategy can unfreeze layers in it:
        # whether to use cached features is decided at the first batch.
        columns = None if self.features is None else self.features()
        batches = super().__iter__() if columns is None else self._batches_of(columns)
        if self._random is not None:
            restore_rng_state(self._random)
        is_read_ahead = self._is_read_ahead
        self._random = None
        while True:
            if is_read_ahead:
                self._random = capture_rng_state()
            batch = next(batches, _NO_BATCH)
            if batch is _NO_BATCH:
                return
            self._yielded += 1
            yield batch

    @property
    def _is_read_ahead(self) -> bool:
        """True if Lightning asks for a batch before it uses the previous one, to know which is the last."""
        stream = self.dataset
        return isinstance(stream, AutoStream) and not self.num_workers and stream.num_batches is None

    def _batches_of(self, columns: Columns) -> Iterator[Any]:
        for batch in self.batch_sampler or ():
            features, targets = columns.take(batch.rows if isinstance(batch, SeededRows) else batch)
            yield Features(features), targets

    def state_dict(self) -> dict[str, Any]:
        """Return the number of batches of this epoch that have been yielded, and what their order depends on."""
        state: dict[str, Any] = {"batches": self._yielded, "pass": self._passes}
        if isinstance(self.batch_sampler, BatchRows) and (rows := self.batch_sampler.state_of_rows()):
            state["rows"] = rows
        if self._random is not None:
            state["random"] = self._random
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Skip the batches that were yielded already in the next iteration."""
        self._interrupted = state

    def follow(self, state: Mapping[str, Any]) -> None:
        """Start the epoch after a finished one.

        Args:
            state: The result of :meth:`state_dict` at the end of that epoch.
        """
        self._passes = state.get("pass", self._passes)
        if isinstance(self.batch_sampler, BatchRows):
            self.batch_sampler.load_generator(state.get("rows", {}))


_NO_BATCH = object()


class _SeededDataset(Dataset[Any]):
    """A dataset that seeds the random numbers of a worker for each batch, so that they do not depend on its history.

    Its indices are the batches of :class:`flash.data.samplers.BatchRows` with ``seeds``.
    """

    def __init__(self, source: Dataset[Any]) -> None:
        self.source = source

    def __len__(self) -> int:
        return len(self.source)  # type: ignore[arg-type]  # it has indices

    def __getitem__(self, row: Any) -> Any:
        return self.source[row]

    def __getitems__(self, batch: SeededRows) -> Any:
        seed_batch(batch.seed)
        together = getattr(self.source, "__getitems__", None)
        return [self.source[row] for row in batch.rows] if together is None else together(batch.rows)


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
    source = getattr(loader, "dataset", None)
    while isinstance(source, _MemoryDataset | _SeededDataset):
        source = source.source
    if isinstance(source, AutoDataset) or (isinstance(source, AutoStream) and source.has_hooks):
        return source
    return None


def rows_of_batch(loader: Any, batch_idx: int, count: int) -> list[int]:
    """Return the indices of the samples of a batch in their dataset or stream.

    Args:
        loader: A prediction loader that Lightning is iterating over.
        batch_idx: The index of the batch, in this process.
        count: The number of samples in the batch.

    Raises:
        DataError: If it is a loader of an iterable-style dataset that is not a stream of Flash.
    """
    samples = samples_of(loader)
    if isinstance(samples, AutoStream):
        rank, processes = samples.shard
        start = (batch_idx * processes + rank) * samples.batch_size
        return list(range(start, start + count))
    if isinstance(getattr(loader, "dataset", None), IterableDataset):
        raise DataError(
            "Expected data whose samples have a place, to put the results of several processes in order, but got a "
            f"loader of a {type(loader.dataset).__name__}. Predict it with a DataModule, or in one process."
        )
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
    in_any_order: bool = False,
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
        in_any_order: Whether batches may come in another order in other stages than training, so that each worker
            reads its own part of samples that lie on disk; see :func:`flash.data.samplers.in_turns`.
        options: Additional arguments of torch's ``DataLoader``.
    """
    source, collate = _with_collate(dataset, stage, preprocess)
    options["persistent_workers"] = bool(options.get("persistent_workers", True)) and num_workers > 0
    sized: Any = dataset
    # A separate generator, so that loading data does not advance the global RNG state.
    generator = torch.Generator().manual_seed(seed)
    if isinstance(dataset, IterableDataset):
        stream = shard_stream(dataset, num_workers, shard[1])
        stream.batch_size, stream.shard, stream.seed = batch_size, shard, seed
        return Loader(
            stream, batch_size=batch_size, num_workers=num_workers, collate_fn=collate, generator=generator, **options
        )
    length = len(sized)
    lengths = dataset.lengths if by_length and isinstance(dataset, AutoDataset) else None
    rows = _rows_in_order(sized, lengths)
    if stage is Stage.TRAIN:
        rows = _train_rows(dataset, lengths, batch_size, seed, epoch, shard, sampler, num_workers)
        length = len(rows) if hasattr(rows, "__len__") else length
    batches: type[BatchRows] = BatchRows
    # What lies on disk is read in pieces, of which each process reads its own, and each worker.
    is_on_disk = lengths is None and _windows_of(dataset) is not None
    lanes = max(1, num_workers) if is_on_disk and in_any_order else 1
    if stage is not Stage.TRAIN and shard[1] > 1:
        if length < shard[1]:
            # Each process needs a batch. In prediction, some predict the same row, whose result is used once; otherwise
            # all evaluate all rows, which changes no mean.
            shard = (shard[0] % length, length) if stage is Stage.PREDICT else (0, 1)
        rows = EvaluationShard(rows, *shard, consecutive=stage is Stage.PREDICT or is_on_disk, lanes=lanes)
        batches = BatchRows if stage is Stage.PREDICT else EvenBatches
    elif stage is not Stage.TRAIN and lanes > 1:
        rows = EvaluationShard(rows, *shard, consecutive=True, lanes=lanes)
    drop_last = stage is Stage.TRAIN and length > batch_size and length % batch_size == 1
    batch_sampler = batches(rows, batch_size, drop_last)
    if stage is Stage.TRAIN and num_workers > 0:
        batch_sampler.seeds = (seed, shard[0])
        source = _SeededDataset(source)
    return Loader(
        source,
        batch_sampler=batch_sampler,
        num_workers=num_workers,
        collate_fn=collate,
        generator=generator,
        **options,
    )


def batches_in_order(
    dataset: AutoDataset, *, batch_size: int, by_length: bool = False
) -> Iterator[tuple[Sequence[int], Any]]:
    """Yield the rows of each batch and the batch, as :func:`make_loader`'s loader without workers makes them.

    There is no loader, which costs more than a network takes for one row.

    Args:
        dataset: The samples.
        batch_size: Number of rows per batch.
        by_length: Whether to sort the samples by length, if the dataset has lengths.

    Example:
        >>> dataset = AutoDataset([1.0, 2.0, 3.0], Stage.PREDICT, Preprocess())
        >>> list(batches_in_order(dataset, batch_size=2))
        [(range(0, 2), tensor([1., 2.])), (range(2, 3), tensor([3.]))]
    """
    lengths, count = dataset.lengths if by_length else None, len(dataset)
    batches: Iterable[Sequence[int]]
    if lengths is None:
        batches = (range(start, min(start + batch_size, count)) for start in range(0, count, batch_size))
    else:
        batches = BatchRows(SortedRows(lengths), batch_size, drop_last=False)
    for batch in batches:
        yield batch, dataset.batch(batch)


def _rows_in_order(dataset: Any, lengths: Tensor | None) -> Any:
    return SequentialSampler(dataset) if lengths is None else SortedRows(lengths)


def _train_rows(
    dataset: Any,
    lengths: Tensor | None,
    batch_size: int,
    seed: int,
    epoch: int,
    shard: tuple[int, int],
    sampler: SamplerSpec | None,
    workers: int,
) -> Any:
    if sampler is not None:
        return sampler(dataset) if isinstance(sampler, type) or not hasattr(sampler, "__iter__") else sampler
    rank, processes = shard
    windows = _windows_of(dataset)
    order: ShuffledRows
    if lengths is not None:
        # One bucket holds a batch of every process, so that all process rows of similar length at the same time.
        order = BucketedRows(lengths, seed, batch_size * processes)
    elif windows is not None:
        order = WindowedRows(len(dataset), seed, *windows, workers=workers, batch_size=batch_size)
    else:
        order = ShuffledRows(len(dataset), seed)
    rows = order if processes == 1 else TrainShard(order, rank, processes)
    # Workers prefetch as soon as they start, before set_epoch is called.
    rows.set_epoch(epoch)
    return rows


def _windows_of(dataset: Any) -> Windows | None:
    return dataset.windows if isinstance(dataset, AutoDataset) else None


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

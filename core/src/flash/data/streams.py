"""Streams: iterable-style datasets, sharded between workers and processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from flash.data.auto_dataset import AutoDataset, SourceRows, is_indexed
from flash.data.hooks import HooksByStage, SampleHooks
from flash.data.samplers import seed_batch
from flash.data.stage import Stage
from flash.errors import DataError

__all__ = ["AutoStream", "is_stream", "load_dataset"]


class AutoStream(IterableDataset[Any]):
    """An iterable-style dataset whose samples are transformed by the hooks of a preprocess.

    Batch ``i`` is assigned to process ``i % processes``, and there to the workers in turn: each row is used once,
    and batches have the same order as in one process without workers. Each worker reads the whole
    source and skips the batches of the others, unless the source has an attribute ``is_sharded`` that is true: then
    the source itself yields different rows in each worker and process.

    In training with several processes, all have the same number of batches: some may repeat the first batch.

    A source that shuffles has a method ``set_epoch``, which is called with the number of the pass, from 0.

    Args:
        source: An iterable that can be read again and again, or a function that returns an iterator.
        hooks: The hooks that transform the samples; ``None`` yields them unchanged.
        facts: Facts about the data.

    Attributes:
        batch_size: The number of rows that are assigned to one worker at a time.
        shard: The rank of this process, and the number of processes.
        seed: Seed of what is random in the batches of workers.

    Example:
        >>> from flash import Preprocess
        >>> stream = AutoStream(lambda: iter([1.0, 2.0]), Preprocess().stage_hooks(Stage.TRAIN))
        >>> list(stream)
        [tensor(1.), tensor(2.)]
    """

    def __init__(self, source: Any, hooks: SampleHooks | None, facts: dict[str, Any] | None = None) -> None:
        self._source = source
        self._hooks = hooks
        self._facts = facts or {}
        self.batch_size = 1
        self.shard = (0, 1)
        self.seed = 0
        # Batches to skip, and the pass; in shared memory: persistent workers have copies of everything else.
        self._begin = torch.zeros(2, dtype=torch.long).share_memory_()  # type: ignore[no-untyped-call]  # torch

    def id_of(self, index: int) -> int:
        """Return the id of a sample: its position in the stream."""
        return index

    def ids_of(self, rows: Sequence[int]) -> list[int]:
        """Return the ids of several samples."""
        return list(rows)

    @property
    def hooks(self) -> SampleHooks:
        """The hooks that transform the samples."""
        assert self._hooks is not None
        return self._hooks

    @property
    def has_hooks(self) -> bool:
        """True if hooks transform the samples."""
        return self._hooks is not None

    @property
    def facts(self) -> dict[str, Any]:
        """The facts that ``load_data`` found about the data."""
        return self._facts

    def with_input_spec(self, input_spec: Any) -> AutoStream:
        """Return this stream for another network.

        Args:
            input_spec: The requirements of the network on its inputs.
        """
        if self._hooks is None or input_spec == self._hooks.input_spec:
            return self
        hooks = self._hooks.preprocess.stage_hooks(self._hooks.stage, input_spec)
        return AutoStream(self._source, hooks, self._facts)

    def __getattr__(self, name: str) -> Any:
        facts = self.__dict__.get("_facts", {})
        if name in facts:
            return facts[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def begin(self, skip: int, number: int) -> None:
        """Prepare the next iteration.

        Args:
            skip: Number of batches of this process to skip.
            number: The number of the pass.
        """
        self._begin[0], self._begin[1] = skip, number
        self._set_epoch(number)

    def _set_epoch(self, number: int) -> None:
        if hasattr(self._source, "set_epoch"):
            # Samples of other stages than training stay in their order.
            is_ordered = self._hooks is not None and self._hooks.stage is not Stage.TRAIN
            self._source.set_epoch(0 if is_ordered else max(0, number - 1))

    @property
    def num_batches(self) -> int | None:
        """The number of batches of this process; ``None`` if the source has no length, or some processes no batch."""
        try:
            batches = -(-len(self._source) // self.batch_size)
        except TypeError:
            return None
        if getattr(self._source, "is_sharded", False):
            return batches
        rank, processes = self.shard
        if self._pads:
            return -(-batches // processes)
        # Lightning leaves a process out whose loader has a length of 0.
        return len(range(rank, batches, processes)) if batches >= processes else None

    @property
    def _pads(self) -> bool:
        return self.shard[1] > 1 and self._hooks is not None and self._hooks.stage is Stage.TRAIN

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        skip, current_pass = self._begin.tolist()
        if worker is not None:  # which has a copy of the source
            self._set_epoch(current_pass)
        batches: Iterator[tuple[Any, list[Any]]]
        if getattr(self._source, "is_sharded", False):
            skipped = -(-(skip - number) // workers) if skip > number else 0
            places = ((f"{number} {place}", batch) for place, batch in enumerate(self._batches()))
            batches = islice(places, skipped, None)
        else:
            batches = (
                (place, batch)
                for place, batch in self._own_batches()
                if place >= skip and (place - skip) % workers == number
            )
        for place, batch in batches:
            if worker is not None:
                seed_batch(f"{self.seed} {self.shard[0]} {current_pass} {place}")
            for sample in batch:
                yield sample if self._hooks is None else self._hooks.load_sample(sample, self)

    def _own_batches(self) -> Iterator[tuple[int, list[Any]]]:
        """Yield the batches of this process with their indices."""
        rank, processes = self.shard
        first, count = None, 0
        for batch in self._batches():
            first = batch if first is None else first
            if count % processes == rank:
                yield count // processes, batch
            count += 1
        if self._pads and first is not None and rank >= count % processes > 0:
            yield count // processes, first

    def _batches(self) -> Iterator[list[Any]]:
        samples = iter(self._source() if callable(self._source) else self._source)
        while batch := list(islice(samples, self.batch_size)):
            yield batch


def is_stream(samples: Any) -> bool:
    """Return whether samples are iterable-style, without access by index.

    Example:
        >>> is_stream(range(3)), is_stream(iter([])), is_stream(lambda: iter([]))
        (False, True, True)
    """
    return not is_indexed(samples) and (isinstance(samples, Iterable) or callable(samples))


def load_dataset(
    data: Any,
    stage: Stage,
    preprocess: HooksByStage,
    input_spec: Any = None,
    source_rows: SourceRows | None = None,
) -> AutoDataset | AutoStream:
    """Load data by the hooks of a preprocess: as a stream if ``load_data`` returns something without a length or index.

    Args:
        data: The argument of the preprocess's ``load_data``.
        stage: The stage of the samples.
        preprocess: The hooks.
        input_spec: The requirements of the network on its inputs, if known.
        source_rows: The rows of the data that the user passed, if ``data`` is a part of it.

    Raises:
        DataError: If ``load_data`` returned an iterator, which can be read only once, for another stage than
            prediction.
    """
    dataset = AutoDataset(data, stage, preprocess, input_spec, source_rows=source_rows, streams=True)
    source = dataset.source
    if not is_stream(source):
        return dataset
    if isinstance(source, Iterator) and stage is not Stage.PREDICT:
        raise DataError(
            f"Expected {stage.value} data that can be read in each epoch, but got a {type(source).__name__}, which can "
            "be read only once. Return an IterableDataset, or a function that returns an iterator: lambda: iter(...)."
        )
    return AutoStream(source, dataset.hooks, dataset.facts)


def shard_stream(dataset: IterableDataset[Any], num_workers: int, processes: int) -> AutoStream:
    """Return a stream that is sharded between workers and processes.

    Raises:
        DataError: If the dataset may be sharded itself, but has no attribute ``is_sharded``.
    """
    stream = dataset if isinstance(dataset, AutoStream) else AutoStream(dataset, None)
    source = getattr(stream._source, "origin", stream._source)
    if hasattr(stream._source, "is_sharded"):
        return stream
    if max(num_workers, processes) > 1 and not hasattr(source, "is_sharded") and _uses_worker_info(source):
        raise DataError(
            f"Expected to know whether {type(source).__name__} yields different rows in each worker and process, but "
            "its code uses get_worker_info and it has no attribute is_sharded. Set is_sharded = True on it if it does, "
            "so that no row is skipped; or is_sharded = False if each yields all rows, so that none is repeated."
        )
    return stream


def _uses_worker_info(source: Any) -> bool:
    """Return whether the code of a dataset uses ``get_worker_info``, or it is of a library whose datasets do."""
    if hasattr(source, "num_shards") or hasattr(source, "n_shards"):  # Hugging Face
        return True
    functions: list[Callable[..., Any]] = [
        value for base in type(source).__mro__ for value in vars(base).values() if hasattr(value, "__code__")
    ]
    return any("get_worker_info" in function.__code__.co_names for function in functions)

"""Streams: samples that are read from start to end, shared out between workers and processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from flash.data.auto_dataset import AutoDataset, is_indexed
from flash.data.hooks import HooksByStage, SampleHooks
from flash.data.stage import Stage
from flash.errors import DataError

__all__ = ["AutoStream", "is_stream", "load_dataset"]


class AutoStream(IterableDataset[Any]):
    """Samples that are read from start to end and go through the hooks of a preprocess.

    Batch ``i`` goes to process ``i % processes``, and in there to one worker after the other: each row is used once,
    and batches come in the order in which one process without workers would have them. Each worker reads the whole
    source and leaves out what is not its own, unless the source has an attribute ``is_sharded`` that is true: then the
    source itself gives different rows in each worker and process.

    In training by several processes, all get the same number of batches: the first batch may serve some of them twice.

    Args:
        source: An iterable that can be read again and again, or a function that returns an iterator.
        hooks: The hooks that the samples go through; ``None`` leaves them as they are.
        facts: What is known about the data.

    Attributes:
        batch_size: The number of rows that go to one worker at a time.
        shard: The number of this process, and of all processes.

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
        # In shared memory: workers that live on have copies of everything else.
        self._skip = torch.zeros(1, dtype=torch.long).share_memory_()  # type: ignore[no-untyped-call]  # torch

    def id_of(self, index: int) -> int:
        """Return what identifies a sample: its place in the stream."""
        return index

    @property
    def hooks(self) -> SampleHooks:
        """The hooks that the samples go through."""
        assert self._hooks is not None
        return self._hooks

    @property
    def has_hooks(self) -> bool:
        """Whether the samples go through hooks."""
        return self._hooks is not None

    @property
    def facts(self) -> dict[str, Any]:
        """The facts that ``load_data`` found about the data."""
        return self._facts

    def with_input_spec(self, input_spec: Any) -> AutoStream:
        """Return this stream for another network.

        Args:
            input_spec: What the network expects of its inputs.
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

    def skip(self, batches: int) -> None:
        """Leave out the first batches of this process in the next iteration."""
        self._skip[0] = batches

    @property
    def num_batches(self) -> int | None:
        """The number of batches of this process; ``None`` if the source has no length."""
        try:
            batches = -(-len(self._source) // self.batch_size)
        except TypeError:
            return None
        if getattr(self._source, "is_sharded", False):
            return batches
        rank, processes = self.shard
        return -(-batches // processes) if self._fills_up else len(range(rank, batches, processes))

    @property
    def _fills_up(self) -> bool:
        return self.shard[1] > 1 and self._hooks is not None and self._hooks.stage is Stage.TRAIN

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        skip = int(self._skip)
        batches: Iterator[list[Any]]
        if getattr(self._source, "is_sharded", False):
            given = -(-(skip - number) // workers) if skip > number else 0
            batches = islice(self._batches(), given, None)
        else:
            batches = (
                batch for place, batch in self._own_batches() if place >= skip and (place - skip) % workers == number
            )
        for batch in batches:
            for sample in batch:
                yield sample if self._hooks is None else self._hooks.load_sample(sample, self)

    def _own_batches(self) -> Iterator[tuple[int, list[Any]]]:
        """Yield the batches of this process with their places among them."""
        rank, processes = self.shard
        first, count = None, 0
        for batch in self._batches():
            first = batch if first is None else first
            if count % processes == rank:
                yield count // processes, batch
            count += 1
        if self._fills_up and first is not None and rank >= count % processes > 0:
            yield count // processes, first

    def _batches(self) -> Iterator[list[Any]]:
        samples = iter(self._source() if callable(self._source) else self._source)
        while batch := list(islice(samples, self.batch_size)):
            yield batch


def is_stream(samples: Any) -> bool:
    """Return whether samples are read from start to end, and not by their number.

    Example:
        >>> is_stream(range(3)), is_stream(iter([])), is_stream(lambda: iter([]))
        (False, True, True)
    """
    return not is_indexed(samples) and (isinstance(samples, Iterable) or callable(samples))


def load_dataset(data: Any, stage: Stage, preprocess: HooksByStage, input_spec: Any = None) -> AutoDataset | AutoStream:
    """Load data by the hooks of a preprocess: as a stream if ``load_data`` returns something without a length or index.

    Args:
        data: Whatever the preprocess's ``load_data`` takes.
        stage: What the samples are for.
        preprocess: The hooks.
        input_spec: What the network expects of its inputs, where it is known.

    Raises:
        DataError: If ``load_data`` returned an iterator, which can be read only once, for training.
    """
    dataset = AutoDataset(data, stage, preprocess, input_spec, streams=True)
    source = dataset.source
    if not is_stream(source):
        return dataset
    if isinstance(source, Iterator) and stage is not Stage.PREDICT:
        raise DataError(
            f"Expected {stage.value} data that can be read in each epoch, but got a {type(source).__name__}, which can "
            "be read only once. Return an IterableDataset, or a function that makes an iterator: lambda: iter(...)."
        )
    return AutoStream(source, dataset.hooks, dataset.facts)


def shared_out(dataset: IterableDataset[Any], num_workers: int, processes: int) -> AutoStream:
    """Return a stream whose rows are shared out, or ask whether the dataset does that itself.

    Raises:
        DataError: If that cannot be known.
    """
    stream = dataset if isinstance(dataset, AutoStream) else AutoStream(dataset, None)
    source = stream._source
    if max(num_workers, processes) > 1 and not hasattr(source, "is_sharded") and _asks_for_worker(source):
        raise DataError(
            f"Expected to know whether {type(source).__name__} gives different rows in each worker and process, but "
            "its code asks which worker runs it and does not say. Set is_sharded = True on it if it does, so that "
            "nothing is left out; or is_sharded = False if each gives all rows, so that nothing comes twice."
        )
    return stream


def _asks_for_worker(source: Any) -> bool:
    """Return whether the code of a dataset uses ``get_worker_info``, or it is one that is known to."""
    if hasattr(source, "num_shards") or hasattr(source, "n_shards"):  # Hugging Face
        return True
    functions: list[Callable[..., Any]] = [
        value for base in type(source).__mro__ for value in vars(base).values() if hasattr(value, "__code__")
    ]
    return any("get_worker_info" in function.__code__.co_names for function in functions)

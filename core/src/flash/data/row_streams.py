"""Samples that come in a stream of rows, such as a streaming dataset of the library ``datasets``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any

from torch.utils.data import IterableDataset

from flash.data.auto_dataset import is_indexed
from flash.data.inputs import SampleInputs
from flash.data.stage import Stage
from flash.errors import DataError, MissingColumnError

__all__ = ["RowStream", "SampleStream", "StreamInputs", "is_row_stream"]

# The rows whose targets are encoded together.
_CHUNK = 64


def is_row_stream(dataset: Any) -> bool:
    """Return whether a dataset yields rows anew in each epoch, without access by index.

    Example:
        >>> is_row_stream([{"text": "good"}]), is_row_stream(iter([]))
        (False, False)
    """
    return not is_indexed(dataset) and (isinstance(dataset, IterableDataset) or _is_shardable(dataset))


def _is_shardable(dataset: Any) -> bool:
    return hasattr(dataset, "num_shards") or hasattr(dataset, "n_shards")  # Hugging Face


class RowStream:
    """The rows of an iterable dataset: all of them in each worker and process, unless its ``is_sharded`` is true.

    Those of a streaming dataset of the library ``datasets`` have files in place of decoded images.

    Args:
        dataset: The dataset.
        fields: The columns to read; by default all.
        name: The name of the dataset in messages.

    Raises:
        DataError: If it has been divided between nodes, since its rows are divided here.

    Attributes:
        origin: The dataset.
        is_sharded: Whether it yields different rows in each worker and process; ``None`` if that is not known.
    """

    def __init__(self, dataset: Any, fields: Sequence[str] | None, name: str) -> None:
        self.origin = dataset
        self.is_sharded: bool | None = getattr(dataset, "is_sharded", False if _is_shardable(dataset) else None)
        self._rows = dataset
        if getattr(dataset, "_distributed", None) is not None:
            raise DataError(
                f"Expected the whole stream as {name}, whose rows are shared out between processes here, but it is "
                "the part of one node. Pass it without split_dataset_by_node."
            )
        if _is_shardable(dataset):
            if fields is not None and hasattr(dataset, "select_columns"):
                self._rows = self._rows.select_columns(list(dict.fromkeys(fields)))
            if getattr(dataset, "features", None) and hasattr(dataset, "decode"):
                self._rows = self._rows.decode(False)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that the order depends on, if the dataset shuffles."""
        # Streams of the library datasets keep it in memory that is shared with the workers, and add to it: once it is
        # set in the main process, no worker may.
        if hasattr(self._rows, "set_epoch") and getattr(self._rows, "epoch", None) != epoch:
            self._rows.set_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:
        if not _is_shardable(self._rows) or not hasattr(self._rows, "iter"):
            yield from self._rows
            return
        # Iterated over row by row, it would yield a part of its rows in a worker.
        for columns in self._rows.iter(batch_size=_CHUNK):
            names = list(columns)
            for values in zip(*columns.values(), strict=True):
                yield dict(zip(names, values, strict=True))


class StreamInputs:
    """Unopened samples of one stage that come in a stream, with their targets.

    Args:
        rows: The rows: dicts or tuples.
        inputs: The column of sources, the columns of their parts, or the index of sources in tuples; ``None`` if rows
            are the sources.
        targets: The column of targets, a list of columns of numbers, or an index; ``None`` for prediction.
        names: The names of the classes, if targets are class indices or rows of zeros and ones.
        delimiter: The separator between the classes of a sample, if they are written as one text.
        are_indices: Whether each target is the index of a name, so that no pass over the rows is needed.

    Raises:
        MissingColumnError: If the first row lacks a column.
        DataError: If there are no rows.

    Example:
        >>> rows = [{"text": "good", "label": 1}, {"text": "bad", "label": 0}]
        >>> list(StreamInputs(rows, "text", "label").chunks())
        [(['good', 'bad'], [1, 0])]
    """

    def __init__(
        self,
        rows: Iterable[Any],
        inputs: str | int | Sequence[str] | None,
        targets: str | int | Sequence[str] | None = None,
        *,
        names: Sequence[Any] | None = None,
        delimiter: str | None = None,
        are_indices: bool = False,
        name: str = "the data",
    ) -> None:
        self.rows = rows
        self.names = names
        self.are_indices = are_indices
        self.has_parts = isinstance(inputs, list | tuple) and len(inputs) > 1
        self._delimiter = delimiter
        self._source, self._target = _getter(inputs), _getter(targets)
        first = next(iter(rows), None)
        if first is None:
            raise DataError(f"Expected at least one row in {name}, but there is none.")
        for key in [*_keys(inputs), *_keys(targets)]:
            if isinstance(key, str) and (not isinstance(first, Mapping) or key not in first):
                got = ", ".join(map(repr, first)) if isinstance(first, Mapping) else f"rows of {type(first).__name__}"
                raise MissingColumnError(f"Expected a column {key!r} in {name}, but it has {got}.")

    @property
    def has_targets(self) -> bool:
        """True if the samples have targets."""
        return self._target is not None

    def chunks(self) -> Iterator[tuple[list[Any], list[Any] | None]]:
        """Yield the sources and the targets of some rows each."""
        rows = iter(self.rows)
        while chunk := list(islice(rows, _CHUNK)):
            sources = chunk if self._source is None else list(map(self._source, chunk))
            if self._target is None:
                yield sources, None
                continue
            inputs = SampleInputs(sources, list(map(self._target, chunk)))
            yield sources, inputs.separated(self._delimiter, Stage.VAL).targets

    def targets(self) -> Iterator[list[Any]]:
        """Yield the targets of some rows each, in one pass."""
        return (targets for _, targets in self.chunks() if targets is not None)


def _keys(fields: str | int | Sequence[str] | None) -> list[str | int]:
    return [] if fields is None else [fields] if isinstance(fields, str | int) else list(fields)


def _getter(fields: str | int | Sequence[str] | None) -> Callable[[Any], Any] | None:
    return itemgetter(*_keys(fields)) if _keys(fields) else None


class SampleStream:
    """The samples of :class:`StreamInputs`, which are made chunk by chunk; it can be read again and again.

    Args:
        inputs: The rows.
        encode: Encodes the targets of some rows; not called where there are none.
        make: Returns samples for their sources, their encoded targets or ``None``, and the number of the first one.
    """

    def __init__(
        self,
        inputs: StreamInputs,
        encode: Callable[[list[Any]], Any] | None,
        make: Callable[[list[Any], Any, int], Iterable[Any]],
    ) -> None:
        self._inputs, self._encode, self._make = inputs, encode, make
        self.origin = getattr(inputs.rows, "origin", inputs.rows)
        known = getattr(inputs.rows, "is_sharded", False)
        if known is not None:
            self.is_sharded = known

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that the order depends on, if the source shuffles."""
        if hasattr(self._inputs.rows, "set_epoch"):
            self._inputs.rows.set_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:
        first = 0
        for sources, targets in self._inputs.chunks():
            encoded = None if targets is None or self._encode is None else self._encode(targets)
            yield from self._make(sources, encoded, first)
            first += len(sources)

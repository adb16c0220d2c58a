"""Streams of rows; those of the library datasets are tested in test_streaming_datasets.py of all packages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from torch.utils.data import IterableDataset, get_worker_info

from flash.data.loader import make_loader
from flash.data.row_streams import RowStream, SampleStream, StreamInputs, is_row_stream
from flash.data.stage import Stage
from flash.data.streams import AutoStream
from flash.errors import DataError, MissingColumnError


class Rows(IterableDataset[Any]):
    """A stream of dicts."""

    def __init__(self, count: int = 5) -> None:
        self.count = count
        self.epochs: list[int] = []

    def __iter__(self) -> Iterator[Any]:
        yield from ({"text": f"t{row}", "tags": "a,b" if row else "", "number": row} for row in range(self.count))

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)


class Asking(Rows):
    """A stream that may be divided between workers."""

    def __iter__(self) -> Iterator[Any]:
        get_worker_info()
        return super().__iter__()


def samples(rows: Any) -> SampleStream:
    inputs = StreamInputs(RowStream(rows, None, "the data"), "text")
    return SampleStream(inputs, None, lambda sources, targets, first: [(first, source) for source in sources])


def test_a_stream_of_rows_has_no_index() -> None:
    assert is_row_stream(Rows())
    assert not is_row_stream([{"text": "a"}])


def test_columns_parts_and_delimited_classes_are_taken_from_rows() -> None:
    inputs = StreamInputs(Rows(2), ["text", "number"], "tags", delimiter=",")
    assert (inputs.has_parts, inputs.has_targets) == (True, True)
    assert list(inputs.chunks()) == [([("t0", 0), ("t1", 1)], [[], ["a", "b"]])]
    assert next(StreamInputs(Rows(2), None).chunks())[1] is None


def test_samples_are_made_chunk_by_chunk_and_again() -> None:
    stream = samples(Rows(70))
    assert [first for first, _ in stream] == [0] * 64 + [64] * 6
    assert list(stream) == list(stream)


def test_a_stream_is_told_the_epoch() -> None:
    rows = Rows()
    stream = AutoStream(samples(rows), None)
    loader: Any = make_loader(stream, Stage.VAL, None, batch_size=4)
    for _ in range(2):
        assert len(list(loader)) == 2
    assert rows.epochs == [0, 1]


def test_whether_a_stream_divides_its_rows_is_known_or_asked() -> None:
    assert samples(Rows()).origin is not None
    assert not hasattr(samples(Asking()), "is_sharded")
    sharing = Rows()
    sharing.is_sharded = True  # type: ignore[attr-defined]  # a user says so
    assert samples(sharing).is_sharded is True


@pytest.mark.parametrize(
    ("rows", "inputs", "error", "message"),
    [
        ([], "text", DataError, "Expected at least one row in the data, but there is none"),
        ([("a", 1)], "text", MissingColumnError, "Expected a column 'text' in the data, but it has rows of tuple"),
        ([{"a": 1}], "text", MissingColumnError, "Expected a column 'text' in the data, but it has 'a'"),
    ],
)
def test_rows_of_another_form_are_errors(rows: Any, inputs: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        StreamInputs(rows, inputs)

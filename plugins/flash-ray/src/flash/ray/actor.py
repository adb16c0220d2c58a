"""The worker of a prediction, which Ray Data starts on each machine."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import flash
from flash.core.outputs import plain
from flash.data.tables import ReadOptions, read_table
from flash.errors import DataError, FlashError

from .cluster import packed, packed_error, unpacked

__all__ = ["PAYLOAD", "Predictor"]

#: The column of messages: packed classes, ids and results of a block of rows, or an error.
PAYLOAD = "payload"


class Predictor:
    """Predicts batches of rows with the task of a checkpoint, which it loads once.

    Results are packed, since Arrow has one type for all values of a column, and those of a task may have several.

    Args:
        checkpoint: The checkpoint.
        id_field: The column of ids; ``None`` for none.
        output: What is predicted.
        batch_size: Number of rows per batch of the network.
        device: The device of the network.
        reading: How to read tables of text.
        sent: A reference to the packed task, in a list, where a worker could not load it: its class is one of the
            program. ``None`` loads the checkpoint.
    """

    def __init__(
        self,
        checkpoint: str,
        id_field: str | None,
        output: str | None,
        batch_size: int,
        device: str,
        reading: ReadOptions,
        sent: list[Any] | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.id_field = id_field
        self.output = output
        self.batch_size = batch_size
        self.device = device
        self.reading = reading
        self.sent = sent
        self._task: flash.Task | None = None

    def __call__(self, batch: Any) -> Iterator[dict[str, list[bytes]]]:
        """Yield a message for each block of rows.

        Args:
            batch: An Arrow table of rows, or one with the path of a file of rows.
        """
        try:
            # Here, since an error of the constructor would come back as one of Ray.
            self._task = self._task or self._load().to(self.device)
            for content in self._predict(self._task, batch):
                yield {PAYLOAD: [packed(content, "predictions")]}
        except FlashError as error:
            yield {PAYLOAD: [packed_error(error)]}

    def _load(self) -> flash.Task:
        if self.sent is None:
            return flash.Task.load_from_checkpoint(self.checkpoint)
        task: flash.Task = unpacked(importlib.import_module("ray").get(self.sent[0]))
        return task

    def _predict(self, task: flash.Task, batch: Any) -> Iterator[Any]:
        if batch.column_names == ["file"]:
            for file in batch.column("file").to_pylist():
                yield from self._columns(task, file, self.reading)
            return
        table = read_table(batch)
        ids = None if self.id_field is None else table[self.id_field]
        try:
            yield from self._columns(task, table, {})
        except DataError as error:
            if ids is None:
                raise
            # What the caller knows of a row is its id.
            where = f"It is among the rows with {self.id_field} from {ids[0]!r} to {ids[-1]!r}."
            raise DataError(f"{error} {where}") from error

    def _columns(self, task: flash.Task, raw: Any, reading: ReadOptions) -> Iterator[Any]:
        blocks = task.predict_blocks(raw, self.output, self.batch_size, id_field=self.id_field, **reading)
        for ids, results in _joined(blocks):
            yield (
                task.output_names,
                None if self.id_field is None else list(map(plain, ids)),
                list(map(plain, results)),
            )


def _joined(blocks: Iterator[tuple[Any, list[Any]]], rows: int = 4096) -> Iterator[tuple[list[Any], list[Any]]]:
    """Yield the ids and results of several batches together."""
    ids: list[Any] = []
    results: list[Any] = []
    for some_ids, some_results in blocks:
        ids += some_ids
        results += some_results
        if len(ids) >= rows:
            yield ids, results
            ids, results = [], []
    if ids:
        yield ids, results

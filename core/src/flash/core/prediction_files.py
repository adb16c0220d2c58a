"""Write predictions to a file: rows with ids, in order, from any number of processes, in parts until it is complete."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import nn

from flash.core._prediction_parts import PredictionParts, read_json, write_json
from flash.core.outputs import PLAIN_TYPES, plain
from flash.data.auto_dataset import AutoDataset
from flash.data.data_module import DataModule
from flash.data.loader import rows_of_batch, samples_of
from flash.data.row_files import Block, row_format
from flash.errors import CheckpointError, ConfigurationError
from flash.serialization import explaining_write_errors, replacing, writing

__all__ = ["PredictionFile", "WritePredictions", "digest_of_weights", "prediction_columns"]

log = logging.getLogger(__name__)

# A block is encoded at once; a part is what an interrupted run has at least.
_ROWS_OF_BLOCK = 32_768
_ROWS_OF_PART = 262_144
_BYTES_OF_PART = 1 << 26
_SECONDS_OF_PART = 30.0
# Workers that read parts of their own have a run of rows each.
_RUNS_OPEN = 64


class _Segment(NamedTuple):
    """Consecutive rows in a part."""

    first: int
    rows: int
    #: What the format needs to read them.
    size: int


class _Run(NamedTuple):
    """Consecutive rows that are not encoded yet."""

    first: int
    ids: list[Any]
    results: list[Any]


class PredictionFile:
    """A file with a row for each sample, its id and its prediction, in the order of the samples.

    Rows come in any order and from any number of processes. The file is complete, or the old one: until then, large
    files are kept in parts, in a folder of the name with ``.parts``, and an interrupted run goes on after them.

    Args:
        path: The file, whose suffix says the format: .csv, .jsonl or .parquet.
        columns: The names of the columns of ids and of predictions.
        classes: The classes of the task: predictions with a number for each have a column for each.
        run: Returns what predictions depend on, as JSON can hold it. Parts of another run are not used.
        argument: Where the user chose the path, for error messages.
        leads: Whether this process calls :meth:`begin` and :meth:`finish`: one of several.

    Example:
        >>> import tempfile
        >>> file = PredictionFile(Path(tempfile.mkdtemp()) / "out.csv", run=dict)
        >>> file.begin(resume=False)
        True
        >>> file.write([2], ["c.png"], ["ants"])
        >>> file.write([0, 1], ["a.png", "b.png"], ["bees", "ants"])
        >>> file.finish()
        3
        >>> file.path.read_text().splitlines()
        ['id,prediction', 'a.png,bees', 'b.png,ants', 'c.png,ants']
    """

    def __init__(
        self,
        path: Path,
        *,
        run: Callable[[], Mapping[str, Any]],
        columns: tuple[str, str] = ("id", "prediction"),
        classes: Sequence[str] | None = None,
        argument: str = "to=",
        leads: bool = True,
    ) -> None:
        self.path = path
        self._leads = leads
        self._format = row_format(path, argument)
        self._argument = argument
        self._columns, self._classes = columns, classes
        self._saved = PredictionParts(path, lambda: {**run(), "columns": columns}, argument)
        self._names: list[str] = []
        # Runs of rows that are not encoded yet, by the row that would follow, and blocks that are in no part yet.
        self._open: dict[int, _Run] = {}
        self._blocks: list[tuple[int, int, Block]] = []
        self._rows = self._bytes = 0
        self._saved_at = time.monotonic()

    def begin(self, *, resume: bool) -> bool:
        """Go on after the parts of an interrupted run, or begin.

        Args:
            resume: Whether to go on; otherwise parts are removed.

        Returns:
            ``False`` if there are parts of another run, which are removed, or of a run that must not be resumed.

        Raises:
            CheckpointError: If another program is writing the file.
        """
        return self._saved.begin(resume=resume, is_empty=lambda: next(self._parts(), None) is None)

    def done(self) -> list[range]:
        """Return the rows that the parts of an interrupted run have, in order; ranges may overlap."""
        segments = (segment for _, _, found in self._parts() for segment in found)
        return [range(first, first + rows) for first, rows, _ in sorted(segments)]

    def first_missing(self) -> int:
        """Return the first row that the parts of an interrupted run do not have."""
        row = 0
        for each in self.done():
            if each.start > row:
                break
            row = max(row, each.stop)
        return row

    def write(self, rows: Sequence[int], ids: Sequence[Any], results: Sequence[Any]) -> None:
        """Write the predictions of some samples.

        Args:
            rows: The places of the samples among all samples.
            ids: Their ids.
            results: Their predictions.
        """
        for start, stop in _runs(rows):
            run = self._open.pop(rows[start], None)
            if run is None:
                if len(self._open) >= _RUNS_OPEN:
                    self._encode()
                run = _Run(rows[start], [], [])
            run.ids.extend(ids[start:stop])
            run.results.extend(results[start:stop])
            end = run.first + len(run.ids)
            # Where another run ends there too, some row is predicted twice.
            if len(run.ids) >= _ROWS_OF_BLOCK or end in self._open:
                self._encode_run(run)
            else:
                self._open[end] = run
        is_full = self._rows >= _ROWS_OF_PART or self._bytes >= _BYTES_OF_PART
        if is_full or time.monotonic() - self._saved_at >= _SECONDS_OF_PART:
            self.save_part()

    def save_part(self) -> None:
        """Save the rows that were written since the last part: what is in parts is not predicted again."""
        self._encode()
        blocks = self._in_order()
        if not blocks:
            return
        with explaining_write_errors(self.path, what="file", folder_argument=self._argument):
            self._saved.create(leads=self._leads)
            # The rows of no other part begin there.
            part = self._saved.folder / f"{blocks[0][0]:015d}{self.path.suffix}"
            with replacing(part) as file:
                sizes = self._format.save_part(file, [block for *_, block in blocks])
            segments = [_Segment(first, rows, size) for (first, rows, _), size in zip(blocks, sizes, strict=True)]
            write_json(part.with_suffix(".json"), {"names": self._names, "segments": segments})
        self._blocks, self._rows, self._bytes = [], 0, 0
        self._saved_at = time.monotonic()

    def finish(self) -> int:
        """Write the file of all rows, of which the other processes have saved theirs, and return their number.

        Raises:
            CheckpointError: If the file cannot be written, or rows overlap; an older one is untouched.
        """
        self._encode()
        blocks = self._in_order()
        # Of what is in memory, and of each part: the rows of its blocks, and the blocks, in one order.
        places = [[block[:2] for block in blocks]]
        contents: list[Iterator[Block]] = [iter([block for *_, block in blocks])]
        for part, names, segments in self._parts():
            self._names = self._names or names
            places.append([each[:2] for each in segments])
            contents.append(self._format.load_part(part, [each.size for each in segments]))
        names = self._names or list(self._columns)
        total = end = 0
        with writing(self.path, folder_argument=self._argument) as file, self._format.writer(file, names) as write:
            for first, rows, number in sorted((*each, number) for number, found in enumerate(places) for each in found):
                block = next(contents[number])
                if first >= end:
                    write(block)
                    total, end = total + rows, first + rows
                # With fewer samples than processes, some predict the same.
                elif first + rows > end:
                    raise CheckpointError(
                        f"Expected each row of {self.path} once, but some from row {first} on were predicted twice. "
                        f"Remove {self._saved.folder}, and predict again."
                    )
        self._saved.remove()
        return total

    def _parts(self) -> Iterator[tuple[Path, list[str], list[_Segment]]]:
        """Yield the file of each complete part, the names of its columns and its segments."""
        for described in sorted(self._saved.folder.glob("*.json")):
            part = described.with_suffix(self.path.suffix)
            if described != self._saved.run_file and part.is_file():
                content = read_json(described)
                if content is not None:
                    yield part, content["names"], [_Segment(*segment) for segment in content["segments"]]

    def _in_order(self) -> list[tuple[int, int, Block]]:
        """Return the first row, the number of rows and the content of each block that is in no part yet."""
        return sorted(self._blocks, key=lambda block: block[:2])

    def _encode(self) -> None:
        while self._open:
            self._encode_run(self._open.pop(next(iter(self._open))))

    def _encode_run(self, run: _Run) -> None:
        names, columns = prediction_columns(run.ids, run.results, self._columns, self._classes)
        self._names = self._names or names
        block = self._format.block(self._names, columns)
        self._blocks.append((run.first, len(run.ids), block))
        self._rows += len(run.ids)
        self._bytes += self._format.size(block)


class WritePredictions(Callback):
    """Write the predictions of a trainer to a file, as they come.

    Args:
        path: The file.
        resume: Whether to go on after the parts of an interrupted run.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        row_format(path, "to=")
        self._path, self._resume = path, resume
        self._file: PredictionFile | None = None
        # The rows that are predicted, if an interrupted run had others.
        self._left: list[int] | None = None
        self._seen = 0

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Find out what an interrupted run has predicted, before there are loaders."""
        data: Any = getattr(trainer, "datamodule", None)
        samples = data.predict_dataset if isinstance(data, DataModule) else None
        length = len(samples) if isinstance(samples, AutoDataset) else None
        if self._resume and length is None:
            raise ConfigurationError(
                "Expected a DataModule whose samples have places, to go on with the file of an interrupted run, but "
                "got loaders or a stream. Predict it from the beginning: resume=False."
            )

        def run() -> dict[str, Any]:
            output = pl_module.output
            return {
                "weights": digest_of_weights(pl_module),
                "output": output if isinstance(output, str | None) else getattr(output, "__qualname__", repr(output)),
                "samples": length,
            }

        file = PredictionFile(
            self._path, run=run, classes=pl_module.output_names, leads=trainer.is_global_zero, argument="to="
        )
        if trainer.is_global_zero and not file.begin(resume=self._resume) and self._resume:
            raise ConfigurationError(
                f"Expected the parts of {self._path} to be of this task, output and number of samples, to go on with "
                "them, but they are of other ones, and were removed. Call predict again."
            )
        trainer.strategy.barrier("begin of the file of predictions")
        done = file.done()
        if done and length is not None:
            is_left = torch.ones(length, dtype=torch.bool)
            for rows in done:
                is_left[rows.start : rows.stop] = False
            # Without any sample there would be no run, and no end of it.
            is_left[-1] |= not is_left.any()
            self._left = is_left.nonzero().flatten().tolist()
            data.predict_only(self._left)
            log.info("%s of %s rows were predicted before an interruption.", f"{length - len(self._left):,}", length)
        self._file = file

    def on_predict_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Write the results of a batch."""
        assert self._file is not None
        loader = trainer.predict_dataloaders
        samples = samples_of(loader)
        if trainer.world_size == 1 and not isinstance(samples, AutoDataset):
            rows: Sequence[int] = range(self._seen, self._seen + len(outputs))
        else:
            rows = rows_of_batch(loader, batch_idx, len(outputs))
        self._seen += len(outputs)
        ids = rows if samples is None else samples.ids_of(rows)
        self._file.write(rows if self._left is None else [self._left[row] for row in rows], ids, outputs)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Keep what there is of a run that the user interrupts."""
        if self._file is not None and isinstance(exception, KeyboardInterrupt):
            self._file.save_part()

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file of the rows of all processes."""
        assert self._file is not None
        if not trainer.is_global_zero:
            self._file.save_part()
        trainer.strategy.barrier("end of the predictions")
        if trainer.is_global_zero:
            self._file.finish()
        trainer.strategy.barrier("end of the file of predictions")


def digest_of_weights(module: nn.Module) -> str:
    """Return the SHA-256 of the weights of a module, and of their names.

    Example:
        >>> digest_of_weights(nn.Identity())[:12]
        'e3b0c44298fc'
    """
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _runs(rows: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Yield start and stop of each run of consecutive rows.

    Example:
        >>> list(_runs([3, 4, 7])), list(_runs([]))
        ([(0, 2), (2, 3)], [])
    """
    if isinstance(rows, range) and rows.step == 1 and rows:
        yield 0, len(rows)
        return
    start = 0
    for place in range(1, len(rows) + 1):
        if place == len(rows) or rows[place] != rows[place - 1] + 1:
            yield start, place
            start = place


def prediction_columns(
    ids: Sequence[Any],
    results: Sequence[Any],
    names: tuple[str, str] = ("id", "prediction"),
    classes: Sequence[str] | None = None,
) -> tuple[list[str], list[Sequence[Any]]]:
    """Return the columns of a block of predictions: ids, and results; a number for each class has a column of its own.

    Args:
        ids: The id of each row.
        results: The result of each row, at least one, as ``task.predict_blocks`` yields them.
        names: The names of the column of ids and of that of predictions.
        classes: The classes of the task, ``task.output_names``.

    Returns:
        The names of the columns, and their values as JSON can hold them.

    Example:
        >>> prediction_columns([7, 8], ["no", "yes"])
        (['id', 'prediction'], [[7, 8], ['no', 'yes']])
        >>> prediction_columns([7, 8], [[0.5, 0.5], [0.75, 0.25]], classes=["no", "yes"])
        (['id', 'prediction_no', 'prediction_yes'], [[7, 8], [0.5, 0.75], [0.5, 0.25]])
    """
    identifier, name = names
    values = _all_plain(results)
    found = _classes_of(values[0], classes)
    if found is None:
        return [identifier, name], [_all_plain(ids), values]
    columns = [list(column) for column in zip(*values, strict=True)]
    return [identifier, *(f"{name}_{each}" for each in found)], [_all_plain(ids), *columns]


def _classes_of(value: Any, labels: Sequence[str] | None) -> Sequence[str] | None:
    """Return the classes that a prediction has a number for each of, such as probabilities; ``None`` for another."""
    is_numbers = isinstance(value, list) and value and all(isinstance(each, float) for each in value)
    return labels if is_numbers and labels is not None and len(labels) == len(value) else None


def _all_plain(values: Sequence[Any]) -> Sequence[Any]:
    """Return values as JSON can hold them, without a call per value where they are plain already."""
    return values if PLAIN_TYPES.issuperset(map(type, values)) else list(map(plain, values))

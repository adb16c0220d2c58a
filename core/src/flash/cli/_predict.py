"""``flash predict``: write one row per input, in their order, with the id of the input."""

from __future__ import annotations

import codecs
import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from torch import Tensor
from tqdm import tqdm

import flash
from flash.cli._command import command_parser
from flash.data.tables import ReadOptions, is_table_file, read_table
from flash.errors import ConfigurationError, DataError
from flash.serialization.files import replacing

__all__ = ["main"]

Row = Mapping[str, Any]


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = command_parser("predict")
    parser.add_argument("checkpoint", help="a checkpoint, such as task.ckpt of a run")
    parser.add_argument("input", help="a table, a folder or a file, as task.predict takes it")
    parser.add_argument("-o", "--output_file", required=True, help="the file to write: .csv, .jsonl or .parquet")
    parser.add_argument("--output", help="what is predicted, such as labels or probabilities (default: the task's)")
    parser.add_argument("--columns", help="two names: the column of ids, of the input if it has it, and of predictions")
    parser.add_argument("--sep", help="the separator of a table of text, if it is not detected")
    parser.add_argument("--encoding", help="the encoding of a table of text (default: UTF-8)")
    parser.add_argument("--batch_size", type=int, default=64, help="inputs per batch (default: 64)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: cpu)")
    chosen = parser.parse_args(arguments)
    target = Path(chosen.output_file)
    if target.suffix not in _WRITERS:
        raise ConfigurationError(f"Expected -o to end in {', '.join(_WRITERS)}, but got {target}.")
    id_name, name = _column_names(chosen.columns)
    task = flash.Task.load_from_checkpoint(chosen.checkpoint).to(chosen.device)
    given: ReadOptions = {"sep": chosen.sep, "encoding": chosen.encoding}
    reading: Any = {name: value for name, value in given.items() if value is not None}
    ids = _ids_of(chosen.input, id_name, reading) if chosen.columns else None
    predictions = task.predict_each(chosen.input, chosen.output, chosen.batch_size, **reading)
    rows = 0
    with _WRITERS[target.suffix](target) as write, tqdm(unit=" rows", disable=not sys.stderr.isatty()) as bar:
        for rows, (each, result) in enumerate(predictions, start=1):
            identity = each if ids is None else ids[rows - 1]
            write({id_name: _plain(identity), **_columns_of(result, name, task.output_names)})
            bar.update()
    if ids is not None and len(ids) != rows:
        raise DataError(f"Expected one prediction per row of {chosen.input}, but got {rows} for {len(ids)} rows.")
    print(f"{rows:,} predictions are in {target}.")
    return 0


def _column_names(columns: str | None) -> tuple[str, str]:
    names = (columns or "id,prediction").split(",")
    if len(names) != 2 or not all(names):
        raise ConfigurationError(
            f"Expected --columns with two names, such as PassengerId,Survived, but got {columns!r}."
        )
    return names[0], names[1]


def _ids_of(source: str, name: str, reading: ReadOptions) -> list[Any] | None:
    """Return the column of ids, if the input is a table that has it."""
    if not is_table_file(source) or not Path(source).is_file():
        return None
    table = read_table(source, **reading)
    return table.get(name)


def _columns_of(result: Any, name: str, labels: Sequence[str] | None) -> Row:
    """Return the cells of a prediction: one, or one per class if there is a number for each."""
    value = _plain(result)
    is_numbers = isinstance(value, list) and value and all(isinstance(each, float) for each in value)
    if is_numbers and labels is not None and len(labels) == len(value):
        return {f"{name}_{label}": each for label, each in zip(labels, value, strict=True)}
    return {name: value}


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, bool | int | float | None) else str(value)


# ---------------------------------------------------------------------- formats


@contextmanager
def _csv(target: Path) -> Iterator[Callable[[Row], None]]:
    with replacing(target) as file:
        text: Any = codecs.getwriter("utf-8")(file)
        writer: Any = None

        def write(row: Row) -> None:
            nonlocal writer
            if writer is None:
                writer = csv.DictWriter(text, list(row), lineterminator="\n")
                writer.writeheader()
            cells = {key: json.dumps(value) if isinstance(value, list | dict) else value for key, value in row.items()}
            writer.writerow(cells)

        yield write


@contextmanager
def _jsonl(target: Path) -> Iterator[Callable[[Row], None]]:
    with replacing(target) as file:
        yield lambda row: _discard(file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n"))


@contextmanager
def _parquet(target: Path) -> Iterator[Callable[[Row], None]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ConfigurationError(
            'Expected pyarrow, which writes Parquet files, but it is not installed: pip install "flash-core[parquet]".'
        ) from error
    block: list[Row] = []
    writer: Any = None

    def flush(file: IO[bytes]) -> None:
        nonlocal writer
        table = pa.Table.from_pylist(block, schema=None if writer is None else writer.schema)
        if writer is None:
            writer = pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
        block.clear()

    with replacing(target) as file:

        def write(row: Row) -> None:
            block.append(row)
            if len(block) == _ROWS_PER_GROUP:
                flush(file)

        yield write
        if block:
            flush(file)
        if writer is not None:
            writer.close()


def _discard(_: Any) -> None: ...


_ROWS_PER_GROUP = 10_000
_WRITERS: dict[str, Any] = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}

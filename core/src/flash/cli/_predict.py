"""``flash predict``: write one row per input, in their order, with the id of the input."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

import flash
from flash.cli._command import command_parser
from flash.cli._row_writers import check_format, row_writer
from flash.core.outputs import PLAIN_TYPES, plain
from flash.data.tables import ReadOptions
from flash.errors import ConfigurationError

__all__ = ["main"]

_ROWS_AT_ONCE = 32_768
# The name of the column of ids that are no values of the input: rows, or files.
_ROW = "id"


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = command_parser("predict")
    parser.add_argument("checkpoint", help="a checkpoint, such as task.ckpt of a run")
    parser.add_argument("input", help="a table, a folder or a file, as task.predict takes it")
    parser.add_argument("-o", "--output_file", required=True, help="the file to write: .csv, .jsonl or .parquet")
    parser.add_argument("--output", help="what is predicted, such as labels or probabilities (default: the task's)")
    parser.add_argument(
        "--columns",
        help="two names: of the ids, a column of the input or id, and of the predictions (default: id,prediction)",
    )
    parser.add_argument(
        "--id_field", metavar="COLUMN", help="the column of ids in the input, if it is not the first of --columns"
    )
    parser.add_argument("--sep", help="the separator of a table of text, if it is not detected")
    parser.add_argument("--encoding", help="the encoding of a table of text (default: UTF-8)")
    parser.add_argument("--batch_size", type=int, default=64, help="inputs per batch (default: 64)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: cpu)")
    chosen = parser.parse_args(arguments)
    target = Path(chosen.output_file)
    check_format(target)
    id_name, name = _column_names(chosen.columns or f"{chosen.id_field or _ROW},prediction")
    id_field = chosen.id_field or (id_name if chosen.columns else None)
    task = flash.Task.load_from_checkpoint(chosen.checkpoint).to(chosen.device)
    given: ReadOptions = {"sep": chosen.sep, "encoding": chosen.encoding}
    reading: Any = {name: value for name, value in given.items() if value is not None}
    needs_ids = chosen.id_field is not None or id_name != _ROW
    options: Any = {"id_field": id_field, "needs_ids": needs_ids, **reading}
    batches = task.predict_blocks(chosen.input, chosen.output, chosen.batch_size, **options)
    rows, labels = 0, task.output_names
    names: list[str] = []
    with row_writer(target) as write, tqdm(unit=" rows", disable=not sys.stderr.isatty()) as bar:
        for ids, results in _blocks(batches):
            values = _all_plain(results)
            classes = _classes_of(values[0], labels)
            names = names or [id_name, *([name] if classes is None else [f"{name}_{label}" for label in classes])]
            columns = [values] if classes is None else [list(column) for column in zip(*values, strict=True)]
            write(names, [_all_plain(ids), *columns])
            rows += len(ids)
            bar.update(len(ids))
    print(f"{rows:,} predictions are in {target}.")
    return 0


def _column_names(columns: str) -> tuple[str, str]:
    names = columns.split(",")
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise ConfigurationError(
            f"Expected --columns with two different names, such as PassengerId,Survived, but got {columns!r}."
        )
    return names[0], names[1]


def _blocks(batches: Iterator[tuple[Sequence[Any], list[Any]]]) -> Iterator[tuple[list[Any], list[Any]]]:
    """Yield the ids and results of several batches together, so that a row costs no call of its own."""
    ids: list[Any] = []
    results: list[Any] = []
    for some_ids, some_results in batches:
        ids += some_ids
        results += some_results
        if len(ids) >= _ROWS_AT_ONCE:
            yield ids, results
            ids, results = [], []
    if ids:
        yield ids, results


def _classes_of(value: Any, labels: Sequence[str] | None) -> Sequence[str] | None:
    """Return the classes that a prediction has a number for each of, such as probabilities; ``None`` for another."""
    is_numbers = isinstance(value, list) and value and all(isinstance(each, float) for each in value)
    return labels if is_numbers and labels is not None and len(labels) == len(value) else None


def _all_plain(values: Sequence[Any]) -> Sequence[Any]:
    """Return values as JSON can hold them, without a call per value where they are plain already."""
    return values if PLAIN_TYPES.issuperset(map(type, values)) else list(map(plain, values))

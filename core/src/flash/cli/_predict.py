"""``flash predict``: write one row per input, in their order, with the id of the input."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

import flash
from flash.cli._arguments import value_of, wants_help
from flash.cli._command import command_parser
from flash.cli._engines import HELP, find_engine
from flash.cli._options import add_options, new_parser, parse_options
from flash.core.prediction_files import check_format, prediction_columns, row_writer
from flash.data.tables import ReadOptions
from flash.errors import ConfigurationError

__all__ = ["main"]

_ROWS_AT_ONCE = 32_768


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
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ... (default: cpu)")
    parser.add_argument("--engine", help=HELP)
    engine = find_engine(value_of(arguments, "--engine"), "predict")
    if engine is None:
        chosen = parser.parse_args(arguments)
        own: dict[str, Any] = {}
    else:
        options = new_parser(f"flash predict --engine {engine.name}", "flash predict CHECKPOINT INPUT -o FILE", "")
        add_options(options, engine.name, engine.title, engine.options)
        if wants_help(arguments):
            parser.print_help()
            print(f"\n{engine.title}:{options.format_help().partition(f'{engine.title}:')[2].rstrip()}")
            return 0
        chosen, rest = parser.parse_known_args(arguments)
        own = parse_options(options, rest).get(engine.name, {})
    target = Path(chosen.output_file)
    check_format(target)
    id_name, name = _column_names(chosen.columns)
    reading: Any = {"sep": chosen.sep, "encoding": chosen.encoding}
    reading = {option: value for option, value in reading.items() if value is not None}
    passed: dict[str, Any] = {"id_field": id_name if chosen.columns else None, "output": chosen.output}
    passed["batch_size"] = chosen.batch_size
    if engine is None:
        rows = _predict(
            chosen.checkpoint, chosen.input, target, (id_name, name), chosen.device or "cpu", reading, passed
        )
    elif chosen.device is None:
        rows = engine.run(
            chosen.checkpoint, chosen.input, target, names=(id_name, name), reading=reading, **passed, **own
        )
    else:
        raise ConfigurationError(
            f"Expected no --device with --engine, which chooses the devices itself, but got {chosen.device}. See the "
            f"options of the engine: flash predict --engine {engine.name} --help."
        )
    print(f"{rows:,} predictions are in {target}.")
    return 0


def _predict(
    checkpoint: str,
    source: str,
    target: Path,
    names: tuple[str, str],
    device: str,
    reading: ReadOptions,
    options: dict[str, Any],
) -> int:
    """Write the predictions, and return their number."""
    task = flash.Task.load_from_checkpoint(checkpoint).to(device)
    batches = task.predict_blocks(source, **options, **reading)
    rows = 0
    with row_writer(target) as write, tqdm(unit=" rows", disable=not sys.stderr.isatty()) as bar:
        for ids, results in _blocks(batches):
            write(*prediction_columns(ids, results, names, task.output_names))
            rows += len(ids)
            bar.update(len(ids))
    return rows


def _column_names(columns: str | None) -> tuple[str, str]:
    names = (columns or "id,prediction").split(",")
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

"""``flash predict``: write one row, or one file, per input, in their order, with the id of the input."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

import flash
from flash.cli._arguments import value_of, wants_help
from flash.cli._command import command_parser
from flash.cli._engines import HELP, find_engine
from flash.cli._options import add_options, new_parser, parse_options
from flash.core.prediction_files import PredictionFile, digest_of_weights
from flash.core.prediction_folders import PredictionFolder
from flash.data.folders import file_state
from flash.data.process import Postprocess
from flash.data.row_files import FORMATS, row_format
from flash.data.tables import ReadOptions
from flash.errors import ConfigurationError

__all__ = ["main"]

# The name of the column of ids that are no values of the input: rows, or files.
_ROW = "id"


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = command_parser("predict")
    parser.add_argument("checkpoint", help="a checkpoint, such as task.ckpt of a run")
    parser.add_argument("input", help="a table, a folder or a file, as task.predict takes it")
    parser.add_argument(
        "-o",
        "--output_file",
        required=True,
        help="the file to write: .csv, .jsonl or .parquet; or FOLDER/, for a file of each input, such as its mask",
    )
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
    is_folder = engine is None and (chosen.output_file.endswith(("/", os.sep)) or target.is_dir())
    if not is_folder:
        _check_format(target, may_be_folder=engine is None)
    columns = _column_names(chosen.columns or f"{chosen.id_field or _ROW},prediction")
    id_field = chosen.id_field or (columns[0] if chosen.columns else None)
    given: ReadOptions = {"sep": chosen.sep, "encoding": chosen.encoding}
    reading: Any = {name: value for name, value in given.items() if value is not None}
    passed: dict[str, Any] = {"output": chosen.output, "batch_size": chosen.batch_size, "id_field": id_field}
    if engine is None:
        passed["needs_ids"] = chosen.id_field is not None or columns[0] != _ROW
        if is_folder and chosen.columns:
            raise ConfigurationError(
                f"Expected no --columns with a folder, whose files are named by ids, but got {chosen.columns}. Name "
                "the column of ids with --id_field, or write a table: -o predictions.csv."
            )
        task = flash.Task.load_from_checkpoint(chosen.checkpoint).to(chosen.device or "cpu")
        rows = _predict(task, chosen.input, target, None if is_folder else columns, {**passed, **reading})
    elif chosen.device is None:
        rows = engine.run(chosen.checkpoint, chosen.input, target, names=columns, reading=reading, **passed, **own)
    else:
        raise ConfigurationError(
            f"Expected no --device with --engine, which chooses the devices itself, but got {chosen.device}. See the "
            f"options of the engine: flash predict --engine {engine.name} --help."
        )
    print(f"{rows:,} predictions are in {target}.")
    return 0


def _predict(
    task: flash.Task, source: str, target: Path, columns: tuple[str, str] | None, options: dict[str, Any]
) -> int:
    """Write the predictions, after those of an interrupted run, and return their number; without columns, as files."""

    def run() -> dict[str, Any]:
        decisive = {name: value for name, value in options.items() if name != "batch_size"}
        return {"weights": digest_of_weights(task), "input": _state_of(Path(source)), **decisive}

    file: PredictionFile | PredictionFolder
    if columns is None:
        root = Path(source) if Path(source).is_dir() else Path(source).parent
        postprocess = task.postprocess or Postprocess()
        file = PredictionFolder(target, postprocess, run=run, root=root, argument="-o")
    else:
        file = PredictionFile(target, run=run, columns=columns, classes=task.output_names, argument="-o")
    if not file.begin(resume=True):
        print(f"The parts of {target} that an interrupted run left are of another task or input: they are removed.")
    rows = file.first_missing()
    if rows:
        print(f"{rows:,} rows were predicted before an interruption: the others follow.")
    with tqdm(unit=" rows", initial=rows, disable=not sys.stderr.isatty()) as bar:
        try:
            for ids, results in task.predict_blocks(source, start=rows, **options):
                file.write(range(rows, rows + len(ids)), ids, results)
                rows += len(ids)
                bar.update(len(ids))
        except KeyboardInterrupt:
            file.save_part()
            raise
    return file.finish()


def _check_format(target: Path, may_be_folder: bool) -> None:
    try:
        row_format(target, "-o")
    except ConfigurationError as error:
        if target.suffix in FORMATS or not may_be_folder:
            raise
        raise ConfigurationError(
            f"{error} For a folder with a file of each input, end it in /: -o {target}/."
        ) from None


def _state_of(source: Path) -> list[Any]:
    """Return what changes if a file, or a folder of them, is written again."""
    files = sorted(each for each in source.rglob("*") if each.is_file()) if source.is_dir() else [source]
    return [state for state in map(file_state, files) if state is not None] or [str(source)]


def _column_names(columns: str) -> tuple[str, str]:
    names = columns.split(",")
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise ConfigurationError(
            f"Expected --columns with two different names, such as PassengerId,Survived, but got {columns!r}."
        )
    return names[0], names[1]

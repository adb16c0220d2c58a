"""``flash predict``: write one row per input, in their order, with the id of the input."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

import flash
from flash.cli._command import command_parser
from flash.core.prediction_files import PredictionFile, digest_of_weights
from flash.data.row_files import row_format
from flash.data.tables import ReadOptions
from flash.errors import ConfigurationError

__all__ = ["main"]


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
    row_format(target, "-o")
    columns = _column_names(chosen.columns)
    task = flash.Task.load_from_checkpoint(chosen.checkpoint).to(chosen.device)
    given: ReadOptions = {"sep": chosen.sep, "encoding": chosen.encoding}
    reading: Any = {name: value for name, value in given.items() if value is not None}
    id_field = columns[0] if chosen.columns else None

    def run() -> dict[str, Any]:
        options = {"output": chosen.output, "id_field": id_field, **reading}
        return {"weights": digest_of_weights(task), "input": _state_of(Path(chosen.input)), **options}

    file = PredictionFile(target, run=run, columns=columns, classes=task.output_names, argument="-o")
    if not file.begin(resume=True):
        print(f"The parts of {target} that an interrupted run left are of another task or input: they are removed.")
    rows = file.first_missing()
    if rows:
        print(f"{rows:,} rows were predicted before an interruption: the others follow.")
    options: Any = {"id_field": id_field, "start": rows, **reading}
    with tqdm(unit=" rows", initial=rows, disable=not sys.stderr.isatty()) as bar:
        try:
            for ids, results in task.predict_blocks(chosen.input, chosen.output, chosen.batch_size, **options):
                file.write(range(rows, rows + len(ids)), ids, results)
                rows += len(ids)
                bar.update(len(ids))
        except KeyboardInterrupt:
            file.save_part()
            raise
    print(f"{file.finish():,} predictions are in {target}.")
    return 0


def _state_of(source: Path) -> list[Any]:
    """Return what changes if a file, or a folder of them, is written again."""
    files = sorted(each for each in source.rglob("*") if each.is_file()) if source.is_dir() else [source]
    states = [(str(each), each.stat()) for each in files if each.exists()]
    return [(name, state.st_size, state.st_mtime_ns) for name, state in states] or [str(source)]


def _column_names(columns: str | None) -> tuple[str, str]:
    names = (columns or "id,prediction").split(",")
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise ConfigurationError(
            f"Expected --columns with two different names, such as PassengerId,Survived, but got {columns!r}."
        )
    return names[0], names[1]

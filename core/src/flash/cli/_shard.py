"""``flash shard``: write the samples of data as shards, which are trained on without being in memory."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

import flash
from flash.cli._arguments import as_choices, value_of, values_of, wants_help
from flash.cli._options import add_options, data_options, new_parser, parse_options
from flash.cli._sources import choose_source, describe_sources, make_data
from flash.data.shards import sample_rows, write_shard_folders
from flash.data.stage import Stage
from flash.errors import ConfigurationError
from flash.plugins import get_host
from flash.serialization import is_free, parts_folder

__all__ = ["main"]

_USAGE = "flash shard TASK --data... -o FOLDER"


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    if not arguments or (arguments[0].startswith("-") and not wants_help(arguments)):
        raise ConfigurationError("Expected a task first, as in flash shard image/classification --data... -o FOLDER.")
    parser = new_parser(
        "flash shard",
        _USAGE,
        "Write the train, validation and test samples of data as shards, in folders train, val and test of a new "
        "folder. The options of data are those of flash fit TASK --help.",
    )
    parser.add_argument("name", help="the name of the task, such as image/classification")
    parser.add_argument("-o", "--output", type=str, help="the folder to write, which does not exist yet")
    parser.add_argument("--source", type=str, help="the source of the data, if the options do not tell it")
    name = arguments[0]
    if name.startswith("-"):
        parser.parse_args(["--help"])
    data_class: type[flash.DataModule] = get_host().tasks()[name].load("data")
    given, asked = values_of(arguments, "data"), value_of(arguments, "--source")
    if wants_help(arguments) and not given and asked is None:
        print(f"The data may come from {describe_sources(data_class)}.\n")
        parser.parse_args(["--help"])
    source = choose_source(data_class, given, asked)
    add_options(parser, "data", "data", data_options(data_class, source), given=given)
    chosen = parse_options(parser, arguments)
    if chosen.get("output") is None:
        raise ConfigurationError(f"Expected a folder to write the shards to, as in {_USAGE}, but got none.")
    return _write(name, data_class, source, as_choices(chosen["data"]), Path(chosen["output"]))


def _write(name: str, data_class: type[flash.DataModule], source: str, options: Any, folder: Path) -> int:
    if not is_free(folder):
        raise ConfigurationError(
            f"Expected a folder that does not exist yet, or is empty, but {folder} is there. Remove it, or choose "
            "another one with -o."
        )
    data = make_data(data_class, source, options)
    stages = [stage.value for stage in Stage if stage is not Stage.PREDICT]
    stages = [stage for stage in stages if getattr(data, f"{stage}_dataset") is not None]
    fields = {each: options[each] for each in ("input_field", "target_fields") if options.get(each) is not None}
    columns = list(next(sample_rows(data, stages[0], **fields)))
    rows = {
        stage: tqdm(
            sample_rows(data, stage, **fields),
            desc=stage,
            total=len(data.indexed_dataset(stage)),
            unit=" rows",
            disable=not sys.stderr.isatty(),
        )
        for stage in stages
    }
    if parts_folder(folder).is_dir():
        print(f"The run goes on after what an interrupted one has written to {parts_folder(folder)}.")
    # The folder appears with all stages; after an interruption, the same command goes on.
    for stage, total in write_shard_folders(rows, folder, folder_argument="-o").items():
        print(f"{total:,} {stage} rows are written.")
    passed = [f"--data.{stage}_file {shlex.quote(str(folder / stage))}" for stage in stages]
    if len(columns) == 2:
        passed += [f"--data.input_field {shlex.quote(columns[0])} --data.target_fields {shlex.quote(columns[1])}"]
    print(f"The shards are in {folder}, with the columns {', '.join(columns)}. Train on them:")
    print(f"  flash fit {name} --source parquet --data.in_memory false {' '.join(passed)}")
    return 0

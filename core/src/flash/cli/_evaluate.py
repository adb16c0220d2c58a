"""``flash validate`` and ``flash test``: the scores of a checkpoint on data."""

from __future__ import annotations

import json
from collections.abc import Sequence

import flash
from flash.cli._arguments import as_choices, value_of, values_of, wants_help
from flash.cli._options import add_options, data_options, new_parser, parse_options
from flash.cli._sources import choose_source, make_data
from flash.errors import ConfigurationError
from flash.plugins import get_host
from flash.serialization import writing

__all__ = ["test", "validate"]


def validate(arguments: Sequence[str]) -> int:
    """Run ``flash validate``."""
    return _evaluate("validate", "val", arguments)


def test(arguments: Sequence[str]) -> int:
    """Run ``flash test``."""
    return _evaluate("test", "test", arguments)


def _evaluate(command: str, stage: str, arguments: Sequence[str]) -> int:
    if not arguments or (arguments[0].startswith("-") and not wants_help(arguments)):
        raise ConfigurationError(f"Expected a checkpoint first, as in flash {command} run/task.ckpt --data...")
    checkpoint = arguments[0]
    parser = new_parser(
        f"flash {command}",
        f"flash {command} CHECKPOINT --data.{stage}_... [-o FILE]",
        f"Compute the loss and the metrics of a checkpoint on {stage} data. The options of data are those of flash fit "
        "TASK --help; classes and statistics are those of the task.",
    )
    parser.add_argument("checkpoint", help="a checkpoint, such as task.ckpt of a run")
    parser.add_argument("-o", "--output", type=str, help="a JSON file for the scores")
    parser.add_argument("--source", type=str, help="the source of the data, if the options do not tell it")
    if checkpoint.startswith("-"):
        parser.parse_args(["--help"])
    task = flash.Task.load_from_checkpoint(checkpoint)
    data_class = _data_class(task)
    given = values_of(arguments, "data")
    source = choose_source(data_class, given, value_of(arguments, "--source"))
    add_options(parser, "data", "data", data_options(data_class, source), given=given)
    chosen = parse_options(parser, arguments)
    data = make_data(data_class, source, {**as_choices(chosen["data"]), "preprocess": task.preprocess})
    trainer = flash.Trainer(logger=False, enable_checkpointing=False)
    (scores,) = getattr(trainer, command)(task, datamodule=data)
    if chosen.get("output") is not None:
        with writing(chosen["output"], "w", folder_argument="-o") as file:
            file.write(json.dumps({name: float(value) for name, value in scores.items()}, indent=2) + "\n")
    return 0


def _data_class(task: flash.Task) -> type[flash.DataModule]:
    """Return the data module of the plugin that the task is from."""
    paths = {f"{base.__module__}:{base.__qualname__}" for base in type(task).__mro__}
    for _, contribution in sorted(get_host().tasks().items()):
        # The path may be that of a package which the class is imported into.
        if contribution.spec.task in paths or contribution.load("task") in type(task).__mro__:
            data: type[flash.DataModule] = contribution.load("data")
            return data
    raise ConfigurationError(
        f"Expected a task of an installed plugin, whose data module reads the data, but got a {type(task).__name__}. "
        "Evaluate it in Python: flash.Trainer().test(task, datamodule=...)."
    )

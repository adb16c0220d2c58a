"""``flash fit``: train a task on data, and keep the run in a folder."""

from __future__ import annotations

import argparse
import secrets
import shlex
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped,unused-ignore]  # stubs are another package
from jsonargparse import ActionConfigFile, ArgumentParser  # type: ignore[attr-defined]  # re-exported
from pytorch_lightning import seed_everything
from pytorch_lightning.loggers import CSVLogger

import flash
from flash.cli._options import add_options, data_options, task_options, trainer_options
from flash.cli._output import wrap
from flash.cli._run_folder import RunFolder
from flash.cli._sources import choose_source, file_sources
from flash.errors import ConfigurationError
from flash.plugins import get_host

__all__ = ["data_values", "main", "pairs", "value_of"]

_INTERRUPTED = 130  # The exit code that a shell reports for Ctrl-C.


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    config = _config_of(arguments)
    name = next((each for each in arguments[:1] if not each.startswith("-")), config.get("name"))
    if name is None:
        return _show_tasks(arguments)
    spec = get_host().tasks()[name]
    task, data = spec.load("task"), spec.load("data")
    wants_help = bool({"-h", "--help"} & set(arguments))
    given = {**_mapping(config.get("data")), **data_values(arguments)}
    asked = value_of(arguments, "--source") or config.get("source")
    source = None if wants_help and not given and asked is None else choose_source(data, given, asked)
    parser = _parser(name, task, data, source, "--print_config" in arguments, extra=_names(given))
    chosen = parser.parse_args(list(arguments))
    return _fit(task, data, source or "", chosen.as_dict())


def _fit(task_class: type[flash.Task], data_class: type[flash.DataModule], source: str, chosen: dict[str, Any]) -> int:
    output, config = chosen.pop("output", None), chosen.pop("config", None)  # noqa: F841  # it is in the values
    folder = RunFolder(output)
    seed = chosen.get("seed")
    seed = seed_everything(secrets.randbelow(2**31) if seed is None else seed, verbose=False)
    settings = {**chosen, "source": source.removeprefix("from_"), "seed": seed}
    folder.write_config({name: value for name, value in settings.items() if value not in (None, {})})
    with folder.logging():
        data = getattr(data_class, source)(**pairs(chosen.get("data", {})))
        task = task_class.from_data(data, **pairs(chosen.get("task", {})))
        logger = _logger(folder)
        trainer = flash.Trainer(default_root_dir=folder.path, logger=logger, **pairs(chosen.get("trainer", {})))
        code = _train(trainer, task, data, chosen.get("strategy"))
        trainer.save_checkpoint(folder.task_file, weights_only=True)
        if code == 0:
            folder.write_scores(_scores(trainer, task, data))
        folder.draw_curves()
    task_file = shlex.quote(str(folder.task_file))
    print(f"\nThe run is in {folder.path}. Predict with it:\n  flash predict {task_file} INPUT -o predictions.csv")
    return code


def _train(trainer: flash.Trainer, task: flash.Task, data: flash.DataModule, strategy: Any) -> int:
    """Train; after Ctrl-C, the task keeps the weights that it has."""
    try:
        if strategy is None:
            trainer.fit(task, datamodule=data)
        else:
            trainer.finetune(task, datamodule=data, strategy=pairs(strategy))
    except SystemExit:  # Lightning's answer to KeyboardInterrupt.
        print(f"Interrupted in epoch {trainer.current_epoch + 1}; the task is saved as it is.", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _logger(folder: RunFolder) -> CSVLogger:
    """Return a logger that writes ``metrics.csv`` beside the other files of the run."""
    logger = CSVLogger(folder.path, name="", version="")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Experiment logs directory .* exists and is not empty")
        logger.experiment  # noqa: B018  # made now, while its warning is ignored
    return logger


def _scores(trainer: flash.Trainer, task: flash.Task, data: flash.DataModule) -> dict[str, float]:
    scores: dict[str, float] = {}
    trainer.loggers = []  # metrics.csv has the epochs of the training
    for stage, evaluate in (("val", trainer.validate), ("test", trainer.test)):
        if getattr(data, f"{stage}_dataset") is not None:
            for each in evaluate(task, datamodule=data):
                scores |= {name: float(value) for name, value in each.items()}
    return scores


# ---------------------------------------------------------------------- the command line


class _Formatter(argparse.HelpFormatter):
    """Help as wide as that of the other commands, without the types, which are in the descriptions."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=100)


def _parser(
    name: str,
    task: type[flash.Task],
    data: type[flash.DataModule],
    source: str | None,
    with_defaults: bool,
    extra: Sequence[str],
) -> ArgumentParser:
    """Return the parser of a task and, if it is known, of a constructor of its data."""
    sources = file_sources(data)
    ways = [
        f"{each.removeprefix('from_')}: " + ", ".join(f"--data.{path}" for path in sources[each]) for each in sources
    ]
    parser = ArgumentParser(
        prog="flash fit",
        usage="flash fit TASK --data... [--task...] [--trainer...] [--strategy NAME] [-o FOLDER]",
        description=f"Train {name}. The options tell the source of the data: {'; '.join(ways)}.",
        allow_abbrev=False,
        default_env=False,
        formatter_class=_Formatter,
    )
    parser.add_argument("name", nargs="?", default=name, help="the name of the task, such as tabular/classification")
    parser.add_argument("--config", action=ActionConfigFile, help="a file of options, such as config.yaml of a run")
    parser.add_argument("-o", "--output", type=str, help="the folder of the run (default: run-1, run-2, ...)")
    parser.add_argument("--source", type=str, help="the source of the data, if the options do not tell it")
    parser.add_argument("--strategy", type=Any, help="the finetuning strategy: its name, or [name, {argument: value}]")
    parser.add_argument("--seed", type=int, help="the seed of weights, splits and batches (default: drawn)")
    if source is not None:
        options = data_options(data, source)
        known = {option.name for option in options}
        add_options(parser, "data", f"data ({source.removeprefix('from_')})", options, with_defaults)
        for each in extra:
            if each not in known:  # The constructor says what it takes instead.
                parser.add_argument(f"--data.{each}", type=Any)
    add_options(parser, "task", "task", task_options(task, task.data_facts), with_defaults)
    add_options(parser, "trainer", "trainer", trainer_options(flash.Trainer), with_defaults)
    return parser


def _show_tasks(arguments: Sequence[str]) -> int:
    """Print the help of the command, if it was asked for without a task."""
    tasks = sorted(get_host().tasks())
    known = f"{', '.join(tasks)}" if tasks else "none: no plugin is installed that has one"
    if not {"-h", "--help"} & set(arguments):
        raise ConfigurationError(f"Expected a task first, as in flash fit {(tasks or ['TASK'])[0]}, among {known}.")
    print("usage: flash fit TASK --data... [--task...] [--trainer...] [--strategy NAME] [-o FOLDER]\n")
    print("Train a task on data, and keep configuration, metrics and the task in a folder.\n")
    print("\n".join(wrap(f"tasks: {known}")))
    print("\nflash fit TASK --help shows the options of a task.")
    return 0


def _config_of(arguments: Sequence[str]) -> dict[str, Any]:
    path = value_of(arguments, "--config")
    if path is None:
        return {}
    if not Path(path).is_file():
        raise ConfigurationError(f"Expected a file of options at {path}, but there is none. Check the path.")
    try:
        return _mapping(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"Expected options in YAML in {path}, but: {error}.") from error


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def value_of(arguments: Sequence[str], option: str) -> str | None:
    """Return the value of an option, before the options of the task are known."""
    for place, argument in enumerate(arguments):
        if argument == option and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
    return None


def data_values(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the options of data with their texts."""
    names = {argument.partition("=")[0] for argument in arguments if argument.startswith("--data.")}
    return {name.removeprefix("--data."): value_of(arguments, name) for name in names}


def _names(given: Mapping[str, Any]) -> list[str]:
    return [name for name in given if name.isidentifier()]


def pairs(value: Any) -> Any:
    """Return lists of a name and arguments as tuples, which is how choices are written in Python."""
    if isinstance(value, Mapping):
        return {name: pairs(each) for name, each in value.items()}
    if not isinstance(value, list):
        return value
    is_choice = len(value) > 1 and isinstance(value[0], str) and all(isinstance(each, Mapping) for each in value[1:])
    return tuple(value) if is_choice else [pairs(each) for each in value]

"""A run of ``flash fit``: its options, training, scores and folder."""

from __future__ import annotations

import secrets
import shlex
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ActionConfigFile, ArgumentParser  # type: ignore[attr-defined]  # re-exported
from pytorch_lightning import seed_everything
from pytorch_lightning.loggers import CSVLogger

import flash
from flash.cli._arguments import FIT_USAGE, as_choices, value_of, values_of, wants_help
from flash.cli._command import INTERRUPTED
from flash.cli._engines import HELP, ChosenEngine, find_engine
from flash.cli._options import add_options, data_options, new_parser, parse_options, task_options, trainer_options
from flash.cli._run_folder import RunFolder
from flash.cli._sources import choose_source, describe_sources, make_data
from flash.serialization import link_or_copy

__all__ = ["run"]

_GROUPS = ("data", "task", "trainer")


def run(
    name: str,
    task: type[flash.Task],
    data: type[flash.DataModule],
    arguments: Sequence[str],
    config: Mapping[str, Any],
) -> int:
    """Train a task as the arguments say.

    Args:
        name: The name of the task.
        task: Its class.
        data: The class of its data.
        arguments: Those of ``flash fit``.
        config: The options in the file of ``--config``.

    Returns:
        The exit code: 0, or 130 if the run was interrupted.

    Raises:
        ConfigurationError: If there is no source for the options of data, or an option has a wrong value.
    """
    engine = find_engine(value_of(arguments, "--engine") or config.get("engine"), "fit")
    given = {group: {**(config.get(group) or {}), **values_of(arguments, group)} for group in _GROUPS}
    asked = value_of(arguments, "--source") or config.get("source")
    only_help = wants_help(arguments) and not given["data"] and asked is None
    source = None if only_help else choose_source(data, given["data"], asked)
    parser = _parser(name, task, data, source, given, engine, with_defaults="--print_config" in arguments)
    chosen = parse_options(parser, arguments)
    return _train_in_folder(task, data, source or "", chosen, engine)


def _parser(
    name: str,
    task: type[flash.Task],
    data: type[flash.DataModule],
    source: str | None,
    given: Mapping[str, Mapping[str, Any]],
    engine: ChosenEngine | None,
    with_defaults: bool,
) -> ArgumentParser:
    """Return the parser of a task and, if it is known, of a constructor of its data."""
    about = f"Train {name}. The options tell the source of the data: {describe_sources(data)}."
    parser = new_parser("flash fit", FIT_USAGE, about)
    parser.add_argument("name", nargs="?", default=name, help="the name of the task, such as tabular/classification")
    parser.add_argument("--config", action=ActionConfigFile, help="a file of options, such as config.yaml of a run")
    parser.add_argument("-o", "--output", type=str, help="the folder of the run (default: run-1, run-2, ...)")
    parser.add_argument("--source", type=str, help="the source of the data, if the options do not tell it")
    parser.add_argument("--strategy", type=Any, help="the finetuning strategy: its name, or [name, {argument: value}]")
    parser.add_argument("--engine", type=str, help=HELP)
    parser.add_argument("--seed", type=int, help="the seed of weights, splits and batches (default: drawn)")
    groups = {"task": task_options(task, task.data_facts), "trainer": trainer_options(flash.Trainer)}
    if source is not None:
        groups = {"data": data_options(data, source), **groups}
    for group, options in groups.items():
        title = f"data ({source.removeprefix('from_')})" if group == "data" and source else group
        add_options(parser, group, title, options, with_defaults, given[group])
    if engine is not None:
        add_options(parser, engine.name, engine.title, engine.options, with_defaults)
    return parser


def _train_in_folder(
    task_class: type[flash.Task],
    data_class: type[flash.DataModule],
    source: str,
    chosen: dict[str, Any],
    engine: ChosenEngine | None,
) -> int:
    folder = RunFolder(chosen.pop("output", None))
    chosen.pop("config", None)  # Its options are among the others.
    seed = seed_everything(secrets.randbelow(2**31) if chosen["seed"] is None else chosen["seed"], verbose=False)
    settings = {**chosen, "source": source.removeprefix("from_"), "seed": seed}
    given = {group: as_choices(chosen.get(group, {})) for group in _GROUPS}
    data = make_data(data_class, source, given["data"])
    task = task_class.from_data(data, **given["task"])
    root = folder.path.absolute()  # An engine may run it in another folder.
    logger = CSVLogger(root, name="", version="")
    options = {"default_root_dir": root, "logger": logger, **given["trainer"]}
    # An engine checks and uses the options itself; here its task is evaluated.
    trainer = flash.Trainer(**(options if engine is None else {"logger": False, "enable_checkpointing": False}))
    folder.create({name: value for name, value in settings.items() if value not in (None, {})})
    strategy = as_choices(chosen.get("strategy"))
    with folder.logging():
        if engine is None:
            _begin(logger)
            code = _train(trainer, task, data, strategy)
            trainer.save_checkpoint(folder.task_file, weights_only=True)
        else:
            own = as_choices(chosen.get(engine.name, {}))
            written = engine.run(task, data, strategy=strategy, trainer=options, folder=root, **own)
            link_or_copy(Path(written), folder.task_file)
            code = 0
        if code == 0:
            folder.write_scores(_scores(trainer, task, data))
        folder.draw_curves(task.history)
    task_file = shlex.quote(str(folder.task_file))
    print(f"\nThe run is in {folder.path}. Predict with it:\n  flash predict {task_file} INPUT -o predictions.csv")
    return code


def _train(trainer: flash.Trainer, task: flash.Task, data: flash.DataModule, strategy: Any) -> int:
    """Train; after Ctrl-C, the task keeps the weights that it has."""
    try:
        if strategy is None:
            trainer.fit(task, datamodule=data)
        else:
            trainer.finetune(task, datamodule=data, strategy=strategy)
    except SystemExit:  # Lightning's answer to KeyboardInterrupt.
        print(f"Interrupted in epoch {trainer.current_epoch + 1}; the task is saved as it is.", file=sys.stderr)
        return INTERRUPTED
    return 0


def _begin(logger: CSVLogger) -> None:
    """Let a logger begin ``metrics.csv`` beside the files that are there already, of which it warns."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Experiment logs directory .* exists and is not empty")
        logger.experiment  # noqa: B018


def _scores(trainer: flash.Trainer, task: flash.Task, data: flash.DataModule) -> dict[str, float]:
    scores: dict[str, float] = {}
    trainer.loggers = []  # metrics.csv has the epochs of the training
    for stage, evaluate in (("val", trainer.validate), ("test", trainer.test)):
        if getattr(data, f"{stage}_dataset") is not None:
            for each in evaluate(task, datamodule=data):
                scores |= {name: float(value) for name, value in each.items()}
    return scores

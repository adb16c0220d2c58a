"""The arguments of commands whose options are known only when their task is: those that are needed before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped,unused-ignore]  # stubs are another package

from flash.errors import ConfigurationError

__all__ = ["FIT_USAGE", "as_choices", "read_config", "value_of", "values_of", "wants_help"]

FIT_USAGE = "flash fit TASK --data... [--task...] [--trainer...] [--strategy NAME] [-o FOLDER]"


def value_of(arguments: Sequence[str], option: str) -> str | None:
    """Return the text of an option; ``None`` if it is not passed.

    Example:
        >>> value_of(["--seed", "3", "--source=csv"], "--source"), value_of([], "--source")
        ('csv', None)
    """
    for place, argument in enumerate(arguments):
        if argument == option and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
    return None


def values_of(arguments: Sequence[str], group: str) -> dict[str, str | None]:
    """Return the texts of the options of a group by name.

    Example:
        >>> values_of(["--data.train_file", "a.csv", "--task.backbone=mlp"], "data")
        {'train_file': 'a.csv'}
    """
    prefix = f"--{group}."
    options = dict.fromkeys(each.partition("=")[0] for each in arguments if each.startswith(prefix))
    return {option.removeprefix(prefix): value_of(arguments, option) for option in options}


def read_config(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the options in the file of ``--config``; empty without one.

    Raises:
        ConfigurationError: If there is no such file, or it is not a mapping in YAML.
    """
    path = value_of(arguments, "--config")
    if path is None:
        return {}
    if not Path(path).is_file():
        raise ConfigurationError(f"Expected a file of options at {path}, but there is none. Check the path.")
    try:
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"Expected options in YAML in {path}, but: {error}.") from error
    if not isinstance(config, Mapping):
        raise ConfigurationError(
            f"Expected options by name in {path}, as in config.yaml of a run, but got {type(config).__name__}."
        )
    return dict(config)


def wants_help(arguments: Sequence[str]) -> bool:
    """Return whether the help is asked for."""
    return bool({"-h", "--help"} & set(arguments))


def as_choices(value: Any) -> Any:
    """Return values with lists of a name and its arguments as tuples, which is how choices are written in Python.

    Example:
        >>> as_choices({"optimizer": ["SGD", {"momentum": 0.9}], "metrics": ["accuracy", "f1"]})
        {'optimizer': ('SGD', {'momentum': 0.9}), 'metrics': ['accuracy', 'f1']}
    """
    if isinstance(value, Mapping):
        return {name: as_choices(each) for name, each in value.items()}
    if not isinstance(value, list):
        return value
    is_choice = len(value) > 1 and isinstance(value[0], str) and all(isinstance(each, Mapping) for each in value[1:])
    return tuple(value) if is_choice else [as_choices(each) for each in value]

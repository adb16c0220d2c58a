"""The constructors of a data module that a command can call, and the one that is meant by the options."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flash.cli._options import evaluate, members_of
from flash.data.data_module import DataModule
from flash.data.stage import Stage
from flash.errors import ConfigurationError
from flash.serialization import accepted_parameters

__all__ = ["choose_source", "describe_sources", "file_sources", "make_data"]

# Constructors of one argument that are told apart by the suffix of the file.
_FORMATS = {".tsv": "csv", ".tab": "csv", ".txt": "csv", ".jsonl": "json", ".ndjson": "json", ".pq": "parquet"}
_COMPRESSED = (".gz", ".bz2", ".xz", ".zip")


def file_sources(data: type[DataModule]) -> dict[str, list[str]]:
    """Return the constructors that read files or folders, each with its parameters for paths to train on.

    Args:
        data: The class of the data module.

    Example:
        >>> from flash.data.files import FileData
        >>> file_sources(FileData)["from_folders"]
        ['train_folder']
    """
    found = {}
    for name in sorted(each for each in dir(data) if each.startswith("from_")):
        method = getattr(data, name)
        parameters = inspect.signature(method).parameters.values()
        paths = [each.name for each in parameters if each.name.startswith("train_") and _takes_path(each, method)]
        if paths:
            found[name] = paths
    return found


def describe_sources(data: type[DataModule]) -> str:
    """Return the options for the data to train on, each with the sources that it is of.

    Example:
        >>> from flash.data.files import FileData
        >>> describe_sources(FileData)
        '--data.train_file (csv, json, parquet), --data.train_folder (folders)'
    """
    by_path: dict[str, list[str]] = {}
    for name, paths in file_sources(data).items():
        by_path.setdefault(paths[0], []).append(name.removeprefix("from_"))
    paths = [f"--data.{path} ({', '.join(names)})" for path, names in by_path.items()]
    return ", ".join([*paths, *(f"--source {name}" for name in data.available_sources())])


def choose_source(data: type[DataModule], given: Mapping[str, Any], asked: str | None = None) -> str:
    """Return the constructor that takes the options that were passed, of the format of the file, or a source.

    Args:
        data: The class of the data module.
        given: The options by name; those of paths with their values.
        asked: The name of a constructor, ``"from_csv"`` or ``"csv"``, or of a source that a plugin registered, if the
            user chose one.

    Raises:
        ConfigurationError: If there is no such constructor, or the options are of none.
    """
    sources = file_sources(data)
    if asked in data.available_sources():
        return str(asked)
    if asked is not None:
        name = asked if asked.startswith("from_") else f"from_{asked}"
        if name not in sources:
            known = ", ".join([*(each.removeprefix("from_") for each in sources), *data.available_sources()])
            raise ConfigurationError(f"Expected a source among {known}, but got {asked!r}.")
        return name
    stages = tuple(f"{stage.value}_" for stage in Stage)
    of_class = accepted_parameters(data)  # such as val_split
    of_data = {name: value for name, value in given.items() if name.startswith(stages) and name not in of_class}
    fitting = [name for name in sources if of_data and set(of_data) <= _own_parameters(data, name)]
    if not fitting:
        what = ", ".join(f"--data.{name}" for name in of_data) or "none"
        raise ConfigurationError(f"Expected data to train on, as {describe_sources(data)}, but got {what}.")
    formats = {f"from_{_format(value)}" for value in of_data.values() if isinstance(value, str)}
    # Otherwise the one that has the fewest options besides.
    rest = "from_csv" if "from_csv" in fitting else min(fitting, key=lambda name: len(_own_parameters(data, name)))
    return next((name for name in fitting if name in formats), rest)


def make_data(data: type[DataModule], source: str, options: Mapping[str, Any]) -> DataModule:
    """Call a constructor, or a source that a plugin registered.

    Args:
        data: The class of the data module.
        source: As :func:`choose_source` returned it.
        options: The arguments. Columns that are not among them are those of the preprocess, if a trained one is.

    Raises:
        ConfigurationError: If an argument is missing.
    """
    if not source.startswith("from_"):
        return data.from_source(source, **options)
    constructor = getattr(data, source)
    parameters = inspect.signature(constructor).parameters.values()
    required = [each.name for each in parameters if each.default is each.empty and each.kind is not each.VAR_KEYWORD]
    learned = {name: getattr(options.get("preprocess"), name, None) for name in required}
    given = {name: value for name, value in learned.items() if value is not None} | dict(options)
    missing = [name for name in required if name not in given]
    if missing:
        raise ConfigurationError(
            f"Expected --data.{missing[0]} beside the data, as in --data.{missing[0]} NAME, but it was not passed. "
            "The options of flash fit TASK --help say what it is."
        )
    made: DataModule = constructor(**given)
    return made


def _takes_path(parameter: inspect.Parameter, method: Any) -> bool:
    members = members_of(evaluate(parameter.annotation, method.__globals__))
    return any(each in (str, Path, os.PathLike) for each in members)


def _own_parameters(data: type, constructor: str) -> set[str]:
    return set(inspect.signature(getattr(data, constructor)).parameters)


def _format(path: str) -> str:
    suffixes = [each.lower() for each in Path(urlsplit(path).path or path).suffixes if each.lower() not in _COMPRESSED]
    suffix = suffixes[-1] if suffixes else ""
    return _FORMATS.get(suffix, suffix[1:])

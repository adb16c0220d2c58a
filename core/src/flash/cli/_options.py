"""The options of a command from the signatures of Python: their names, types, defaults and descriptions."""

from __future__ import annotations

import argparse
import inspect
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped,unused-ignore]  # stubs are another package
from docstring_parser import DocstringStyle, parse
from jsonargparse import SUPPRESS, ArgumentError, ArgumentParser

from flash.data.data_module import DataModule
from flash.data.samples import SampleData
from flash.data.stage import Stage
from flash.data.tables import READ_OPTIONS, read_table
from flash.errors import ConfigurationError
from flash.serialization import accepted_parameters

__all__ = [
    "Option",
    "add_options",
    "data_options",
    "evaluate",
    "function_options",
    "members_of",
    "new_parser",
    "parse_options",
    "task_options",
    "trainer_options",
]

# A role of Sphinx around a name, such as :class:`~flash.Task`.
_ROLE = re.compile(r":\w+:`~?([^`]+)`")
_PLAIN = (str, int, float, bool)
#: Values of these are made by programs, and cannot be written on a command line.
_OBJECTS = frozenset({"model", "preprocess", "postprocess", "sampler", "plugins", "profiler"})


@dataclass(frozen=True)
class Option:
    """An option of a command.

    Args:
        name: The name of the parameter.
        type: The type that its text is parsed to; ``Any`` for any YAML value.
        default: The default of the parameter; ``inspect.Parameter.empty`` if it is required.
        help: Its description in the docstring.
    """

    name: str
    type: Any
    default: Any
    help: str


def data_options(data: type[DataModule], constructor: str) -> list[Option]:
    """Return the options of a constructor: its own parameters, and those that it passes on.

    Parameters of other constructors are left out, and those whose values only programs can make.
    """
    is_registered = not constructor.startswith("from_")
    method = data.source_factory(constructor) if is_registered else getattr(data, constructor)
    own = {
        each.name: each
        # A registered source is called with the class first.
        for each in [*inspect.signature(method).parameters.values()][is_registered:]
        if each.kind is not each.VAR_KEYWORD and not each.name.startswith(Stage.PREDICT.value)
    }
    passed_on = dict(accepted_parameters(data))
    owners: list[Any] = [method] * is_registered + [
        getattr(data, name) for name in dir(data) if name.startswith("from_")
    ]
    owners += data.__mro__
    if issubclass(data, SampleData):
        passed_on |= accepted_parameters(data.preprocess_cls)
        owners += data.preprocess_cls.__mro__
    if any(name.endswith("_file") for name in own):
        # Constructors for files read a table, and go on as the one for tables in memory.
        reading = inspect.signature(read_table).parameters
        passed_on |= {name: reading[name] for name in READ_OPTIONS}
        passed_on |= inspect.signature(getattr(data, "from_data_frame", DataModule.from_datasets)).parameters
        owners.append(read_table)
    docs = _docs(*owners)
    for name in own:
        docs.setdefault(name, docs.get(f"{name.rpartition('_')[0]}_data_frame", ""))
    of_others = ("_dataset", "_data_frame")
    passed_on = {name: each for name, each in passed_on.items() if name not in own and not name.endswith(of_others)}
    names = _names(data, data.preprocess_cls) | method.__globals__
    return list(_options({**own, **passed_on}, docs, _OBJECTS, names, literal=True))


def task_options(task: type, facts: Collection[str] = ()) -> list[Option]:
    """Return the options of a task: the parameters of its constructor and of those that it passes arguments on to.

    Args:
        task: The class of the task.
        facts: Parameters that the data fills in.
    """
    return list(_options(accepted_parameters(task), _docs(*task.__mro__), _OBJECTS | {*facts}, _names(task)))


def trainer_options(trainer: type) -> list[Option]:
    """Return the options of a trainer, without those that the run folder decides."""
    docs = _docs(*trainer.__mro__, *(vars(each)["__init__"] for each in trainer.__mro__ if "__init__" in vars(each)))
    skip = _OBJECTS | {"default_root_dir", "logger"}
    return list(_options(accepted_parameters(trainer), docs, skip, _names(trainer)))


def function_options(function: Callable[..., Any], skip: Collection[str] = ()) -> list[Option]:
    """Return the options of a function: its parameters with their descriptions.

    Args:
        function: The function.
        skip: Parameters that are no options.

    Example:
        >>> [(each.name, each.default) for each in function_options(new_parser, ["prog", "usage"])]
        [('description', <class 'inspect._empty'>)]
    """
    names = getattr(function, "__globals__", {})
    return list(_options(inspect.signature(function).parameters, _docs(function), set(skip), names))


def new_parser(prog: str, usage: str, description: str) -> ArgumentParser:
    """Return a parser whose help is as wide as that of the other commands."""
    return ArgumentParser(
        prog=prog,
        usage=usage,
        description=description,
        allow_abbrev=False,
        default_env=False,
        exit_on_error=False,
        formatter_class=_Formatter,
    )


class _Formatter(argparse.HelpFormatter):
    """Help without the types of options, which are in their descriptions."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=100)


def parse_options(parser: ArgumentParser, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the options that arguments pass, by group.

    Raises:
        ConfigurationError: If an option is unknown or has a wrong value.
    """
    try:
        chosen: dict[str, Any] = parser.parse_args(list(arguments)).as_dict()
    except ArgumentError as error:
        message = " ".join(str(error).split()).rstrip(".")
        raise ConfigurationError(f"Expected other arguments: {message}. See {parser.prog} --help.") from error
    return chosen


def add_options(
    parser: ArgumentParser,
    group: str,
    title: str,
    options: Iterable[Option],
    with_defaults: bool = False,
    given: Iterable[str] = (),
) -> None:
    """Add options to a parser as ``--<group>.<name>``.

    Args:
        parser: The parser.
        group: The key of the options in its result.
        title: The heading of the options in ``--help``.
        options: The options.
        with_defaults: Whether options that are not passed are in the result, with their defaults; by default they are
            not, so that the defaults are those of Python.
        given: Names that are passed. Those that are not among the options are accepted: what is called with them says
            what it takes instead.
    """
    arguments = parser.add_argument_group(title)
    known = set()
    for option in options:
        known.add(option.name)
        is_set = option.default not in (inspect.Parameter.empty, None)
        text = f"{option.help}{f' (default: {_shown(option.default)})' if is_set else ''}".strip().replace("%", "%%")
        default = option.default if with_defaults and _is_value(option.default) else SUPPRESS
        arguments.add_argument(
            f"--{group}.{option.name}",
            type=option.type,
            default=list(default) if isinstance(default, tuple) else default,
            help=text or None,
            metavar=None if option.type is bool else option.name.upper(),
        )
    for name in given:
        if name not in known and name.isidentifier():
            parser.add_argument(f"--{group}.{name}", type=Any, default=SUPPRESS, help=SUPPRESS)


def text_or_list(value: Any) -> Any:
    """Return a text as it is, a list in brackets as a list of texts, and ``null`` as ``None``.

    Example:
        >>> text_or_list("yes"), text_or_list("[a, b]"), text_or_list("null")
        ('yes', ['a', 'b'], None)
    """
    if value == "null":
        return None
    is_list = isinstance(value, str) and value[:1] == "[" and value[-1:] == "]"
    return yaml.load(value, yaml.BaseLoader) if is_list else value  # noqa: S506  # strings alone


def _names(*classes: type) -> dict[str, Any]:
    """Return the names that annotations of classes are written with: those of their modules."""
    modules = [sys.modules[base.__module__] for cls in classes for base in reversed(cls.__mro__)]
    return {name: value for module in modules for name, value in vars(module).items()}


def _options(
    parameters: Mapping[str, inspect.Parameter],
    docs: Mapping[str, str],
    skip: Collection[str],
    names: Mapping[str, Any],
    literal: bool = False,
) -> Iterator[Option]:
    for name, parameter in parameters.items():
        if name not in skip and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            hint = evaluate(parameter.annotation, names)
            yield Option(name, _type_of(hint, literal), parameter.default, docs.get(name, ""))


def _type_of(hint: Any, literal: bool) -> Any:
    """Return the type that parses the text of an option; ``Any`` for YAML.

    Args:
        hint: The type of the parameter.
        literal: Whether a text that the parameter takes is a name of the user's, of a column or a file.
    """
    if hint in _PLAIN or typing.get_origin(hint) is typing.Literal:
        return hint
    members = [each for each in members_of(hint) if each is not type(None)]
    if all(each in _PLAIN for each in members) and str not in members:
        return hint
    return text_or_list if literal and {str, Path, os.PathLike} & set(members) else Any


def evaluate(annotation: Any, names: Mapping[str, Any]) -> Any:
    """Return an annotation as a type; ``Any`` if it names something that is not known when programs run."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, dict(names))  # noqa: S307  # of installed code, as typing.get_type_hints does
    except (NameError, TypeError, AttributeError, SyntaxError):
        return Any


def members_of(hint: Any) -> tuple[Any, ...]:
    """Return the members of a union; of another type the type itself.

    Example:
        >>> members_of(int | None), members_of(str)
        ((<class 'int'>, <class 'NoneType'>), (<class 'str'>,))
    """
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (typing.get_origin(hint) or hint,)


def _is_value(default: Any) -> bool:
    """Return whether a default can be written in YAML."""
    if isinstance(default, list | tuple):
        return all(map(_is_value, default))
    return default is None or isinstance(default, _PLAIN)


def _docs(*owners: Callable[..., Any]) -> dict[str, str]:
    """Return the descriptions of parameters in docstrings; earlier owners win."""
    found: dict[str, str] = {}
    for owner in owners:
        for each in parse(inspect.getdoc(owner) or "", DocstringStyle.GOOGLE).params:
            if each.description:
                text = _ROLE.sub(lambda role: role[1].rpartition(".")[2], each.description.replace("``", ""))
                found.setdefault(each.arg_name, " ".join(text.split()))
    return found


def _shown(default: Any) -> str:
    return getattr(default, "__name__", None) or str(default)

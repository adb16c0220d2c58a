"""The parser of the command line, and what happens around a command."""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import flash
from flash.cli import _backbones, _doctor, _plugin, _plugins, _strategies, _tasks
from flash.errors import FlashError

__all__ = ["main"]

_COMMANDS = (_tasks, _backbones, _strategies, _plugins, _plugin, _doctor)
_BROKEN_PIPE = 141  # What a shell reports for a program that SIGPIPE ends.


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ``flash`` command.

    Args:
        argv: The arguments after the command's name; by default those of the process.

    Returns:
        The exit code: 0 if all is well, 1 if trouble or nothing was found, 2 if the command failed.

    Example:
        >>> main(["strategies", "--filter", "no_*"])  # doctest: +ELLIPSIS
        STRATEGY...
        no_freeze...
        0
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # A summary may hold what a terminal cannot show.
    try:
        try:
            with _plain_warnings():
                return _run(argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as head, has enough; Python would complain when it closes the stream at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE


def _run(argv: Sequence[str] | None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 0
    try:
        return int(arguments.run(arguments))
    except FlashError as error:
        print(f"flash: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flash",
        description="What is installed of Flash, what it gives, and what is wrong with it.",
        formatter_class=partial(argparse.HelpFormatter, max_help_position=18, width=100),
    )
    parser.add_argument("--version", action="version", version=f"flash-core {flash.__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    for command in _COMMANDS:
        command.add_to(commands)
    return parser


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings as one line each, without the place in Flash's code that they come from."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        print(f"warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield

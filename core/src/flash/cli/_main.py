"""Parse the command line, and run a command with error handling."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import flash
from flash.cli._command import INTERRUPTED
from flash.core._plugin import flash_commands
from flash.errors import ConfigurationError, FlashError, PluginError
from flash.plugins import Command, Contribution, Provider, get_host
from flash.plugins._messages import clean_traceback, one_line
from flash.plugins.first_party import CORE

__all__ = ["main"]

_BROKEN_PIPE = 141  # The exit code that a shell reports for SIGPIPE.


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ``flash`` command.

    Args:
        argv: The arguments after the command's name; by default those of the process.

    Returns:
        The exit code: 0 for success, 1 if problems or no results were found, 2 if the command failed, 130 if Ctrl-C
        ended it.

    Example:
        >>> main(["strategies", "--filter", "no_*"])  # doctest: +ELLIPSIS
        STRATEGY...
        no_freeze...
        0
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # A summary may have characters that the terminal cannot encode.
    try:
        try:
            with _plain_warnings():
                return _run(argv)
        finally:
            sys.stdout.flush()
    except (KeyboardInterrupt, SystemExit) as error:
        # SystemExit is Lightning's answer to KeyboardInterrupt.
        if not isinstance(error, KeyboardInterrupt) and not isinstance(error.__context__, KeyboardInterrupt):
            raise
        print("flash: interrupted; the files that were complete are kept.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, such as head, closed the pipe; Python would print an error when it closes the stream at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE


def _run(argv: Sequence[str] | None) -> int:
    name, *arguments = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name == "--version":
        print(f"flash-core {flash.__version__}")
        return 0
    if name in {"-h", "--help"}:
        print(_help())
        return 0
    command: Contribution[Command] | None = None
    try:
        command = _find(name)
        return int(command.load()(arguments) or 0)
    except FlashError as error:
        print(f"flash: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        if command is None or command.provider.builtin:
            raise
        print(clean_traceback(error), end="", file=sys.stderr)
        print(f"flash: the {command.label} of {command.provider} failed: {one_line(error)}", file=sys.stderr)
        return 2


def _built_in() -> dict[str, Contribution[Command]]:
    """Return the commands of flash-core without loading plugins, so that they work if a plugin fails."""
    provider = Provider(CORE, CORE, flash.__version__, builtin=True)
    return {command.name: Contribution(command, provider) for command in flash_commands()}


def _find(name: str) -> Contribution[Command]:
    built_in = _built_in()
    if name in built_in:
        return built_in[name]
    if name.startswith("-"):
        raise ConfigurationError(f"Expected a command, but got {name!r}. See flash --help.")
    return get_host().commands()[name]


def _help() -> str:
    commands: Mapping[str, Contribution[Command]] = _built_in()
    problem = ""
    try:
        commands = get_host().commands()
    except PluginError as error:  # In strict mode.
        problem = f"\n\n{error}"
    rows = [f"  {name:<12}  {commands[name].spec.summary}".rstrip() for name in commands]
    return (
        "\n".join(
            [
                "usage: flash COMMAND ...",
                "",
                "Train tasks and predict with them, list the installed plugins and their contributions, find problems.",
                "",
                "commands:",
                *rows,
                "",
                "options:",
                "  -h, --help    this text; flash COMMAND --help shows the arguments of a command",
                "  --version     the version of flash-core",
            ]
        )
        + problem
    )


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show each warning as one line, without the source location."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        print(f"warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield

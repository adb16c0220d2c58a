"""Argument parsers and exit codes of the built-in commands of ``flash``."""

from __future__ import annotations

import argparse
from functools import partial

from flash.core._plugin import flash_commands

__all__ = ["INTERRUPTED", "command_parser"]

#: The exit code that a shell reports for Ctrl-C.
INTERRUPTED = 130


def command_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of a built-in command.

    Args:
        name: The command.
    """
    (summary,) = (command.summary for command in flash_commands() if command.name == name)
    return argparse.ArgumentParser(
        prog=f"flash {name}",
        description=f"{summary[0].upper()}{summary[1:]}.",
        formatter_class=partial(argparse.HelpFormatter, max_help_position=28, width=100),
    )

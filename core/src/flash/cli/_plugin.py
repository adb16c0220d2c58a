"""``flash plugin``: commands for authors of plugins."""

from __future__ import annotations

from collections.abc import Sequence

from flash.cli import _check, _new
from flash.cli._command import command_parser

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = command_parser("plugin")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _new.add_to(commands)
    _check.add_to(commands)
    chosen = parser.parse_args(arguments)
    if not hasattr(chosen, "run"):
        parser.print_help()
        return 0
    return int(chosen.run(chosen))

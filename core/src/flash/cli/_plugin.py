"""``flash plugin``: what the author of a plugin needs."""

from __future__ import annotations

from collections.abc import Sequence

from flash.cli import _new
from flash.cli._command import command_parser

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = command_parser("plugin")
    _new.add_to(parser.add_subparsers(title="commands", metavar="COMMAND"))
    chosen = parser.parse_args(arguments)
    if not hasattr(chosen, "run"):
        parser.print_help()
        return 0
    return int(chosen.run(chosen))

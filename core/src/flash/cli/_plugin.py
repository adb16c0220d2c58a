"""``flash plugin``: what the author of a plugin needs."""

from __future__ import annotations

from typing import Any

from flash.cli import _new

__all__ = ["add_to"]


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("plugin", help="start a plugin of your own: flash plugin new acme-audio")
    parser.set_defaults(run=lambda _: parser.print_help() or 0)
    _new.add_to(parser.add_subparsers(title="commands", metavar="COMMAND"))

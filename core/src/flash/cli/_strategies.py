"""``flash strategies``: the finetuning strategies there are."""

from __future__ import annotations

import argparse
from typing import Any

from flash.cli._output import print_json, provider_json, table
from flash.core.registry import strategy_registry

__all__ = ["add_to", "run"]


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("strategies", help="list the finetuning strategies")
    parser.add_argument("--filter", metavar="PATTERN", help="only the names that match, such as '*freeze'")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List the strategies."""
    entries = strategy_registry().entries(arguments.filter)
    if arguments.json:
        print_json(
            [
                {"name": name, "summary": entry.summary, "provider": provider_json(entry.provider)}
                for name, entry in entries.items()
            ]
        )
    else:
        rows = [[name, str(entry.provider), entry.summary] for name, entry in entries.items()]
        print(table(["STRATEGY", "FROM", "SUMMARY"], rows))
    return 0

"""``flash strategies``: list the finetuning strategies."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from flash.cli._command import command_parser
from flash.cli._output import print_json, provider_json, table
from flash.core.registry import strategy_registry

__all__ = ["main", "run"]


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = command_parser("strategies")
    parser.add_argument("--filter", metavar="PATTERN", help="only the names that match, such as '*freeze'")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return run(parser.parse_args(arguments))


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

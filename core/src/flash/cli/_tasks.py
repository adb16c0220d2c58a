"""``flash tasks``: list the tasks."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from flash.cli._command import command_parser
from flash.cli._output import print_json, provider_json, table
from flash.plugins import first_party, get_host

__all__ = ["main", "run"]


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = command_parser("tasks")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return run(parser.parse_args(arguments))


def run(arguments: argparse.Namespace) -> int:
    """List the tasks."""
    tasks = get_host().tasks()
    names = sorted(tasks)
    if arguments.json:
        print_json(
            [
                {"name": name, **tasks[name].spec.targets, "summary": tasks[name].spec.summary}
                | {"provider": provider_json(tasks[name].provider)}
                for name in names
            ]
        )
    elif names:
        rows = [[name, str(tasks[name].provider), tasks[name].spec.summary] for name in names]
        print(table(["TASK", "FROM", "SUMMARY"], rows))
    else:
        reason = get_host().explain_missing("task", "")
        dists = ", ".join(first_party.dists())
        print(f"No plugin provides a task. {reason or f'Install one with pip: {dists}.'}")
    return 0

"""``flash components``: list the parts of tasks, data modules, trainers, baselines and exports that have a name."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from flash.cli._command import command_parser
from flash.cli._output import print_json, provider_json, table
from flash.core.registry import Registry
from flash.plugins import get_host
from flash.plugins.components import overlap

__all__ = ["main", "run"]

# Argument on the command line to the kind of the descriptions.
_KINDS = {
    "outputs": "output",
    "optimizers": "optimizer",
    "schedulers": "lr scheduler",
    "metrics": "metric",
    "losses": "loss",
    "heads": "head",
    "augmentations": "augmentation",
    "recipes": "recipe",
    "exporters": "exporter",
    "sources": "data source",
    "callbacks": "callback",
    "engines": "engine",
}


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = command_parser("components")
    parser.add_argument("kind", nargs="?", choices=_KINDS, metavar="KIND", help=f"one of {', '.join(_KINDS)}")
    parser.add_argument("--task", metavar="TASK", help="only what this task has, such as image/classification")
    parser.add_argument("--filter", metavar="PATTERN", help="only the names that match, such as '*LR'")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return run(parser.parse_args(arguments))


def run(arguments: argparse.Namespace) -> int:
    """List the components."""
    kinds = [arguments.kind] if arguments.kind else list(_KINDS)
    found = {kind: list(_rows(kind, arguments.task, arguments.filter)) for kind in kinds}
    if arguments.json:
        print_json([{"kind": _KINDS[kind], **row} for kind, rows in found.items() for row in rows])
        return 0
    headers = ["SCOPE", "FROM", "SUMMARY"]
    tables = [
        table([kind.upper(), *headers], [[row["name"], row["scope"], _dist(row), row["summary"]] for row in rows])
        for kind, rows in found.items()
        if rows
    ]
    print("\n\n".join(tables) or f"There are no {' or '.join(kinds)} here.")
    return 0


def _dist(row: dict[str, Any]) -> str:
    return f"{row['provider']['dist']} {row['provider']['version']}".strip()


def _rows(kind: str, task: str | None, pattern: str | None) -> Iterator[dict[str, Any]]:
    for scope, registry in _registries(_KINDS[kind], task).items():
        for name, entry in registry.entries(pattern).items():
            yield {
                "name": name,
                "scope": scope,
                "summary": entry.summary,
                "provider": provider_json(entry.provider),
            }


def _registries(kind: str, task: str | None) -> dict[str, Registry]:
    """Return a registry per scope: a name has to be unique in its scope only."""
    host = get_host()
    if kind == "callback":
        return {"*": Registry("callbacks", plugins=lambda: host.contributions("callback"))}
    if kind == "engine":
        return {"*": Registry("engines", plugins=lambda: host.contributions("engine"))}
    given = host.contributions("data source") if kind == "data source" else host.in_scope(kind)
    scopes = dict.fromkeys(each.spec.scope for each in given)
    wanted = [scope for scope in scopes if task is None or overlap(scope, task)]
    return {scope: _of_scope(kind, scope) for scope in sorted(wanted)}


def _of_scope(kind: str, scope: str) -> Registry:
    host = get_host()
    if kind == "data source":
        return Registry("data sources", plugins=lambda: host.contributions("data source", scope))
    return Registry(f"{kind}s", plugins=lambda: [each for each in host.in_scope(kind) if each.spec.scope == scope])

"""``flash plugins``: list the installed plugins, with their states and problems."""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

from flash.cli import _checks
from flash.cli._command import command_parser
from flash.cli._installation import InstalledDist, installed_dists
from flash.cli._output import counted, print_json, table
from flash.errors import PluginWarning
from flash.plugins import PluginInfo, PluginState, get_host
from flash.plugins._messages import clean_traceback

__all__ = ["main", "run"]


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = command_parser("plugins")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--check", action="store_true", help="import all targets; exit with 1 if one is in trouble")
    parser.add_argument("--debug", action="store_true", help="add targets, places, times and tracebacks")
    parser.add_argument("--no-load", action="store_true", help="read metadata only; import no plugin")
    return run(parser.parse_args(arguments))


def run(arguments: argparse.Namespace) -> int:
    """List the plugins."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # The table shows the problems.
        infos = get_host().infos(load=not arguments.no_load)
    checked = [(info, _problems(info) if arguments.check else []) for info in infos]
    # Read once, and only for a repair: hundreds of packages may be installed.
    dists = installed_dists() if any(info.state is PluginState.FAILED for info in infos) else []
    if arguments.json:
        print_json([_as_json(info, problems, dists, arguments.debug) for info, problems in checked])
    else:
        rows = [_row(info, problems, dists, arguments.debug) for info, problems in checked]
        print(table(["PLUGIN", "PACKAGE", "STATE", "PROVIDES"], rows))
        if arguments.debug:
            print("".join(f"\n{info.name}:\n{_traceback(info)}" for info in infos if info.exception), end="")
    return int(arguments.check and any(info.in_trouble or problems for info, problems in checked))


def _problems(info: PluginInfo) -> list[str]:
    return [problem.text for problem in _checks.problems(info, get_host(), load=True)]


def _row(info: PluginInfo, problems: Sequence[str], dists: Sequence[InstalledDist], debug: bool) -> list[str]:
    kinds = Counter(contribution.spec.kind for contribution in info.contributions)
    provides = ", ".join(counted(number, kind) for kind, number in kinds.items())
    lines = [provides, info.error or "", *info.notes, *info.clashes, *problems]
    for finding in _checks.plugins([info], get_host(), dists):
        lines.append(finding.remedy)
        lines.append(f"or disable it with {get_host().to_disable(info)}" if finding.instead else "")
    lines.append(f"in {info.location}")
    if debug:
        seconds = "" if info.seconds is None else f"loaded in {info.seconds:.3f} s"
        lines += [f"target {info.target}", seconds]
    return [info.name, info.package, str(info.state), "\n".join(filter(None, lines)) or "-"]


def _as_json(info: PluginInfo, problems: Sequence[str], dists: Sequence[InstalledDist], debug: bool) -> dict[str, Any]:
    contributions = [
        {
            "kind": each.spec.kind,
            "name": each.name,
            "scope": each.spec.scope,
            "targets": each.spec.targets,
        }
        for each in info.contributions
    ]
    shown = ("name", "dist", "version", "target", "location", "state", "error", "notes", "clashes", "seconds")
    facts = {field: getattr(info, field) for field in shown}
    repairs = [finding.repair for finding in _checks.plugins([info], get_host(), dists)]
    trace = {"traceback": _traceback(info) if info.exception else None} if debug else {}
    return {**facts, "contributions": contributions, "problems": list(problems), "repairs": repairs, **trace}


def _traceback(info: PluginInfo) -> str:
    return clean_traceback(info.exception) if info.exception else ""

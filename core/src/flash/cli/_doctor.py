"""``flash doctor``: find problems of the installation, with the commands that repair them."""

from __future__ import annotations

import argparse
import platform
import warnings
from collections.abc import Sequence
from dataclasses import asdict

import flash
from flash.cli import _checks
from flash.cli._command import command_parser
from flash.cli._installation import installed_dists
from flash.cli._output import counted, print_json
from flash.errors import PluginWarning
from flash.plugins import get_host

__all__ = ["main", "run"]


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = command_parser("doctor")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return run(parser.parse_args(arguments))


def run(arguments: argparse.Namespace) -> int:
    """Examine the installation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # Failed plugins are among the findings.
        infos = get_host().infos()
    dists = installed_dists()
    findings = [
        *_checks.leftover(dists),
        *_checks.shadows(dists),
        *_checks.shared_files(dists),
        *_checks.versions(dists),
        *_checks.plugins(infos, get_host(), dists),
        *_checks.contributions(infos, get_host(), dists),
        *_checks.clashes(get_host()),
    ]
    if arguments.json:
        print_json([asdict(finding) for finding in findings])
    else:
        python = f"Python {platform.python_version()} on {platform.system()}"
        print(f"flash-core {flash.__version__}, {counted(len(infos) - 1, 'plugin')}, {python}")
        for number, finding in enumerate(findings, 1):
            print(f"\n{number}. {finding.trouble}")
            print(f"   {finding.remedy}")
            if finding.instead:
                print(f"   or leave it out: {finding.instead}")
        if all(finding.wanted for finding in findings):
            print("\nNo other trouble found." if findings else "No trouble found.")
    return int(not all(finding.wanted for finding in findings))

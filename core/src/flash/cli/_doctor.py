"""``flash doctor``: what is wrong with the installation, and the command that repairs it."""

from __future__ import annotations

import argparse
import platform
import warnings
from dataclasses import asdict
from typing import Any

import flash
from flash.cli import _checks
from flash.cli._installation import installed_dists
from flash.cli._output import counted, print_json
from flash.errors import PluginWarning
from flash.plugins import get_host

__all__ = ["add_to", "run"]


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("doctor", help="say what is wrong with the installation and how to repair it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Examine the installation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # A plugin in trouble is one of the findings.
        infos = get_host().infos()
    dists = installed_dists()
    findings = [
        *_checks.leftover(dists),
        *_checks.shadows(dists),
        *_checks.shared_files(dists),
        *_checks.versions(dists),
        *_checks.plugins(infos, get_host()),
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

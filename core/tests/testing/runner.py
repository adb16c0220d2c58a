"""Runs pytest again and again, each time in a fork of this process, which has imported torch and Lightning once."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

import pytest

import flash.testing


def run(folder: str, arguments: list[str], log: str) -> int:
    """Run pytest in a folder, with what it prints in a file, and return its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 70
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.chdir(folder)
        site = str(Path(folder, "site"))
        sys.path.insert(0, site)
        importlib.invalidate_caches()
        os.environ["PYTHONPATH"] = site
        code = int(pytest.main(["-p", "no:cacheprovider", "-p", "no:xdist", f"--rootdir={folder}", *arguments]))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    assert flash.testing.TaskConformance  # Imported before the first fork.
    flash.Task  # noqa: B018  # the same
    for line in sys.stdin:
        print(run(**json.loads(line)), flush=True)

"""Type checkers know what programs of users get from Flash."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_programs_of_users_get_the_types_that_they_state(run: Any, pytestconfig: pytest.Config) -> None:
    pytest.importorskip("mypy")
    assert pytestconfig.cache
    # Reading torch takes mypy most of a minute, but only once.
    cache = pytestconfig.cache.mkdir("mypy")
    options = ("--strict", "--no-error-summary", "--cache-dir", cache, "--python-executable", sys.executable)
    done = run(sys.executable, "-m", "mypy", *options, "tests/typing", cwd=ROOT, check=False)
    assert not done.stderr
    # What it says about the sources of Flash is for the check of those.
    assert [line for line in done.stdout.splitlines() if line.startswith("tests")] == []

"""The fast tier: what it leaves out, and that the battery does not miss it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

TESTS = """
import pytest
from flash.testing import CallbackConformance

class TestKeepBest(CallbackConformance):
    name = "keep_best"
    changes_training = True

@pytest.mark.process
def test_slow(): pass

def test_quick(): pass
"""


def test_it_leaves_out_what_trains_long_or_starts_processes(tmp_path: Path, run_tests: Callable[..., Any]) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text(TESTS)
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\nmarkers = ["process: starts processes"]\n')
    whole = run_tests(tmp_path, "tests")
    assert "10 passed" in whole.text, whole.text
    fast = run_tests(tmp_path, "-p", "flash.testing.fast", "tests", "-v")
    assert fast.code == 0, fast.text
    assert "flash.testing: the fast tier" in fast.text
    assert "6 passed, 4 deselected" in fast.text
    assert "test_quick" in fast.text
    assert "test_slow" not in fast.text
    assert "test_one_object_serves_two_runs" not in fast.text

"""The process that hands out the tests imports no ``conftest.py``, and its workers do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

PROGRAM = Path(__file__).with_name("parallel.py")
CONFTEST = """
import os
from pathlib import Path

Path(__file__).with_name(os.environ.get("PYTEST_XDIST_WORKER", "alone") + ".txt").touch()
"""


@pytest.mark.parametrize(("workers", "imported"), [("1", ["gw0"]), ("0", ["alone"])])
def test_a_conftest_is_imported_where_tests_run(tmp_path: Path, workers: str, imported: list[str]) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text(CONFTEST)
    (tmp_path / "tests" / "test_it.py").write_text("def test_passes(): pass\ndef test_fails(): assert False\n")
    command = [sys.executable, str(PROGRAM), "-n", workers, "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stderr
    assert "1 failed, 1 passed" in done.stdout
    assert sorted(file.stem for file in (tmp_path / "tests").glob("*.txt")) == imported

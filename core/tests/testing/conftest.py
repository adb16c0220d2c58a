"""Projects that the scaffold writes, and a way to run their tests in a moment."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from flash.cli._new import KINDS, Project, write_project
from flash.testing import in_clean_process

PYTEST = """
import importlib, os, sys
import pytest

sys.path.insert(0, site)
importlib.invalidate_caches()
os.environ["PYTHONPATH"] = site
# A project needs no plugin of pytest that is installed here, and importing them takes longer than a check.
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
result = int(pytest.main(options))
"""


@dataclass(frozen=True)
class Outcome:
    """How a run of pytest ended, and what it said."""

    code: int
    text: str


RunTests = Callable[..., Outcome]


@pytest.fixture(scope="session")
def run_tests() -> RunTests:
    """Run the tests of a folder, whose packages are in its subfolder ``site``, each time in a process of its own."""

    def run(folder: Path, *arguments: str) -> Outcome:
        options = ["-p", "no:cacheprovider", f"--rootdir={folder}", *arguments]
        code = in_clean_process(folder, PYTEST, site=str(folder / "site"), options=options)
        return Outcome(code, (folder / "log.txt").read_text())

    return run


@pytest.fixture(scope="session")
def install() -> Callable[[Path], None]:
    """Build a project, and put what is in its wheel into its subfolder ``site``."""

    def build(folder: Path) -> None:
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", "dist"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        (wheel,) = folder.glob("dist/*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / "site")

    return build


@pytest.fixture(scope="session")
def scaffold(tmp_path_factory: pytest.TempPathFactory, install: Callable[[Path], None]) -> Path:
    """A project with everything that the scaffold can write, built."""
    folder = tmp_path_factory.mktemp("scaffold") / "acme-sonar"
    write_project(Project("acme-sonar", KINDS), folder)
    install(folder)
    return folder


@pytest.fixture
def project(scaffold: Path, tmp_path: Path) -> Path:
    """A copy of that project, to be spoilt."""
    copied = tmp_path / "project"
    shutil.copytree(scaffold, copied)
    return copied


def narrowed(tests: Sequence[str]) -> str:
    """What selects tests by their names."""
    return " or ".join(tests)

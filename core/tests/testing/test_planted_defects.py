"""The kit sees every planted defect, and sees it for the right reason."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import RunTests
from .defects import DEFECTS, PROJECT, Defect


@pytest.mark.process
@pytest.mark.parametrize("defect", DEFECTS, ids=[defect.name.replace(" ", "_") for defect in DEFECTS])
def test_a_planted_defect_makes_its_check_fail(
    defect: Defect, project: Path, install: Callable[[Path], None], run_tests: RunTests
) -> None:
    plant(defect, project, install)
    outcome = run_tests(project, "-q", "tests", "-k", defect.check)
    assert outcome.code == 1, f"the defect survives: {outcome.text}"
    errors = "\n".join(line for line in outcome.text.splitlines() if line.startswith("E "))
    assert re.search(defect.message, errors), outcome.text


def plant(defect: Defect, project: Path, install: Callable[[Path], None]) -> None:
    """Change the source as the defect says, and what is built of it."""
    for name, old, new in defect.changes:
        source = project / name
        text = source.read_text()
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {name}"
        source.write_text(text.replace(old, new))
        if name == PROJECT:
            shutil.rmtree(project / "site")
            shutil.rmtree(project / "dist")
            install(project)
        elif name.startswith("src"):
            shutil.copy(source, project / "site" / Path(name).relative_to("src"))


def test_defects_have_names_of_their_own() -> None:
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS) >= 25


@pytest.mark.process
def test_without_a_defect_all_checks_pass(project: Path, run_tests: RunTests) -> None:
    outcome = run_tests(project, "-q", "tests")
    assert outcome.code == 0, outcome.text

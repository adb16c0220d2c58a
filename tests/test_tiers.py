"""Every test is in one tier, and a unit test that does more than a unit test may is told so."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.process

ROOT = Path(__file__).parent.parent

FIT = """
import torch
import flash

def test_it():
    data = flash.DataModule.from_tensors(torch.zeros(2, 1), torch.zeros(2, 1), seed=0)
    task = flash.Task(torch.nn.Linear(1, 1), torch.nn.functional.mse_loss)
    flash.Trainer(max_epochs={epochs}, logger=False, enable_checkpointing=False, accelerator="cpu").fit(task, data)
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder of tests under the same rules."""
    pytester.makeconftest((ROOT / "conftest.py").read_text())
    pytester.makepyprojecttoml((ROOT / "pyproject.toml").read_text())
    return pytester


@pytest.mark.parametrize(
    "start",
    [
        "import subprocess; subprocess.run(['true'])",
        "import os; os.fork() or os._exit(0)",
        "import multiprocessing; multiprocessing.Process(target=print).start()",
    ],
    ids=["subprocess", "fork", "multiprocessing"],
)
def test_a_unit_test_that_starts_a_process_fails(project: pytest.Pytester, start: str) -> None:
    project.makepyfile(f"def test_it():\n    {start}")
    outcome = project.runpytest_inprocess()
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines(["*test_it is in the tier unit, but it starts a process. Mark it with one of train*"])


@pytest.mark.parametrize(("epochs", "mark", "result"), [(1, "", "passed"), (2, "", "failed"), (2, "train", "passed")])
def test_a_unit_test_fits_for_one_epoch(project: pytest.Pytester, epochs: int, mark: str, result: str) -> None:
    tier = f"import pytest\npytestmark = pytest.mark.{mark}\n" if mark else ""
    project.makepyfile(tier + FIT.format(epochs=epochs))
    outcome = project.runpytest_inprocess()
    outcome.assert_outcomes(**{result: 1})
    if result == "failed":
        outcome.stdout.fnmatch_lines(["*is in the tier unit, but it fits for 2 epochs*"])


def test_a_test_is_selected_by_the_tier_that_it_has(project: pytest.Pytester) -> None:
    project.makepyfile(
        "import pytest\ndef test_quick(): pass\n@pytest.mark.env\ndef test_env(): pass\n"
        "def test_of_the_kit(): pass\ntest_of_the_kit.tier = 'train'\n"
    )
    for tier, number in {"unit": 1, "train": 1, "process": 0, "env": 1}.items():
        project.runpytest_inprocess("-m", tier).assert_outcomes(passed=number, deselected=3 - number)


def test_two_tiers_are_refused(project: pytest.Pytester) -> None:
    project.makepyfile("import pytest\npytestmark = pytest.mark.train\n@pytest.mark.process\ndef test_it(): pass\n")
    outcome = project.runpytest_inprocess()
    assert "::test_it, but it is in ['process', 'train']." in outcome.stderr.str()

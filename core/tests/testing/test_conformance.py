"""No check gets lost: what leaves one out makes the battery fail, and what is expected to fail has to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flash.errors import ConfigurationError
from flash.testing import Conformance, PluginConformance

PLUGIN = """
import pytest
from flash.testing import PluginConformance

class TestPlugin(PluginConformance):
    plugin = "acme-sonar"
"""


@pytest.fixture
def run(project: Path, run_tests: Callable[..., Any]) -> Callable[..., Any]:
    """Run a test file in place of those of the project."""

    def run_file(text: str, *arguments: str) -> Any:
        (project / "tests" / "test_plugin.py").write_text(text)
        return run_tests(project, "-q", "-rfE", "tests/test_plugin.py", *arguments)

    return run_file


@pytest.mark.process
def test_a_battery_that_is_whole_passes(run: Callable[..., Any]) -> None:
    outcome = run(PLUGIN)
    assert outcome.code == 0, outcome.text
    assert "11 passed" in outcome.text


@pytest.mark.process
@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("    def test_it_is_loaded(self): pass\n", "TestPlugin overrides ['test_it_is_loaded']"),
        ("    test_it_is_loaded = None\n", "TestPlugin overrides ['test_it_is_loaded']"),
        (
            "    test_it_is_loaded = pytest.mark.skip(PluginConformance.test_it_is_loaded)\n",
            "Expected that no check is skipped, but ['test_it_is_loaded'",
        ),
        (
            "    def info(self): pytest.skip('not today')\n",
            "Expected that no check of the kit is skipped, but this one was",
        ),
    ],
    ids=["overridden", "taken away", "marked", "skipped inside"],
)
def test_a_check_that_is_left_out_makes_the_battery_fail(run: Callable[..., Any], more: str, message: str) -> None:
    outcome = run(PLUGIN + more)
    assert outcome.code == 1
    assert message in outcome.text


@pytest.mark.process
def test_a_check_that_is_not_collected_is_missed(run: Callable[..., Any], project: Path) -> None:
    (project / "conftest.py").write_text(
        "def pytest_collection_modifyitems(items):\n"
        "    items[:] = [item for item in items if item.name != 'test_it_is_loaded']\n"
    )
    outcome = run(PLUGIN)
    assert outcome.code == 1
    assert "Expected 11 checks in the run, but ['test_it_is_loaded'] are missing" in outcome.text


@pytest.mark.process
def test_who_asks_for_some_checks_gets_those(run: Callable[..., Any]) -> None:
    outcome = run(PLUGIN, "-k", "every_check_runs or is_loaded")
    assert outcome.code == 0, outcome.text
    assert "2 passed" in outcome.text


@pytest.mark.process
def test_an_expected_failure_has_to_fail(run: Callable[..., Any]) -> None:
    outcome = run(PLUGIN + "    expected_failures = {'test_it_is_loaded': 'it loads tomorrow'}\n")
    assert outcome.code == 1
    assert "[XPASS(strict)] it loads tomorrow" in outcome.text


@pytest.mark.process
def test_an_expected_failure_that_fails_is_no_failure(run: Callable[..., Any], project: Path) -> None:
    plugin = project / "site" / "acme_sonar" / "plugin.py"
    plugin.write_text(plugin.read_text().replace("a signal belongs to", "", 1).replace("Which of several classes ", ""))
    outcome = run(PLUGIN + "    expected_failures = {'test_everything_has_a_summary': 'words fail me'}\n")
    assert outcome.code == 0, outcome.text
    assert "10 passed, 1 xfailed" in outcome.text


def test_an_expected_failure_needs_the_name_of_a_check() -> None:
    with pytest.raises(ConfigurationError, match="Expected the names of checks in Mine.expected_failures, but got 'x'"):
        type("Mine", (PluginConformance,), {"expected_failures": {"x": "there is no such check"}})


def test_an_expected_failure_needs_a_reason() -> None:
    with pytest.raises(ConfigurationError, match="Expected a reason for each of Mine.expected_failures"):
        type("Mine", (Conformance,), {"expected_failures": {"test_every_check_runs": " "}})


@pytest.mark.process
def test_a_class_without_fixtures_says_which_it_needs(run: Callable[..., Any]) -> None:
    outcome = run(
        "from flash.testing import DataModuleConformance\n\nclass TestData(DataModuleConformance):\n    pass\n",
        "-k",
        "each_stage",
    )
    assert "Expected a fixture `constructor` that returns the constructor of the data module" in outcome.text


@pytest.mark.process
def test_a_plugin_that_is_not_installed_is_named(run: Callable[..., Any]) -> None:
    outcome = run(PLUGIN.replace("acme-sonar", "acme-vision"), "-k", "is_loaded")
    assert "Expected an installed plugin 'acme-vision', but there are ['flash-core', 'acme-sonar'" in outcome.text


@pytest.mark.process
def test_without_pytest_the_kit_says_what_to_install() -> None:
    program = "import sys; sys.modules['pytest'] = None; import flash.testing"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    message = "Expected pytest, which runs the checks, to be installed: pip install 'flash-core[testing]'."
    assert done.stderr.splitlines()[-1] == f"flash.errors.ConfigurationError: {message}"

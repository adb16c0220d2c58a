"""Real wheels, built with hatchling and unpacked onto the path of a new process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hatchling.builders.wheel import WheelBuilder

pytestmark = pytest.mark.env

PLUGIN = """\
from flash.plugins import Backbone, Strategy, TaskSpec, hookimpl
{first}

@hookimpl
def flash_tasks():
    yield TaskSpec("{name}/classification", task="{module}.task:Task", data="{module}.task:Data")

@hookimpl
def {hook}():
    yield Backbone("{backbone}", domain="audio", factory="{module}.task:build", summary="A small one.")
"""

# name: (first lines of the plugin, what differs from the defaults)
PLUGINS: dict[str, tuple[str, dict[str, str]]] = {
    "good": ("", {}),
    "broken": ("import module_that_is_missing", {}),
    "slow": ("import time\ntime.sleep(1.1)", {}),
    "heavy": ("import torch", {}),
    "misspelt": ("", {"hook": "flash_backbonse"}),
    "future": ("HOOK_API = 99", {}),
    "twin-a": ("", {"entry": "twin"}),
    "twin-b": ("", {"entry": "twin"}),
    "rival-a": ("", {"backbone": "disputed"}),
    "rival-b": ("", {"backbone": "disputed"}),
}


def build(name: str, folder: Path) -> Path:
    """Build the wheel of a plugin and unpack it."""
    first, differs = PLUGINS[name]
    module = f"acme_{name.replace('-', '_')}"
    package = folder / name / "src" / module
    package.mkdir(parents=True)
    facts = {"hook": "flash_backbones", "backbone": f"{name}_cnn", **differs}
    (package / "__init__.py").write_text("")
    (package / "plugin.py").write_text(PLUGIN.format(first=first, name=name, module=module, **facts))
    (package / "task.py").write_text("import torch\n")
    (folder / name / "pyproject.toml").write_text(
        f"""
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"
        [project]
        name = "acme-{name}"
        version = "1.2"
        dependencies = ["flash-core"]
        [project.entry-points."flash.plugins"]
        {differs.get("entry", name)} = "{module}.plugin"
        """
    )
    wheel = next(WheelBuilder(str(folder / name)).build(directory=str(folder), versions=["standard"]))
    site = folder / name / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where each wheel is unpacked, and a torch that costs nothing but is seen when it is imported."""
    folder = tmp_path_factory.mktemp("wheels")
    torch = folder / "fake-torch"
    torch.mkdir()
    (torch / "torch.py").write_text("")
    return {"fake-torch": torch, **{name: build(name, folder) for name in PLUGINS}}


class Result(NamedTuple):
    """What a process printed, how it ended, and whether it imported torch."""

    code: int
    out: str
    err: str
    torch: bool


Run = Callable[..., Result]

COMMAND = """
import sys
from flash.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as stop:
    code = stop.code
"""
REPORT = """
import sys
sys.stdout.flush()
sys.stderr.write(str("torch" in sys.modules))
sys.exit(globals().get("code", 0))
"""


@pytest.fixture
def run(sites: dict[str, Path]) -> Run:
    """Runs ``flash`` with arguments, or a script, in a process that has some of the plugins."""

    def run(*arguments: str, plugins: tuple[str, ...] = (), script: str = COMMAND, **environ: str) -> Result:
        path = os.pathsep.join(str(sites[name]) for name in (*plugins, "fake-torch"))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FLASH_")}
        finished = subprocess.run(
            [sys.executable, "-c", script + REPORT, *arguments],
            env={**kept, "PYTHONPATH": path, "COLUMNS": "100", **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        err, _, torch = finished.stderr.rpartition("\n") if "\n" in finished.stderr else ("", "", finished.stderr)
        return Result(finished.returncode, finished.stdout, err, {"True": True, "False": False}[torch])

    return run


def state_of(result: Result, name: str) -> tuple[str, str]:
    infos: list[dict[str, Any]] = json.loads(result.out)
    (info,) = (info for info in infos if info["dist"] == f"acme-{name}")
    return info["state"], info["error"] or " ".join(info["notes"])


@pytest.mark.parametrize("plugins", [(), ("good",)], ids=["alone", "with a plugin"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("plugins",),
        ("tasks",),
        ("backbones",),
        ("backbones", "audio"),
        ("strategies",),
        ("doctor",),
    ],
    ids=" ".join,
)
def test_the_command_never_imports_torch(run: Run, arguments: tuple[str, ...], plugins: tuple[str, ...]) -> None:
    result = run(*arguments, plugins=plugins)
    assert not result.torch
    assert "Traceback" not in result.err


def test_importing_flash_does_not_import_torch(run: Run) -> None:
    assert not run(script="import flash, flash.plugins, flash.core.registry").torch


def test_the_fake_torch_would_be_noticed(run: Run) -> None:
    assert run(script="import torch").torch


def test_a_good_plugin_gives_its_task_and_backbone(run: Run) -> None:
    assert "good/classification" in run("tasks", plugins=("good",)).out
    assert "good_cnn" in run("backbones", "audio", plugins=("good",)).out
    assert state_of(run("plugins", "--json", plugins=("good",)), "good") == ("loaded", "")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (
            "broken",
            "ModuleNotFoundError: No module named 'module_that_is_missing': it imports 'module_that_is_missing', "
            "which is not installed, and acme-broken does not declare it; its author adds it to 'dependencies' in "
            "pyproject.toml",
        ),
        ("misspelt", "there is no hook flash_backbonse; did you mean flash_backbones?"),
        (
            "future",
            "it is written for hook API 99, but this flash-core has 1: pip install --upgrade flash-core",
        ),
    ],
)
def test_a_plugin_in_trouble_fails_alone(run: Run, name: str, error: str) -> None:
    result = run("plugins", "--json", plugins=(name, "good"))
    assert state_of(result, name) == ("failed", error)
    assert state_of(result, "good") == ("loaded", "")


def test_a_broken_plugin_leaves_the_command_and_the_others_working(run: Run) -> None:
    result = run("backbones", "audio", plugins=("broken", "good"))
    assert result.code == 0
    assert "good_cnn" in result.out
    assert result.err.startswith("warning: plugin 'broken' (acme-broken 1.2) failed and is left out")
    assert "FLASH_DISABLE_PLUGINS=broken" in result.err


def test_the_switch_that_the_warning_names_silences_it(run: Run) -> None:
    result = run("backbones", "audio", plugins=("broken", "good"), FLASH_DISABLE_PLUGINS="broken")
    assert result.err == ""


def test_a_check_imports_the_targets(run: Run) -> None:
    result = run("plugins", "--check", plugins=("good",), FLASH_PLUGINS="good")
    assert result.code == 1
    assert "there is no 'Task' in it" in " ".join(result.out.split())
    assert result.torch


def test_a_slow_plugin_is_loaded_with_a_note(run: Run) -> None:
    state, note = state_of(run("plugins", "--json", plugins=("slow",)), "slow")
    assert state == "loaded"
    assert note.startswith("slow: loading it took 1.")


def test_a_plugin_that_imports_torch_is_loaded_with_a_note(run: Run) -> None:
    state, note = state_of(run("plugins", "--json", plugins=("heavy",)), "heavy")
    assert state == "loaded"
    assert note.startswith("slow: it imports torch")


def test_of_two_plugins_with_one_name_neither_is_loaded(run: Run) -> None:
    result = run("plugins", "--json", plugins=("twin-a", "twin-b"))
    state, error = state_of(result, "twin-a")
    assert state == "conflict"
    assert "is also used by acme-twin-b 1.2" in error
    assert state_of(result, "twin-b")[0] == "conflict"


def test_disabling_one_of_two_namesakes_frees_the_other(run: Run) -> None:
    result = run("tasks", plugins=("twin-a", "twin-b"), FLASH_DISABLE_PLUGINS="acme_twin_b")
    assert "twin-a/classification" in result.out
    assert "twin-b" not in result.out


def test_a_backbone_of_two_plugins_is_an_error_that_names_both(run: Run) -> None:
    result = run("backbones", "--describe", "disputed", plugins=("rival-a", "rival-b"))
    assert result.code == 2
    assert "claimed by acme-rival-a 1.2 and by acme-rival-b 1.2, so neither gets it" in result.err
    assert "Write 'acme-rival-a/disputed' or 'acme-rival-b/disputed'." in result.err


def test_a_backbone_of_two_plugins_is_found_with_its_dist_in_front(run: Run) -> None:
    result = run("backbones", "--describe", "acme-rival-b/disputed", plugins=("rival-a", "rival-b"))
    assert result.code == 0
    assert "acme-rival-b 1.2" in result.out


def test_the_doctor_finds_what_is_broken(run: Run, tmp_path: Path) -> None:
    result = run("doctor", plugins=("broken",))
    assert result.code == 1
    assert "repair: pip install --upgrade acme-broken" in result.out


def test_a_plugin_folder_on_the_path_twice_is_one_plugin(run: Run) -> None:
    assert state_of(run("plugins", "--json", plugins=("good", "good")), "good")[0] == "loaded"

"""What is not imported: Flash and its listings start without torch, with the plugin installed."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.process

HEAVY = {
    *("numpy", "pytorch_lightning", "torch", "torchmetrics"),
    *(
        "PIL",
        "huggingface_hub",
        "matplotlib",
        "pandas",
        "scipy",
        "sklearn",
        "tabm",
        "timm",
        "torchvision",
        "transformers",
    ),
}
COMMANDS = [
    "--help",
    "--version",
    "plugins",
    "plugins --json",
    "plugins --debug",
    "tasks",
    "backbones",
    "backbones tabular",
    "backbones tabular --filter *net",
    "backbones image --filter *vit*",
    "strategies",
    "doctor",
]
RUN_COMMAND = """
import sys
from flash.cli import main

try:
    sys.exit(main(sys.argv[1:]))
finally:
    print("\\n", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def imported_by(run: Any, program: str, *arguments: str) -> set[str]:
    """The top-level names that a program has imported when it ends."""
    listing = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    return set(run(sys.executable, "-c", f"{program}\n{listing}", *arguments).stdout.split())


def test_importing_flash_imports_nothing_heavy(run: Any) -> None:
    assert imported_by(run, "import flash") & HEAVY == set()


def test_importing_flash_imports_no_more_than_a_few_modules(run: Any) -> None:
    program = "import sys; before = set(sys.modules); import flash; print(len(set(sys.modules) - before))"
    assert int(run(sys.executable, "-c", program).stdout) < 60


def test_importing_the_plugin_imports_nothing_heavy(run: Any) -> None:
    assert imported_by(run, "import flash.tabular; dir(flash.tabular)") & HEAVY == set()


def test_writing_the_hooks_of_a_plugin_imports_nothing_heavy(run: Any) -> None:
    assert imported_by(run, "from flash.plugins import Backbone, Strategy, TaskSpec, hookimpl") & HEAVY == set()


def test_a_task_imports_torch_only_when_it_is_named(run: Any) -> None:
    # That torch is asked for is enough: its import takes seconds.
    program = "import sys, flash\nsys.modules['torch'] = None\nfrom flash import Task"
    done = run(sys.executable, "-c", program, check=False)
    assert "import of torch halted" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_listing_imports_nothing_heavy(run: Any, command: str) -> None:
    done = run(sys.executable, "-c", RUN_COMMAND, *command.split())
    assert set(done.stdout.splitlines()[-1].split()) & HEAVY == set()


def test_the_listings_show_the_plugin(run: Any) -> None:
    shown = run(sys.executable, "-c", "from flash.cli import main; main()", "plugins", "--json").stdout
    assert any(plugin["name"] == "tabular" for plugin in json.loads(shown)), shown

from __future__ import annotations

import json
from typing import Any

import pytest

from flash.plugins import Backbone, hookimpl

PLUGIN = "src/acme_fish/plugin.py"


def test_a_project_in_order_gets_a_clean_bill(flash: Any, project: Any) -> None:
    result = flash("plugin", "check", str(project()))
    assert result.code == 0
    assert result.out.startswith("acme-fish 1.0: 1 plugin\nNo trouble found.")


SPEC = 'task="acme_fish.task:Fish"'


HOOK = "@hookimpl\ndef flash_backbones():\n"


RENAMES = "@hookimpl\ndef flash_renames():\n    yield "


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("pyproject.toml", '"flash.plugins"', '"flash.plugin"', "it has no entry point in the group flash.plugins"),
        (
            "pyproject.toml",
            "acme_fish.plugin",
            "acme_fish.plugins",
            "the entry point acme-fish = acme_fish.plugins: there is no such module; the package has acme_fish.plugin",
        ),
        (
            "pyproject.toml",
            "acme-fish =",
            "audio =",
            "the entry point audio is also that of acme-audio 1.2; rename it, such as to acme-fish",
        ),
        ("pyproject.toml", '"flash-core>=0.1,<0.2"', "", "it does not require flash-core; add it to 'dependencies'"),
        ("pyproject.toml", ",<0.2", "", "it requires 'flash-core>=0.1' without an upper bound"),
        ("src/flash/fish.py", "", "x = 1", "it ships flash/fish.py into the folder of Flash"),
        (PLUGIN, "def flash_tasks():", "def flash_tasks(:", "line 7: "),
        (PLUGIN, "flash_tasks", "flash_task", "line 7: there is no hook flash_task; did you mean flash_tasks?"),
        (PLUGIN, HOOK, HOOK[10:], "flash_backbones is not marked with @hookimpl from flash.plugins"),
        (
            PLUGIN,
            "def flash_tasks():",
            "def flash_tasks(config):",
            "line 7: flash_tasks takes config, but hooks take no arguments: def flash_tasks()",
        ),
        (PLUGIN, "HOME =", "HOOK_API = 9\nHOME =", "it is written for hook API 9, but this flash-core has 1"),
        (
            PLUGIN,
            HOOK,
            RENAMES + 'Renamed("flash.core.gone:Task", "acme_fish.task:Fish")\n' + HOOK,
            "line 12: flash_renames names flash.core.gone:Task, which belongs to flash-core; a plugin renames its own",
        ),
        (
            PLUGIN,
            HOOK,
            RENAMES + 'Renamed("acme_fish.a:B", "acme_fish.task:Fihs")\n' + HOOK,
            "line 12: acme_fish.task:Fihs cannot be imported: there is no 'Fihs' in",
        ),
        (
            PLUGIN,
            HOOK,
            RENAMES + 'Renamed("fish/a", "fish/classificatoin", of="task")\n' + HOOK,
            "line 12: the task 'fish/a' is called 'fish/classificatoin' now, which is none; did you mean "
            "'fish/classification'?",
        ),
        (PLUGIN, "HOME =", "import torch\nHOME =", "line 4: it imports torch when it is loaded"),
        (PLUGIN, SPEC, 'task="acme_fish.task:Fihs"', "there is no 'Fihs' in"),
        (PLUGIN, SPEC, 'task="acme_fish.taks:Fish"', "no module 'acme_fish.taks'; the package has acme_fish.task"),
        (PLUGIN, SPEC, 'task="nowhere"', "line 8: TaskSpec.task must look like 'package.module:attribute'"),
        (PLUGIN, SPEC, 'tsak="acme_fish.task:Fish"', "unexpected keyword argument 'tsak'"),
        (PLUGIN, '("eel"', '("eels"', "line 13: acme_fish.nets:eels cannot be imported: there is no 'eels' in"),
        (PLUGIN, 'domain="fish"', 'domain="imagse"', "for the domain 'imagse', which no task belongs to; did you mean"),
        (PLUGIN, '"shark"', '"wav_cnn"', "acme_fish.nets:wav_cnn cannot be imported"),
        (
            PLUGIN,
            'domain="fish"',
            'domain="audio"',
            "line 13: the backbone 'eel' is also registered by acme-audio 1.2, so users have to write 'acme-fish/eel'",
        ),
        (
            "src/acme_fish/task.py",
            "class Fish(Task)",
            "class Fish",
            "acme_fish.task:Fish is not a task: it has to inherit from flash.Task, or from a class that does",
        ),
        (
            "src/acme_fish/task.py",
            "import torch",
            "import torch, not_there",
            "it imports 'not_there', which no",
        ),
        ("src/acme_fish/task.py", "import torch", "import flash.image", "add 'flash-image' to 'dependencies'"),
        ("src/acme_fish/task.py", "import torch", "import torch torch", "line 2: invalid syntax"),
        (PLUGIN, "", "x = 1", "implements no hook; there are flash_tasks"),
        (PLUGIN, "import Backbone", "import Backbon", "line 2: flash.plugins has no Backbon; did you mean Backbone?\n"),
        (PLUGIN, '"shark"', '"eel"', "line 13: the backbone 'eel' is there twice; remove or rename one."),
    ],
)
def test_each_mistake_is_told_with_its_place(
    flash: Any, project: Any, file: str, old: str, new: str, said: str
) -> None:
    class Audio:
        @hookimpl
        def flash_backbones(self) -> Any:
            yield Backbone("eel", "audio", "collections:Counter")

    result = flash("plugin", "check", str(project(file, old, new)), plugins=[("audio", Audio())])
    assert said in result.out
    assert result.code == 1


def test_json_has_the_problems(flash: Any, project: Any) -> None:
    result = flash("plugin", "check", "--json", str(project("pyproject.toml", ",<0.2", "")))
    assert result.code == 1
    found = json.loads(result.out)
    assert (found["name"], found["version"], len(found["problems"])) == ("acme-fish", "1.0", 1)


def test_nothing_of_it_runs(flash: Any, project: Any) -> None:
    assert flash("plugin", "check", str(project("src/acme_fish/__init__.py", "", "raise SystemExit(5)"))).code == 0

"""The battery for callbacks sees every planted defect, and sees it for the right reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flash.testing import PluginSite

pytestmark = pytest.mark.process

PLUGIN = """
from flash.plugins import CallbackSpec, hookimpl

@hookimpl
def flash_callbacks():
    yield CallbackSpec("steps", factory="acme_steps.callback:Steps", summary="Counts the steps.")
"""
CALLBACK = """
import torch
from pytorch_lightning.callbacks import Callback

class Steps(Callback):
    def __init__(self, every=1):
        self.every = every
        self.count = 0

    def setup(self, trainer, pl_module, stage):
        self.count = 0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.count += 1

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state_dict):
        self.count = state_dict["count"]
"""
TESTS = """
from flash.testing import CallbackConformance

class TestSteps(CallbackConformance):
    name = "steps"
"""


@dataclass(frozen=True)
class Defect:
    name: str
    old: str
    new: str
    check: str
    message: str


COUNT = "        self.count += 1\n"
DEFECTS = [
    Defect(
        "has another name",
        'CallbackSpec("steps"',
        'CallbackSpec("step"',
        "test_it_is_known_by_its_name",
        r"Expected 'steps' among the callbacks, \[.*'step'\], but it is not",
    ),
    Defect(
        "has no summary",
        'summary="Counts the steps."',
        'summary=" "',
        "test_it_is_known_by_its_name",
        r"Expected a summary of 'steps', but it has none",
    ),
    Defect(
        "is no callback",
        "class Steps(Callback):",
        "class Steps:",
        "test_it_is_known_by_its_name",
        r"Expected a Lightning callback, but got a Steps",
    ),
    Defect(
        "expects a logger",
        COUNT,
        COUNT + "        trainer.logger.log_metrics({'steps': self.count})\n",
        "test_all_stages_run_with_it",
        r"'NoneType' object has no attribute 'log_metrics'",
    ),
    Defect(
        "changes weights",
        COUNT,
        COUNT + "        pl_module.head.bias.data += 0.1\n",
        "test_a_run_with_it_ends_as_one_without",
        r"Expected a run with 'steps' to end as one without it, but the weights differ",
    ),
    Defect(
        "draws random numbers",
        "    def state_dict(self):\n",
        "    def on_fit_end(self, trainer, pl_module):\n        torch.rand(1)\n\n    def state_dict(self):\n",
        "test_a_run_with_it_ends_as_one_without",
        r"Expected 'steps' to draw no random numbers of torch, but it does",
    ),
    Defect(
        "does not take over its state",
        '        self.count = state_dict["count"]\n',
        "        self.count = 0\n",
        "test_its_state_is_plain_and_comes_back",
        r"Expected the state of 'steps' after a resumed run to be that of the whole one, \{'count': 12\}, but it is",
    ),
    Defect(
        "stores an object",
        '        return {"count": self.count}\n',
        '        return {"count": self.count, "trainer": Steps}\n',
        "test_its_state_is_plain_and_comes_back",
        r"Expected serializable values in the state of 'steps', but torch says",
    ),
    Defect(
        "remembers the run before",
        "    def setup(self, trainer, pl_module, stage):\n        self.count = 0\n",
        "",
        "test_one_object_serves_two_runs",
        r"Expected 'steps' to reset its state in each run, but after a second one it has \{'count': 24\}",
    ),
    Defect(
        "teaches the second run what the first was not taught",
        COUNT,
        "        if self.every > 1:\n            pl_module.head.bias.data += 0.1\n"
        "        self.every += trainer.is_last_batch and trainer.current_epoch == 2\n",
        "test_one_object_serves_two_runs",
        r"Expected a second run with the same object of 'steps' to end as the first, but its weights differ",
    ),
    Defect(
        "cannot be sent to other processes",
        "        self.count = 0\n\n    def setup",
        "        self.count = 0\n        self.due = lambda step: True\n\n    def setup",
        "test_a_pickled_copy_runs",
        r"Can't (pickle|get local object)",
    ),
    Defect(
        "comes to every trainer without what it needs",
        'factory="acme_steps.callback:Steps", summary="Counts the steps.")',
        'factory="functools:partial", summary="Counts the steps.", automatic=True)',
        "test_every_trainer_gets_it_if_it_says_so",
        r"Expected every trainer to get 'steps' without arguments, but it cannot be made: TypeError",
    ),
]


@pytest.fixture
def run(tmp_path: Path, run_tests: Callable[..., Any]) -> Callable[..., Any]:
    """Write the plugin and its tests with one change, and run them."""

    def run_changed(old: str = "", new: str = "", *arguments: str) -> Any:
        assert not old or (PLUGIN + CALLBACK).count(old) == 1
        files = {"acme_steps/plugin.py": PLUGIN, "acme_steps/callback.py": CALLBACK}
        changed = {name: text.replace(old, new) if old else text for name, text in files.items()}
        PluginSite(tmp_path / "site").install("acme-steps", changed)
        (tmp_path / "tests").mkdir()
        (tmp_path / "tests" / "test_steps.py").write_text(TESTS)
        return run_tests(tmp_path, "-q", "tests", *arguments)

    return run_changed


@pytest.mark.parametrize("defect", DEFECTS, ids=[defect.name.replace(" ", "_") for defect in DEFECTS])
def test_a_planted_defect_makes_its_check_fail(defect: Defect, run: Callable[..., Any]) -> None:
    outcome = run(defect.old, defect.new, "-k", defect.check)
    assert outcome.code == 1, f"the defect survives: {outcome.text}"
    errors = "\n".join(line for line in outcome.text.splitlines() if line.startswith("E "))
    assert re.search(defect.message, errors), outcome.text


def test_without_a_defect_all_checks_pass(run: Callable[..., Any]) -> None:
    outcome = run()
    assert outcome.code == 0, outcome.text

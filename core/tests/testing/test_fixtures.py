"""The fixtures that tests of plugins load by one line of their conftest.py."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import flash
from flash.testing import PluginSite, in_clean_process

from .conftest import RunTests

CONFTEST = 'pytest_plugins = ["flash.testing.fixtures"]\n'


def test_a_test_runs_in_its_own_folder(tmp_path: Path) -> None:
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize("turn", [1, 2])
def test_a_test_is_seeded_and_has_one_thread(turn: int) -> None:
    drawn = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(3))
    assert torch.get_num_threads() == 1
    torch.set_num_threads(2)


def test_lightning_announces_nothing() -> None:
    assert not logging.getLogger("pytorch_lightning").isEnabledFor(logging.INFO)


def test_a_trainer_leaves_nothing_behind(trainer: Callable[..., flash.Trainer], tmp_path: Path) -> None:
    data = flash.DataModule.from_tensors(torch.zeros(4, 1), torch.zeros(4, 1), batch_size=2, seed=0)
    made = trainer(limit_train_batches=1)
    made.fit(flash.Task(torch.nn.Linear(1, 1), torch.nn.functional.mse_loss), data)
    assert (made.current_epoch, made.global_step) == (1, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_site_is_open(plugin_site: PluginSite, tmp_path: Path) -> None:
    assert plugin_site.folder == tmp_path / "site"
    assert plugin_site.folder.is_dir()


@pytest.mark.process
def test_one_line_of_a_conftest_brings_them(tmp_path: Path, run_tests: RunTests) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(
        "import os\n\ndef test_it(tmp_path, trainer, plugin_site):\n"
        "    assert os.getcwd() == str(tmp_path)\n    assert trainer(max_epochs=3).max_epochs == 3\n"
    )
    outcome = run_tests(tmp_path)
    assert outcome.code == 0, outcome.text
    assert "1 passed" in outcome.text


@pytest.mark.process
def test_without_the_line_a_test_has_none_of_them(tmp_path: Path, run_tests: RunTests) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(trainer): pass\n")
    assert "fixture 'trainer' not found" in run_tests(tmp_path).text


ENVIRONMENT = """
import os
before = {"OMP_NUM_THREADS": None, "HF_HUB_OFFLINE": "0"}
os.environ.pop("OMP_NUM_THREADS", None)
os.environ["HF_HUB_OFFLINE"] = "0"
import importlib, flash.testing
importlib.reload(flash.testing)
result = {name: os.environ.get(name) for name in before}
"""


@pytest.mark.process
def test_settings_of_the_environment_stay_where_there_are_some(tmp_path: Path) -> None:
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    settings = in_clean_process(tmp_path, ENVIRONMENT)
    assert settings == {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "0"}

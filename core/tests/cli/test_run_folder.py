"""The folder of a run."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from flash.cli._run_folder import RunFolder
from flash.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_folders_without_a_name_are_numbered_and_made_when_the_run_begins() -> None:
    for number in (1, 2):
        folder = RunFolder()
        assert folder.path == Path(f"run-{number}")
        assert not folder.path.exists()
        folder.create({"name": "words/language", "task": {"width": 3}})
        assert (folder.path / "config.yaml").read_text() == "name: words/language\ntask:\n  width: 3\n"


def test_a_folder_that_is_there_is_taken_only_if_it_is_empty() -> None:
    Path("empty").mkdir()
    RunFolder("empty").create({})
    Path("file").touch()
    for name in ("empty", "file"):
        with pytest.raises(ConfigurationError, match=f"an empty or a new folder for the run, but {name} is there"):
            RunFolder(name)


def test_what_is_logged_in_a_run_is_in_its_log_alone() -> None:
    folder = RunFolder("run")
    folder.create({})
    log = logging.getLogger("flash.anything")
    log.setLevel("INFO")
    with folder.logging():
        log.info("epoch 1")
    log.info("later")
    text = (folder.path / "log.txt").read_text()
    assert "INFO epoch 1" in text
    assert "later" not in text


def test_curves_of_train_and_validation_are_drawn_per_metric() -> None:
    pytest.importorskip("matplotlib")
    folder = RunFolder("run")
    folder.create({})
    folder.draw_curves([])
    folder.draw_curves([{"epoch": 0}])
    assert not (folder.path / "curves.png").exists()
    folder.draw_curves([{"epoch": 0, "train_loss": 0.5, "val_loss": 0.4}, {"epoch": 1, "train_loss": 0.2}])
    assert (folder.path / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_without_matplotlib_there_are_no_curves_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    folder = RunFolder("run")
    folder.create({})
    with caplog.at_level("INFO", "flash"):
        folder.draw_curves([{"epoch": 0, "train_loss": 0.5}])
    assert "since matplotlib is not installed: pip install" in caplog.text
    assert not (folder.path / "curves.png").exists()

"""The folder of a run."""

from __future__ import annotations

import logging
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
    folder.draw_curves()
    assert not (folder.path / "curves.png").exists()
    head = "epoch,step,train_loss,train_loss_step,val_loss"
    rows = [head, "0,1,,0.5,", "0,2,,,0.4", "0,2,0.5,,", "1,4,,,0.3", "1,4,0.2,,"]
    (folder.path / "metrics.csv").write_text("\n".join(rows))
    assert folder._curves() == {"train_loss": [(1, 0.5), (2, 0.2)], "val_loss": [(1, 0.4), (2, 0.3)]}
    folder.draw_curves()
    assert (folder.path / "curves.png").read_bytes()[:4] == b"\x89PNG"

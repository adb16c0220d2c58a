"""``flash validate`` and ``flash test``: the scores of a checkpoint on other data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.train
@pytest.mark.parametrize(("command", "stage"), [("validate", "val"), ("test", "test")])
def test_the_scores_are_those_of_the_trainer(
    fit: Any, flash: Any, domain: Any, words: Any, word_file: str, command: str, stage: str
) -> None:
    assert fit("--trainer.max_epochs", "2", "-o", "run").code == 0
    fields = ["--data.input_field", "word", "--data.target_fields", "kind"]
    file = [f"--data.{stage}_file", word_file]
    result = flash(command, "run/task.ckpt", *file, *fields, "-o", "scores.json", plugins=words)
    assert result.code == 0, result.err
    scores = json.loads(Path("scores.json").read_text())

    import flash as package

    task = domain.WordClassifier.load_from_checkpoint("run/task.ckpt")
    options: dict[str, Any] = {f"{stage}_file": word_file, "preprocess": task.preprocess}
    dm = domain.WordData.from_csv("word", "kind", **options)
    trainer = package.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False)
    (expected,) = getattr(trainer, command)(task, datamodule=dm, verbose=False)
    assert scores == pytest.approx(dict(expected))
    assert set(scores) == {f"{stage}_loss", f"{stage}_accuracy"}
    # The column of samples is that of the task.
    assert flash(command, "run/task.ckpt", *file, *fields[2:], "-o", "same.json", plugins=words).code == 0
    assert json.loads(Path("same.json").read_text()) == scores
    # A folder for the Hub is a checkpoint as well.
    task.save_pretrained("net")
    assert flash(command, "net", *file, *fields, "-o", "again.json", plugins=words).code == 0
    assert json.loads(Path("again.json").read_text()) == scores


@pytest.mark.parametrize("command", ["validate", "test"])
def test_a_missing_checkpoint_says_so(flash: Any, words: Any, command: str) -> None:
    for arguments, sentence in (
        ([], f"Expected a checkpoint first, as in flash {command} run/task.ckpt --data..."),
        (["--data.test_file", "a.csv"], "Expected a checkpoint first"),
        (["none.ckpt"], "none.ckpt"),
    ):
        result = flash(command, *arguments, plugins=words)
        assert result.code == 2
        assert sentence in result.err


def test_a_task_of_no_plugin_says_so(flash: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from pytorch_lightning import Trainer

    from flash.core.classification import ClassificationTask

    monkeypatch.chdir(tmp_path)
    task = ClassificationTask(labels=["a", "b"])
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(task)
    trainer.save_checkpoint("task.ckpt")
    assert torch.load("task.ckpt", weights_only=True)
    result = flash("test", "task.ckpt", "--data.test_file", "a.csv", plugins=())
    assert result.code == 2
    assert "Expected a task of an installed plugin, whose data module reads the data, but got a Class" in result.err
    assert flash("test", "--help", plugins=()).code == 0

"""Commands train and predict where an engine does; here a made-up one, in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped,unused-ignore]  # stubs are another package

import flash as package
from flash.plugins import Engine, hookimpl


def fit(
    task: Any, data: Any, *, strategy: Any, trainer: Any, folder: Path, num_workers: int = 2, name: str = ""
) -> Path:
    """Train here, and note what came.

    Args:
        task: The task.
        data: Its data.
        strategy: The finetuning strategy.
        trainer: Arguments of the trainer.
        folder: That of the run.
        num_workers: How many machines.
        name: Anything.
    """
    made = package.Trainer(**{**trainer, "logger": False})
    if strategy is None:
        made.fit(task, data)
    else:
        made.finetune(task, data, strategy=strategy)
    path = folder / "grid" / "last.ckpt"
    made.save_checkpoint(path)
    (folder / "came.json").write_text(json.dumps([str(strategy), num_workers, name, sorted(trainer)]))
    return path


def predict(checkpoint: str, source: str, target: Path, *, columns_upper: bool = False, **passed: Any) -> int:
    """Write what came.

    Args:
        checkpoint: The checkpoint.
        source: The rows.
        target: The file.
        columns_upper: Anything.
        passed: The other arguments.
    """
    target.write_text(json.dumps([checkpoint, source, columns_upper, passed]))
    return 1234


class Grid:
    @hookimpl
    def flash_engines(self) -> Iterator[Engine]:
        yield Engine("grid", fit=f"{__name__}:fit", predict=f"{__name__}:predict", summary="On many machines.")


@pytest.fixture
def plugins(words: Any) -> Any:
    return [*words, ("grid", Grid())]


def train(flash: Any, plugins: Any, word_file: str, *options: str) -> Any:
    data = ["--data.train_file", word_file, "--data.input_field", "word", "--data.target_fields", "kind"]
    short = ["--trainer.max_epochs", "1", "--trainer.enable_progress_bar", "false", "--data.val_split", "0.25"]
    return flash("fit", "words/language", *data, *short, "-o", "run", *options, plugins=plugins)


def test_an_engine_trains_with_the_options_of_the_trainer_and_its_own(flash: Any, plugins: Any, word_file: str) -> None:
    result = train(flash, plugins, word_file, "--engine", "grid", "--grid.num_workers", "3", "--seed", "1")
    assert result.code == 0, result.err
    strategy, workers, name, options = json.loads(Path("run/came.json").read_text())
    assert (strategy, workers, name) == ("None", 3, "")
    assert {"max_epochs", "enable_progress_bar", "default_root_dir", "logger"} == set(options)
    task = package.Task.load_from_checkpoint("run/task.ckpt")
    assert [epoch["epoch"] for epoch in task.history] == [0]
    assert set(json.loads(Path("run/scores.json").read_text())) >= {"val_loss"}
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    assert (config["engine"], config["grid"]) == ("grid", {"num_workers": 3})


def test_a_run_of_an_engine_is_repeated_by_its_configuration(flash: Any, plugins: Any, word_file: str) -> None:
    assert train(flash, plugins, word_file, "--engine", "grid", "--grid.name", "x", "--strategy", "no_freeze").code == 0
    result = flash("fit", "--config", "run/config.yaml", "-o", "again", plugins=plugins)
    assert result.code == 0, result.err
    assert Path("again/came.json").read_text() == Path("run/came.json").read_text()


def test_help_has_the_options_of_an_engine_that_is_named(flash: Any, plugins: Any) -> None:
    for arguments, option in (
        (["fit", "words/language", "--engine", "grid", "--help"], "--grid.num_workers"),
        (["predict", "--engine", "grid", "--help"], "--grid.columns_upper"),
    ):
        result = flash(*arguments, plugins=plugins)
        assert result.code == 0
        assert "engine grid:" in result.out
        assert option in result.out
        without = [each for each in arguments if each not in ("--engine", "grid")]
        assert "--engine" in flash(*without, plugins=plugins).out


def test_an_engine_predicts_what_the_command_would(flash: Any, plugins: Any) -> None:
    options = ["--columns", "key,answer", "--sep", ";", "--engine", "grid", "--grid.columns_upper", "true"]
    result = flash("predict", "task.ckpt", "new.csv", "-o", "out.csv", *options, plugins=plugins)
    assert (result.code, result.out) == (0, "1,234 predictions are in out.csv.\n")
    assert json.loads(Path("out.csv").read_text()) == [
        "task.ckpt",
        "new.csv",
        True,
        {
            "names": ["key", "answer"],
            "reading": {"sep": ";"},
            "id_field": "key",
            "output": None,
            "batch_size": 64,
        },
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["predict", "a", "b", "-o", "c.csv", "--engine", "gird"],
            "'gird' is not among the engines. Did you mean 'grid'",
        ),
        (["fit", "words/language", "--engine", "spark"], "'spark' is not among the engines. There are: grid"),
        (["predict", "a", "b", "-o", "c.csv", "--engine", "ray"], "pip install flash-ray"),
        (["predict", "a", "b", "-o", "c.csv", "--engine", "grid", "--grid.colour", "1"], "colour"),
        (
            ["predict", "a", "b", "-o", "c.csv", "--engine", "grid", "--device", "cpu"],
            "Expected no --device with --engine",
        ),
    ],
)
def test_what_an_engine_cannot_do_is_an_error(flash: Any, plugins: Any, arguments: list[str], message: str) -> None:
    result = flash(*arguments, plugins=plugins)
    assert result.code == 2
    assert message in result.err


def test_engines_are_listed(flash: Any, plugins: Any) -> None:
    result = flash("components", "engines", plugins=plugins)
    assert "grid * acme-grid 1.2 On many machines." in " ".join(result.out.split())

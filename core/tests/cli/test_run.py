"""``flash fit`` of a task of a plugin: what the folder of a run holds, and what its configuration repeats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped,unused-ignore]  # stubs are another package

import flash
from flash.core.model import Task

SPLIT = ("--data.val_split", "0.25")


@pytest.mark.train
def test_a_run_leaves_configuration_metrics_scores_log_and_task(fit: Any) -> None:
    result = fit(*SPLIT, "--task.width", "8", "--trainer.max_epochs", "3", "-o", "run")
    assert result.code == 0, result.err
    assert "flash predict run/task.ckpt INPUT" in result.out
    names = {path.name for path in Path("run").iterdir()}
    assert {"config.yaml", "metrics.csv", "scores.json", "log.txt", "task.ckpt", "checkpoints"} <= names
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    assert (config["name"], config["source"], config["task"]) == ("words/language", "csv", {"width": 8})
    assert config["data"]["val_split"] == 0.25
    epochs = [line for line in Path("run/metrics.csv").read_text().splitlines()[1:] if line]
    assert len(epochs) == 6  # train and val, three times each
    scores = json.loads(Path("run/scores.json").read_text())
    assert set(scores) == {"val_loss", "val_accuracy"}
    task: Any = Task.load_from_checkpoint("run/task.ckpt")
    assert task.model[0].out_features == 8
    assert task.predict(["aeae", "tttttt"]) in (["many", "few"], ["few", "few"], ["many", "many"], ["few", "many"])


@pytest.mark.train
def test_the_configuration_of_a_run_gives_the_same_numbers(fit: Any, flash: Any, words: Any) -> None:
    assert fit(*SPLIT, "--trainer.max_epochs", "2", "-o", "one").code == 0
    assert flash("fit", "--config", "one/config.yaml", "-o", "two", plugins=words).code == 0
    for name in ("metrics.csv", "scores.json"):
        assert Path("one", name).read_text() == Path("two", name).read_text()
    assert flash("fit", "--config", "one/config.yaml", "--seed", "5", "-o", "three", plugins=words).code == 0
    assert Path("one/metrics.csv").read_text() != Path("three/metrics.csv").read_text()


@pytest.mark.train
def test_choices_have_arguments_and_runs_are_numbered(fit: Any) -> None:
    options = [
        "--task.optimizer",
        "[SGD, {momentum: 0.9}]",
        "--task.metrics",
        "[accuracy, f1]",
        "--strategy",
        "no_freeze",
    ]
    for number in (1, 2):
        assert fit(*SPLIT, *options, "--trainer.max_epochs", "1").code == 0
        config = yaml.safe_load(Path(f"run-{number}/config.yaml").read_text())
        assert config["task"]["optimizer"] == ["SGD", {"momentum": 0.9}]
        assert config["strategy"] == "no_freeze"
        assert "val_f1" in json.loads(Path(f"run-{number}/scores.json").read_text())


@pytest.mark.train
def test_after_an_interruption_the_task_is_saved_as_it_is(fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    epochs: list[int] = []

    def interrupt(self: Any) -> None:
        epochs.append(1)
        if len(epochs) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(flash.Task, "on_train_epoch_start", interrupt)
    result = fit(*SPLIT, "--trainer.max_epochs", "50", "-o", "run")
    assert result.code == 130
    assert "Interrupted in epoch 2; the task is saved as it is." in result.err
    assert Task.load_from_checkpoint("run/task.ckpt").predict(["ae"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--task.wdith", "3"], "Expected arguments that WordClassifier takes, but got 'wdith'. Did you mean 'width'?"),
        (["--data.delimeter", "3"], "Expected arguments that WordData.from_csv takes, but got 'delimeter'. Did you"),
        (["--trainer.max_epoch", "3"], "Expected arguments that Trainer takes, but got 'max_epoch'. Did you mean"),
        (
            ["--task.width", "wide"],
            "Expected other arguments: Parser key \"task.width\": Expected a <class 'int'>. Got",
        ),
        (["--wdith", "3"], "Expected other arguments: unrecognized arguments: --wdith 3. See flash fit --help."),
        (["--source", "xml"], "Expected a source among csv, json, parquet, but got 'xml'."),
        (["--config", "none.yaml"], "Expected a file of options at none.yaml, but there is none. Check the path."),
        (["-o", "words.csv"], "Expected an empty or a new folder for the run, but words.csv is there already. Choose"),
    ],
)
def test_wrong_options_say_so_and_leave_no_folder(fit: Any, arguments: list[str], sentence: str) -> None:
    result = fit(*arguments)
    assert result.code == 2
    assert sentence in result.err
    assert not list(Path().glob("run*"))


def test_data_that_no_option_names_says_which_there_are(fit: Any) -> None:
    result = fit(data=[])
    assert result.code == 2
    assert "Expected data to train on, as --data.train_file (csv, json, parquet), but got none." in result.err


def test_help_shows_sources_options_and_defaults_but_no_facts_of_the_data(flash: Any, words: Any) -> None:
    result = flash("fit", "words/language", "--help", plugins=words)
    assert result.code == 0
    assert "--data.train_file (csv, json, parquet)" in " ".join(result.out.split())
    assert "--task.width WIDTH" in result.out
    assert "The number of hidden units. (default: 4)" in result.out
    assert "--trainer.max_epochs" in result.out
    assert "num_classes" not in result.out
    assert "--data.sep" not in result.out
    of_source = flash("fit", "words/language", "--source", "csv", "--help", plugins=words).out
    assert "The separator of CSV" in of_source
    assert "The letters that count as vowels. (default: aeiou)" in of_source
    assert max(map(len, of_source.splitlines())) <= 100


def test_print_config_shows_all_options_with_their_defaults(fit: Any) -> None:
    result = fit("--print_config")
    config = yaml.safe_load(result.out)
    assert config["task"]["width"] == 4
    assert config["data"]["vowels"] == "aeiou"
    assert not list(Path().glob("run*"))

"""``flash shard``: what it needs, and what it refuses; see tests/test_shard_command.py for what it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_a_task_a_source_and_a_folder_are_needed(flash: Any, words: Any, word_file: str) -> None:
    fields = ["--data.input_field", "word", "--data.target_fields", "kind"]
    for arguments, sentence in (
        ([], "Expected a task first, as in flash shard image/classification --data... -o FOLDER."),
        (["--data.train_file", word_file], "Expected a task first"),
        (["words/language"], "Expected data to train on, as --data.train_file (csv, json, parquet)"),
        (
            ["words/language", "--data.train_file", word_file, *fields],
            "Expected a folder to write the shards to, as in flash",
        ),
        (["words/language", "--data.train_file", word_file, *fields, "--size", "3"], "Expected other arguments"),
    ):
        result = flash("shard", *arguments, plugins=words)
        assert result.code == 2
        assert sentence in result.err


def test_samples_that_cannot_lie_on_disk_are_refused(
    flash: Any, words: Any, word_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = ["--data.input_field", "word", "--data.target_fields", "kind"]
    arguments = ["shard", "words/language", "--data.train_file", word_file, *fields, "-o", str(tmp_path / "out")]
    result = flash(*arguments, plugins=words)
    assert result.code == 2
    assert "Expected data whose samples can be read from shards, which are images or texts" in result.err
    assert not (tmp_path / "out").exists()

"""The constructor of data that the options of a command mean."""

from __future__ import annotations

from typing import Any

import pytest

from flash.cli._sources import choose_source, file_sources
from flash.data.data_module import DataModule
from flash.data.files import FileData
from flash.data.samples import SampleData
from flash.errors import ConfigurationError


def test_sources_are_the_constructors_that_take_paths() -> None:
    assert list(file_sources(FileData)) == ["from_csv", "from_folders", "from_json", "from_parquet"]
    assert list(file_sources(SampleData)) == ["from_csv", "from_json", "from_parquet"]
    assert file_sources(DataModule) == {}


@pytest.mark.parametrize(
    ("given", "source"),
    [
        ({"train_file": "a.csv"}, "from_csv"),
        ({"train_file": "a.tsv.gz", "val_split": "0.1"}, "from_csv"),
        ({"train_file": "http://host/a.jsonl?x=1"}, "from_json"),
        ({"train_file": "a.json", "val_file": "b.json"}, "from_json"),
        ({"test_file": "a.parquet"}, "from_parquet"),
        ({"train_file": "a.dat"}, "from_csv"),
        ({"train_folder": "photos"}, "from_folders"),
        ({"val_folder": "photos"}, "from_folders"),
    ],
)
def test_the_source_is_found_from_the_options(given: dict[str, Any], source: str) -> None:
    assert choose_source(FileData, given) == source


def test_the_source_that_is_asked_for_is_taken() -> None:
    for asked in ("json", "from_json"):
        assert choose_source(FileData, {"train_file": "a.csv"}, asked) == "from_json"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "--data.train_file .csv, json, parquet., --data.train_folder .folders., but got none"),
        ({"train_folder": "a", "train_file": "b"}, "but got --data.train_folder, --data.train_file"),
        ({"train_flie": "a.csv"}, "but got --data.train_flie"),
        ({"val_split": 0.1}, "but got none"),
    ],
)
def test_options_of_no_source_say_which_there_are(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Expected data to train on, as .*{sentence}"):
        choose_source(FileData, given)

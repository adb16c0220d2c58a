"""The constructor of data that the options of a command mean."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flash.cli._options import data_options
from flash.cli._sources import choose_source, describe_sources, file_sources, make_data
from flash.data.data_module import DataModule
from flash.data.files import FileData
from flash.data.samples import SampleData
from flash.errors import ConfigurationError
from flash.plugins import DataSource, hookimpl, isolated_plugins


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


class Scenes(FileData):
    """Folders of files and of their targets, which a file of annotations may name."""

    @classmethod
    def from_annotations(
        cls, train_folder: str | None = None, train_targets: str | None = None, train_file: str | None = None
    ) -> Any:
        """Take a file of annotations."""

    @classmethod
    def from_pairs(cls, train_folder: str | None = None, train_targets: str | None = None) -> Any:
        """Take a target for each file."""


def test_of_several_sources_the_one_with_the_fewest_other_options_is_taken() -> None:
    given = {"train_folder": "files", "train_targets": "targets"}
    assert choose_source(Scenes, given) == "from_pairs"
    assert choose_source(Scenes, given | {"train_file": "annotations"}) == "from_annotations"


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


class Plugin:
    """A source for all data modules."""

    @hookimpl
    def flash_data_sources(self) -> Iterator[DataSource]:
        yield DataSource("pair", data="*", factory=f"{__name__}:pair", summary="Two samples.")


def pair(data: type[FileData], first: str, **kwargs: Any) -> Any:
    """Return the class and the arguments.

    Args:
        data: The class.
        first: The first file.
    """
    return data, first, kwargs


def test_a_source_that_a_plugin_registered_is_called_with_the_class() -> None:
    with isolated_plugins(Plugin()):
        assert choose_source(FileData, {}, "pair") == "pair"
        made: Any = make_data(FileData, "pair", {"first": "a.txt", "seed": 1})
        assert made == (FileData, "a.txt", {"seed": 1})
        assert describe_sources(FileData).endswith("--source pair")
        options = {each.name: each.help for each in data_options(FileData, "pair")}
        assert options["first"] == "The first file."
        assert "data" not in options
        assert "val_split" in options
        with pytest.raises(ConfigurationError, match="Expected a source among .*, pair, but got 'par'"):
            choose_source(FileData, {}, "par")


def test_an_argument_that_is_missing_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "files.csv").write_text("file,y\n")
    with pytest.raises(ConfigurationError, match="Expected --data.input_field beside the data, as in --data"):
        make_data(FileData, "from_csv", {"train_file": tmp_path / "files.csv", "target_fields": "y"})

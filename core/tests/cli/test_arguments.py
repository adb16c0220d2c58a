"""The arguments of commands that are needed before their options are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from flash.cli._arguments import as_choices, read_config, value_of, values_of
from flash.errors import ConfigurationError


def test_values_are_found_in_both_ways_of_writing_them() -> None:
    arguments = [
        "words/language",
        "--data.train_file=a=b.csv",
        "--data.val_file",
        "c.csv",
        "--task.data",
        "x",
        "--last",
    ]
    assert values_of(arguments, "data") == {"train_file": "a=b.csv", "val_file": "c.csv"}
    assert value_of(arguments, "--task.data") == "x"
    assert value_of(arguments, "--last") is None


def test_lists_of_a_name_and_arguments_are_choices_wherever_they_are() -> None:
    assert as_choices([["keep_best", {"patience": 3}], "other"]) == [("keep_best", {"patience": 3}), "other"]
    assert as_choices(["LinearLR", {}, {"interval": "step"}]) == ("LinearLR", {}, {"interval": "step"})
    assert as_choices({"a": ["x"], "b": [1, {}], "c": []}) == {"a": ["x"], "b": [1, {}], "c": []}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[a, b]", "Expected options by name in .*, as in config.yaml of a run, but got list."),
        ("", "but got NoneType"),
        ("a: [", "Expected options in YAML in .*, but: "),
        (
            "!!python/object/apply:os.getcwd []",
            "Expected options in YAML in .*, but: could not determine a",
        ),
    ],
)
def test_a_file_that_is_no_configuration_says_so(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(ConfigurationError, match=sentence):
        read_config(["--config", str(tmp_path / "config.yaml")])

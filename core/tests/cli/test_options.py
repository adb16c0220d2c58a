"""Options from signatures: their types, defaults and descriptions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pytest

import flash
from flash.cli._options import (
    Option,
    add_options,
    data_options,
    new_parser,
    parse_options,
    task_options,
    text_or_list,
    trainer_options,
)
from flash.errors import ConfigurationError


def by_name(options: list[Option]) -> dict[str, Option]:
    return {option.name: option for option in options}


def test_options_of_data_are_those_of_the_constructor_its_class_and_its_preprocess(domain: Any) -> None:
    options = by_name(data_options(domain.WordData, "from_csv"))
    assert list(options)[:3] == ["input_field", "target_fields", "train_file"]
    assert {"val_split", "batch_size", "groups", "vowels", "sep", "encoding"} <= set(options)
    objects = {"preprocess", "postprocess", "sampler", "train_data_frame", "train_dataset", "predict_file", "options"}
    assert not objects & set(options)
    assert options["vowels"].help == "The letters that count as vowels."
    assert options["val_split"].help.startswith("A fraction of the train samples")
    assert options["train_file"].help == "Rows to train on."
    assert options["batch_size"].type in (int, int | None)
    assert options["target_fields"].type is text_or_list


def test_options_of_a_task_leave_out_facts_and_objects(domain: Any) -> None:
    options = by_name(task_options(domain.WordClassifier, domain.WordClassifier.data_facts))
    assert options["width"] == Option("width", int, 4, "The number of hidden units.")
    assert {"learning_rate", "optimizer", "metrics", "class_weights"} <= set(options)
    assert not {"num_classes", "labels", "model", "preprocess", "kwargs"} & set(options)


def test_options_of_the_trainer_are_those_of_lightning_too() -> None:
    options = by_name(trainer_options(flash.Trainer))
    assert {"max_epochs", "callbacks", "accelerator", "plugin_callbacks", "precision"} <= set(options)
    assert not {"logger", "default_root_dir", "plugins"} & set(options)
    assert options["max_epochs"].help


class Shaped:
    def __init__(
        self,
        count: int = 1,
        rate: float | None = None,
        name: str | Sequence[str] | None = None,
        kind: Literal["a", "b"] = "a",
        flag: bool = False,
        anything: Any = None,
        unknown: NotThere = None,  # type: ignore[name-defined]  # noqa: F821
    ) -> None: ...


def parsed(*arguments: str) -> dict[str, Any]:
    parser = new_parser("prog", "prog", "")
    add_options(parser, "x", "x", task_options(Shaped), given=["extra"])
    return parse_options(parser, arguments).get("x", {})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("count=3", 3),
        ("rate=1e-3", 0.001),
        ("rate=null", None),
        ("kind=b", "b"),
        ("flag=true", True),
        ("anything=[a, {b: 1}]", ["a", {"b": 1}]),
        ("unknown=3", 3),
        ("extra=3", 3),
    ],
)
def test_texts_are_parsed_as_the_annotation_says(text: str, value: Any) -> None:
    assert parsed(f"--x.{text}") == {text.partition("=")[0]: value}


def test_options_that_are_not_passed_are_left_to_python() -> None:
    assert parsed() == {}


@pytest.mark.parametrize("text", ["count=x", "kind=c", "flag=7", "rate=fast"])
def test_a_wrong_value_says_so(text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Expected other arguments: .*{text.partition('=')[0]}.* prog --help"):
        parsed(f"--x.{text}")


def test_names_of_columns_and_files_are_taken_literally(domain: Any) -> None:
    parser = new_parser("prog", "prog", "")
    add_options(parser, "data", "data", data_options(domain.WordData, "from_csv"))
    texts = ["--data.target_fields", "[yes, 007, on]", "--data.input_field", "no", "--data.train_file", "1.0"]
    assert parse_options(parser, [*texts, "--data.sep", ";"])["data"] == {
        "target_fields": ["yes", "007", "on"],
        "input_field": "no",
        "train_file": "1.0",
        "sep": ";",
    }

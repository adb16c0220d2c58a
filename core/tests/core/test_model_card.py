"""Model cards say what is known, in Markdown and YAML that nothing in a name can break."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import yaml  # type: ignore[import-untyped,unused-ignore]  # stubs are another package

from flash import __version__
from flash.core.model_card import MARK, TaskFacts, is_written_by_flash, model_card

HISTORY = [{"epoch": epoch, "train_loss": 1.0 / (epoch + 1), "val_accuracy": epoch / 100} for epoch in range(25)]


def facts(**values: Any) -> TaskFacts:
    known: dict[str, Any] = {
        "name": "WordClassifier",
        "task": {"spec": "words/classification", "dist": "acme-words", "version": "2.1"},
        "data": {"num_classes": 2, "labels": ["ants", "bees"], "multi_label": None},
        "arguments": {"backbone": "tiny", "learning_rate": 0.01, "lr_scheduler": None},
        "strategy": "Freeze",
        "history": HISTORY[:2],
    }
    return {**known, **values}  # type: ignore[typeddict-item]  # as the test asks for


def header(card: str) -> Any:
    return yaml.safe_load(card.split("---\n")[1])


def rows(card: str, title: str) -> list[list[str]]:
    """The cells of the table in a section, without its header."""
    section = card.partition(f"## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_the_header_is_what_the_hub_reads() -> None:
    assert header(model_card(facts(), "me/net", {"test_f1": 0.5, "test_loss": 1.0})) == {
        "library_name": "flash",
        "tags": ["flash", "words-classification"],
        "metrics": ["accuracy", "f1"],
    }


def test_what_is_not_known_is_left_out() -> None:
    empty = facts(task={"spec": None, "dist": None}, data={}, arguments={}, strategy=None, history=[])
    card = model_card(empty, "me/net")
    assert header(card) == {"library_name": "flash", "tags": ["flash"]}
    assert [line for line in card.splitlines() if line.startswith("#")] == ["# WordClassifier", "## Use", "## Versions"]
    assert "None" not in card


def test_the_use_is_three_lines_that_name_the_source_and_the_packages() -> None:
    card = model_card(facts(), "me/net")
    assert 'pip install "flash-core[hub]" acme-words\n' in card
    code = card.partition("```python\n")[2].partition("```")[0]
    assert code == "import flash\n\ntask = flash.Task.from_pretrained('me/net')\nprint(task.predict(inputs))\n"
    compile(code, "card", "exec")


def test_the_package_of_core_is_installed_once() -> None:
    card = model_card(facts(task={"spec": None, "dist": "flash-core", "version": "1"}), "me/net")
    assert 'pip install "flash-core[hub]"\n' in card


def test_facts_training_and_versions_are_tables() -> None:
    card = model_card(facts(), "me/net")
    assert "# WordClassifier on tiny\n" in card
    assert rows(card, "Data") == [["num\\_classes", "2"], ["labels", "\\['ants', 'bees'\\]"]]
    assert rows(card, "Training") == [
        ["backbone", "'tiny'"],
        ["learning\\_rate", "0.01"],
        ["strategy", "Freeze"],
        ["epochs", "2"],
    ]
    assert rows(card, "Versions") == [
        ["flash-core", __version__],
        ["torch", torch.__version__],
        ["acme-words", "2.1"],
    ]


def test_scores_have_the_names_of_their_metrics() -> None:
    assert rows(model_card(facts(history=[]), "me/net", {"test_f1": 0.123456}), "Scores") == [["test\\_f1", "0.1235"]]
    assert rows(model_card(facts(), "me/net"), "Scores") == [["0", "1", "0"], ["1", "0.5", "0.01"]]


def test_of_many_epochs_the_first_and_the_last_are_shown() -> None:
    card = model_card(facts(history=HISTORY), "me/net")
    assert [row[0] for row in rows(card, "Scores")] == ["0", "1", "2", "3", "4", "20", "21", "22", "23", "24"]
    assert "The first five and the last five of 25 epochs:" in card
    assert ["epochs", "25"] in rows(card, "Training")


def test_an_epoch_without_a_metric_has_an_empty_cell() -> None:
    card = model_card(facts(history=[{"epoch": 0, "train_loss": 1.0}, {"epoch": 1, "val_loss": 2.0}]), "me/net")
    assert [line for line in card.splitlines() if line.startswith(("| 0", "| 1"))] == ["| 0 | 1 |  |", "| 1 |  | 2 |"]


@pytest.mark.parametrize(
    "name", ["a|b", "line\nbreak\n---\n# Title", "<script>alert(1)</script>", "[x](http://y)", "`c`"]
)
def test_a_name_is_neither_markdown_nor_html_nor_yaml(name: str) -> None:
    card = model_card(facts(arguments={"backbone": name}, name=name, data={"labels": [name, "b"]}), "me/net")
    assert header(card) == header(model_card(facts(), "me/net"))
    assert all(sign not in card for sign in ("<script", "[x](", "`c`", "\n# Title"))
    assert len(rows(card, "Training")) == 3
    assert all(len(row) == 2 for row in rows(card, "Data"))


def test_a_card_of_flash_is_known_by_its_mark() -> None:
    card = model_card(facts(), "me/net")
    assert is_written_by_flash(card)
    assert not is_written_by_flash(card.replace(MARK, ""))

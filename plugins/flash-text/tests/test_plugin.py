"""What the plugin contributes, and that listing it costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import flash.text
from flash.core.registry import backbone_registry
from flash.plugins import get_host


def test_tasks_with_their_data_are_contributed() -> None:
    names = {each.name for each in get_host().contributions("task")}
    assert {"text/classification", "text/regression", "text/embedding"} <= names


def test_any_name_of_the_hub_is_a_backbone() -> None:
    backbones = backbone_registry("text")
    assert "prajjwal1/bert-tiny" in backbones.list()
    assert backbones.describe("somebody/something").metadata["catalogue"] == "huggingface"
    assert "/some/folder" in backbones


@pytest.mark.process
def test_listing_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from flash.plugins import get_host\n"
        "print(len([name for each in get_host().contributions('catalogue', 'text') for name in each.listed()]))\n"
        "import flash.text\n"
        "print([name for name in ('torch', 'transformers', 'pandas', 'tokenizers') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    count, heavy = done.stdout.splitlines()
    assert int(count) > 20
    assert heavy == "[]"


def test_a_misspelled_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'TextClasifier'"):
        _ = flash.text.TextClasifier  # type: ignore[attr-defined]  # the mistake


def test_every_name_is_there() -> None:
    assert all(hasattr(flash.text, name) for name in flash.text.__all__)
    assert set(flash.text.__all__) <= set(dir(flash.text))

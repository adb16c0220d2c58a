"""The Python blocks of the README run as they stand, in a folder of drawn ants and bees."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import flash

pytestmark = pytest.mark.process

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.usefixtures("folders")
def test_the_python_blocks_run(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub("resnet18.a1_in1k")
    make = flash.Trainer.__init__
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    monkeypatch.setattr(
        flash.Trainer, "__init__", lambda self, **kwargs: make(self, **{**silent, **kwargs, "max_epochs": 1})
    )
    text = README.read_text(encoding="utf-8")
    world: dict[str, Any] = {}
    (block,) = BLOCK.finditer(text)
    exec(compile("\n" * text.count("\n", 0, block.start(1)) + block[1], str(README), "exec"), world)
    assert set(world["task"].predict("new")) <= {"ants", "bees"}
    assert Path("predictions.png").exists()

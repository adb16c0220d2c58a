"""The old documentation's page on finetuning runs as it is written, on drawn ants and bees."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import flash

# As the page has it, but for one line: the page calls its task `task` first and then `model`.
PAGE = """
import flash
from flash import download_data
from flash.vision import ImageClassificationData, ImageClassifier

# 1. download and organize the data
download_data("https://download.pytorch.org/tutorial/hymenoptera_data.zip", 'data/')

data = ImageClassificationData.from_folders(
    train_folder="data/hymenoptera_data/train/",
    valid_folder="data/hymenoptera_data/val/"
)

# 2. build the task
task = ImageClassifier(num_classes=2)
model = task

# 3. Build the trainer and finetune! In this case, using the no_freeze strategy
trainer = flash.Trainer()
trainer.finetune(model, data, strategy="no_freeze")
"""


@pytest.fixture
def page(folders: Path, hub: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page's names are in a world where downloads come from here, after it has run."""
    trained = hub("resnet18.a1_in1k")

    def download(url: str, path: str) -> None:
        assert url.endswith("hymenoptera_data.zip")
        for stage in ("train", "val"):
            shutil.copytree(folders / stage, Path(path) / "hymenoptera_data" / stage)

    monkeypatch.setattr(flash, "download_data", download)
    # The page leaves the length of the training to the trainer, whose default are Lightning's thousand epochs.
    make = flash.Trainer.__init__
    short = {"max_epochs": 1, "accelerator": "cpu", "logger": False, "enable_checkpointing": False}
    monkeypatch.setattr(flash.Trainer, "__init__", lambda self, **kwargs: make(self, **{**short, **kwargs}))
    world: dict[str, Any] = {"trained": trained}
    exec(PAGE, world)
    return world


def test_the_page_finetunes_pretrained_weights_and_the_task_knows_the_classes(page: dict[str, Any]) -> None:
    task = page["task"]
    assert task.labels == ["ants", "bees"]
    moved = (task.backbone.network.conv1.weight - page["trained"]["conv1.weight"]).abs().max()
    assert 0 < moved < 0.01
    assert set(task.predict("new")) <= {"ants", "bees"}
    assert "val_accuracy" in page["trainer"].callback_metrics

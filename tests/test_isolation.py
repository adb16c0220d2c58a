"""A checkpoint needs the plugin it comes from, and nothing else: no other plugin, no network, no training code."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

import flash
from flash.tabular import TabularClassificationData, TabularClassifier

pytestmark = pytest.mark.env

ROWS: list[dict[str, Any]] = [
    {"age": 20 + i, "city": ("Rome", "Oslo", "Lima")[i % 3], "bought": "yes" if i > 20 else "no"} for i in range(40)
]
NEW_ROWS: list[dict[str, Any]] = [{"age": age, "city": city} for age in (21, 40, 58) for city in ("Oslo", "Paris")]

# An audit hook cannot be taken back: whatever the program imports, it reaches nobody.
OFFLINE = """
import json, sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise OSError("this program has no network")

sys.addaudithook(refuse)
"""
LOAD = """
import flash
task = flash.Task.load_from_checkpoint(sys.argv[1])
"""
PREDICT = """
rows = json.loads(sys.argv[2])
probabilities = [list(row) for row in task.predict(rows, output="probabilities")]
print(json.dumps([type(task).__name__, task.predict(rows), probabilities]))
"""


@pytest.fixture(scope="module")
def trained() -> TabularClassifier:
    torch.manual_seed(0)
    data = TabularClassificationData.from_lists(
        target_fields="bought", train_list=ROWS, batch_size=20, seed=0, verbose=False
    )
    task = TabularClassifier.from_data(data, backbone="mlp", learning_rate=0.01)
    silent: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = flash.Trainer(max_epochs=15, accelerator="cpu", enable_model_summary=False, **silent)
    trainer.finetune(task, data, strategy="no_freeze")
    return task


@pytest.fixture(scope="module")
def checkpoint(trained: TabularClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "task.ckpt"
    trained.trainer.save_checkpoint(path)
    return path


def test_another_process_that_has_the_plugin_predicts_the_same_from_raw_rows_without_a_network(
    trained: TabularClassifier, checkpoint: Path, python_of_both: Path, run: Any
) -> None:
    done = run(python_of_both, "-c", OFFLINE + LOAD + PREDICT, checkpoint, json.dumps(NEW_ROWS))
    name, labels, probabilities = json.loads(done.stdout.splitlines()[-1])
    assert name == "TabularClassifier"
    assert labels == trained.predict(NEW_ROWS)
    assert set(labels) == {"yes", "no"}
    expected = [list(row) for row in trained.predict(NEW_ROWS, output="probabilities")]
    torch.testing.assert_close(torch.tensor(probabilities), torch.tensor(expected))


def test_a_process_without_the_plugin_says_what_to_install(checkpoint: Path, python_of_core: Path, run: Any) -> None:
    done = run(python_of_core, "-c", OFFLINE + LOAD, checkpoint, check=False)
    message = done.stderr.splitlines()[-1]
    assert "CheckpointError" in message
    assert "pip install flash-tabular" in message


def test_a_checkpoint_names_the_plugin_and_its_version(checkpoint: Path) -> None:
    stored = torch.load(checkpoint, weights_only=True)["flash"]["task"]
    assert (stored["dist"], stored["version"]) == ("flash-tabular", version("flash-tabular"))

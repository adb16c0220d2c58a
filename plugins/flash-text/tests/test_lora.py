"""The strategy lora: adapters alone are trained and stored, and become part of the weights when merged."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint
from safetensors.torch import load_file, save_file
from torch import nn

import flash
from flash.errors import CheckpointError, ConfigurationError, FinetuningError
from flash.text import SummarizationTask, TextClassificationData, TextClassifier, TranslationData, TranslationTask

pytest.importorskip("peft", reason="the extra lora is not installed")

Trainers = Callable[..., flash.Trainer]
Reviews = Callable[..., tuple[list[str], list[str]]]


@pytest.fixture
def data(reviews: Reviews) -> Callable[..., Any]:
    """Makes reviews to classify, and the same texts to be written again."""

    def make(kind: str = "bert") -> Any:
        texts, targets = reviews(48)
        options: dict[str, Any] = {"batch_size": 8, "seed": 0}
        if kind in ("bert", "roberta"):
            return TextClassificationData.from_lists(texts, targets, **options)
        return TranslationData.from_lists(texts, texts, **options)

    return make


@pytest.fixture
def task_of(checkpoints: dict[str, Path]) -> Callable[..., Any]:
    """Makes a classifier or a translator on a tiny checkpoint."""

    def make(kind: str, data: Any, **options: Any) -> Any:
        options = {"backbone": checkpoints[kind], "learning_rate": 0.01, **options}
        if kind in ("bert", "roberta"):
            return TextClassifier.from_data(data, **options)
        return TranslationTask.from_data(data, metrics=[], max_new_tokens=8, **options)

    return make


KINDS = ["bert", "roberta", "t5", "bart"]


class Optimized(Callback):
    """Notes what the optimizer trains."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        names = {id(parameter): name for name, parameter in pl_module.named_parameters()}
        self.names = {names[id(each)] for group in trainer.optimizers[0].param_groups for each in group["params"]}


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_and_the_head_alone_are_trained(kind: str, data: Any, task_of: Any, trainer: Trainers) -> None:
    dm, seen = data(kind), Optimized()
    task = task_of(kind, dm)
    before = {name: weight.clone() for name, weight in task.network.state_dict().items()}
    trainer(callbacks=[seen]).finetune(task, dm, strategy="lora")
    adapters = {name for name in seen.names if "lora_" in name}
    assert adapters
    assert all(name.startswith("head.") for name in seen.names - adapters)
    after = task.network.state_dict()
    for name, weight in after.items():
        if "lora_" not in name:
            assert torch.equal(weight, before[name.replace(".base_layer", "")])
    assert all(weight.abs().sum() > 0 for name, weight in after.items() if "lora_B" in name)


def test_adapters_of_a_classifier_learn_as_fast_as_its_head(data: Any, task_of: Any, trainer: Trainers) -> None:
    class Rates(Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            self.rates = [group["lr"] for group in trainer.optimizers[0].param_groups]

    dm, seen = data(), Rates()
    trainer(callbacks=[seen]).finetune(task_of("bert", dm, learning_rate=None), dm, strategy="lora")
    assert seen.rates == [1e-3]


@pytest.mark.train
def test_adapters_learn(data: Any, task_of: Any, trainer: Trainers) -> None:
    dm = data("t5")
    losses = []
    for epochs in (1, 6):
        run = trainer(max_epochs=epochs)
        run.finetune(task_of("t5", dm, learning_rate=0.05), dm, strategy=("lora", {"r": 16, "alpha": 32}))
        losses.append(float(run.callback_metrics["train_loss"]))
    assert losses[1] < losses[0] - 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_holds_adapters_alone_and_loads(kind: str, data: Any, task_of: Any, trainer: Trainers) -> None:
    dm = data(kind)
    task = task_of(kind, dm)
    run = trainer()
    run.finetune(task, dm, strategy="lora")
    run.save_checkpoint("lora.ckpt")
    stored = torch.load("lora.ckpt", weights_only=True)["state_dict"]
    network = f"{task.network_attribute}."
    assert all("lora_" in name for name in stored if name.startswith(network))
    again = flash.Task.load_from_checkpoint("lora.ckpt")
    texts = ["a great film", "boring", ""]
    for one, other in zip(again.predict(texts, output="raw"), task.predict(texts, output="raw"), strict=True):
        torch.testing.assert_close(one, other)
    for name, weight in task.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])


def test_a_checkpoint_of_adapters_needs_the_network_that_they_belong_to(
    data: Any, task_of: Any, trainer: Trainers, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(checkpoints["bert"], tmp_path / "bert")
    dm = data()
    task = task_of("bert", dm, backbone=folder)
    run = trainer()
    run.finetune(task, dm, strategy="lora")
    run.save_checkpoint("lora.ckpt")
    weights = load_file(folder / "model.safetensors")
    name = next(iter(weights))
    save_file({**weights, name: weights[name] + 1}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="are others now. To save a self-contained checkpoint"):
        TextClassifier.load_from_checkpoint("lora.ckpt")
    shutil.rmtree(folder)
    with pytest.raises(CheckpointError, match="since this checkpoint only holds adapters for them, but they cannot be"):
        TextClassifier.load_from_checkpoint("lora.ckpt")


@pytest.mark.parametrize("how", ["random", "trained before", "asked for"])
def test_a_checkpoint_holds_all_weights_where_the_network_could_not_be_had_again(
    how: str, data: Any, task_of: Any, trainer: Trainers
) -> None:
    dm = data()
    # Not the seed that the weights in the folder were drawn with.
    torch.manual_seed(1)
    task = task_of("bert", dm, pretrained=how != "random")
    if how == "trained before":
        trainer().fit(task, dm)
    run = trainer()
    run.finetune(task, dm, strategy=("lora", {"whole_checkpoints": how == "asked for"}))
    run.save_checkpoint("lora.ckpt")
    again = TextClassifier.load_from_checkpoint("lora.ckpt", backbone="nobody/has-this")
    (one,), (other,) = (each.predict(["a great film"], output="logits") for each in (again, task))
    assert one == pytest.approx(other, rel=1e-4)


@pytest.mark.train
def test_a_resumed_run_ends_as_the_uninterrupted_one(data: Any, task_of: Any, trainer: Trainers) -> None:
    def run(resume: str | None = None) -> Any:
        torch.manual_seed(0)
        dm = data()
        task = task_of("bert", dm)
        keep = ModelCheckpoint(dirpath="kept", filename="{epoch}", save_top_k=-1)
        made = trainer(max_epochs=4, enable_checkpointing=True, callbacks=[] if resume else [keep])
        made.finetune(task, dm, strategy="lora", ckpt_path=resume)
        return task

    whole, resumed = run(), run("kept/epoch=1.ckpt")
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], weight)


@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_merged_adapters_are_part_of_the_weights_and_need_neither_peft_nor_folder(
    kind: str,
    data: Any,
    task_of: Any,
    trainer: Trainers,
    checkpoints: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = shutil.copytree(checkpoints[kind], tmp_path / kind)
    dm = data(kind)
    task = task_of(kind, dm, backbone=folder)
    names = set(task.state_dict())
    run = trainer()
    run.finetune(task, dm, strategy="lora")
    texts = ["a great film", "boring"]
    before = task.predict(texts)
    task.merge_adapters()
    assert set(task.state_dict()) == names
    assert task.predict(texts) == before
    run.save_checkpoint("merged.ckpt")
    shutil.rmtree(folder)
    monkeypatch.setitem(sys.modules, "peft", None)
    assert flash.Task.load_from_checkpoint("merged.ckpt").predict(texts) == before


def test_a_second_run_goes_on_with_the_adapters_or_says_that_they_differ(
    data: Any, task_of: Any, trainer: Trainers
) -> None:
    dm = data()
    task = task_of("bert", dm)
    trainer().finetune(task, dm, strategy="lora")
    trainer().finetune(task, dm, strategy="lora")
    assert not any("base_layer.base_layer" in name for name in task.state_dict())
    with pytest.raises(FinetuningError, match="Expected the settings of the adapters that the task has"):
        trainer().finetune(task, dm, strategy=("lora", {"r": 2}))
    task.merge_adapters()
    trainer().finetune(task, dm, strategy=("lora", {"r": 2}))
    assert task.adapters["r"] == 2


def test_another_strategy_can_follow(data: Any, task_of: Any, trainer: Trainers) -> None:
    dm = data()
    task = task_of("bert", dm)
    trainer().finetune(task, dm, strategy="lora")
    task.merge_adapters()
    seen = Optimized()
    trainer(callbacks=[seen]).finetune(task, dm, strategy="no_freeze")
    assert seen.names == {name for name, _ in task.named_parameters()}


def test_a_run_is_resumed_with_its_own_strategy(data: Any, task_of: Any, trainer: Trainers) -> None:
    dm = data()
    run = trainer()
    run.finetune(task_of("bert", dm), dm, strategy="lora")
    run.save_checkpoint("lora.ckpt")
    with pytest.raises(FinetuningError, match="Resume with the strategy that the run was started with."):
        trainer(max_epochs=2).finetune(task_of("bert", dm), dm, strategy="no_freeze", ckpt_path="lora.ckpt")


def test_layers_can_be_named(data: Any, task_of: Any, trainer: Trainers) -> None:
    dm = data()
    task = task_of("bert", dm)
    trainer().finetune(task, dm, strategy=("lora", {"target_modules": ["key"]}))
    adapted = {name.split(".lora_")[0].rpartition(".")[2] for name in task.state_dict() if ".lora_" in name}
    assert adapted == {"key"}
    with pytest.raises(FinetuningError, match="Expected layers to add adapters to, but the network has none of"):
        trainer().finetune(task_of("bert", dm), dm, strategy=("lora", {"target_modules": ["nowhere"]}))


def test_without_peft_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, data: Any, task_of: Any) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'flash-text\[lora\]'."):
        flash.Trainer(logger=False).finetune(task_of("bert", data()), data(), strategy="lora")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"r": 0}, "Expected r to be a whole number of at least 1, but got 0."),
        ({"dropout": 1.0}, "Expected dropout to be from 0 to below 1, but got 1.0."),
        ({"alpha": -1}, "Expected alpha to be a number above 0, but got -1."),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], sentence: str, trainer: Trainers) -> None:
    with pytest.raises(FinetuningError, match=sentence):
        trainer().finetune(flash.Task(nn.Linear(1, 1)), None, strategy=("lora", settings))


def test_other_tasks_are_refused(trainer: Trainers) -> None:
    dm = flash.DataModule.from_tensors(torch.randn(4, 1), torch.randn(4, 1))
    task = flash.Task(nn.Linear(1, 1), nn.functional.mse_loss)
    with pytest.raises(FinetuningError, match="Expected a task of flash-text, whose network supports adapters"):
        trainer().finetune(task, dm, strategy="lora")


def test_there_must_be_adapters_to_merge(checkpoints: dict[str, Path]) -> None:
    with pytest.raises(FinetuningError, match="Expected a task with adapters to merge, but it has none."):
        SummarizationTask(checkpoints["t5"]).merge_adapters()


def test_the_strategy_is_listed() -> None:
    assert "lora" in TextClassifier.available_finetuning_strategies()


def as_0_1_0_wrote_it(path: str) -> None:
    """Put the adapters of a checkpoint where flash-text 0.1.0 had them: among the arguments of the task."""
    stored = torch.load(path, weights_only=True)
    (change,) = stored["flash"].pop("structure")
    stored["flash"]["format"] = 1
    stored["flash"]["task"]["init"]["adapters"] = change["arguments"]
    torch.save(stored, path)


@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_a_checkpoint_of_0_1_0_loads_and_is_written_anew(kind: str, data: Any, task_of: Any, trainer: Trainers) -> None:
    dm = data(kind)
    task, run = task_of(kind, dm), trainer(max_epochs=1)
    run.finetune(task, dm, strategy=("lora", {"r": 4}))
    run.save_checkpoint("old.ckpt")
    as_0_1_0_wrote_it("old.ckpt")
    loaded: Any = flash.Task.load_from_checkpoint("old.ckpt")
    assert loaded.structure_changes == task.structure_changes
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in task.state_dict().items())
    stored: dict[str, Any] = {"state_dict": loaded.state_dict()}
    loaded.on_save_checkpoint(stored)
    assert stored["flash"]["task"]["init"].get("adapters") is None
    assert [change["arguments"]["r"] for change in stored["flash"]["structure"]] == [4]


@pytest.mark.train
def test_a_run_of_0_1_0_is_resumed(data: Any, task_of: Any, trainer: Trainers) -> None:
    dm = data()
    run = trainer(max_epochs=1)
    run.finetune(task_of("bert", dm), dm, strategy=("lora", {"r": 4}))
    run.save_checkpoint("old.ckpt")
    as_0_1_0_wrote_it("old.ckpt")
    task = task_of("bert", dm)
    trainer(max_epochs=2).finetune(task, dm, strategy=("lora", {"r": 4}), ckpt_path="old.ckpt")
    assert len(task.structure_changes) == 1

"""Changes of structure: checkpoints record them, and loading and resuming repeat them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import flash
from flash.core.finetuning import FlashBaseFinetuning
from flash.core.structure import changes_structure
from flash.errors import CheckpointError, ConfigurationError, UnsafeCheckpointError

THIS = f"{__name__}:add_adapters"


class Net(flash.Task):
    def __init__(self, learning_rate: float = 0.1) -> None:
        super().__init__(loss_fn=nn.functional.cross_entropy, optimizer="Adam", learning_rate=learning_rate)
        self.backbone = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
        self.head = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.backbone(x))


class Adapter(nn.Module):
    def __init__(self, inner: nn.Module, width: int) -> None:
        super().__init__()
        self.inner = inner
        self.down, self.up = nn.Linear(4, width), nn.Linear(width, 4)

    def forward(self, x: Any) -> Any:
        h = self.inner(x)
        return h + self.up(self.down(h))


@changes_structure
def add_adapters(task: Any, width: int) -> None:
    for name, child in list(task.backbone.named_children()):
        if isinstance(child, nn.Linear):
            setattr(task.backbone, name, Adapter(child, width))


def unmarked(task: Any) -> None:
    raise AssertionError("A file called a function that is not marked.")


class Adapters(FlashBaseFinetuning):
    """A strategy of a third party that puts adapters into the backbone."""

    def freeze_before_training(self, pl_module: Any) -> None:
        pl_module.change_structure(add_adapters, width=2)
        super().freeze_before_training(pl_module)
        for child in pl_module.backbone:
            if isinstance(child, Adapter):
                self.unfreeze([child.down, child.up])


def trained(datamodule: Any, options: dict[str, Any], epochs: int = 1, **kwargs: Any) -> tuple[Any, Any]:
    torch.manual_seed(3)
    task = Net()
    trainer = flash.Trainer(max_epochs=epochs, **options)
    trainer.finetune(task, datamodule, strategy=Adapters(), **kwargs)
    return task, trainer


@pytest.fixture
def checkpoint(datamodule: Any, trainer_options: Any, tmp_path: Path) -> tuple[Any, Path]:
    task, trainer = trained(datamodule, trainer_options)
    trainer.save_checkpoint(tmp_path / "net.ckpt")
    return task, tmp_path / "net.ckpt"


def edited(path: Path, **entries: Any) -> Path:
    stored = torch.load(path, weights_only=True)
    stored["flash"]["structure"][0] |= entries
    torch.save(stored, path)
    return path


def test_a_task_with_adapters_of_a_third_party_loads_with_them(checkpoint: tuple[Any, Path]) -> None:
    task, path = checkpoint
    loaded = Net.load_from_checkpoint(path)
    assert loaded.structure_changes == task.structure_changes
    assert [change["arguments"] for change in loaded.structure_changes] == [{"width": 2}]
    x = torch.randn(5, 4)
    assert torch.equal(loaded(x), task(x))


def test_adapters_train_and_what_they_adapt_rests(datamodule: Any, trainer_options: Any) -> None:
    torch.manual_seed(3)
    before = copy.deepcopy(Net().backbone[0].state_dict())
    task, _ = trained(datamodule, trainer_options)
    assert all(torch.equal(before[name], value) for name, value in task.backbone[0].inner.state_dict().items())
    assert task.backbone[0].up.weight.requires_grad
    assert not task.backbone[0].inner.weight.requires_grad


@pytest.mark.train
def test_a_resumed_run_with_adapters_equals_the_uninterrupted_one(
    datamodule: Any, trainer_options: Any, tmp_path: Path
) -> None:
    whole, _ = trained(datamodule, trainer_options, epochs=2)
    _, trainer = trained(datamodule, trainer_options)
    trainer.save_checkpoint(tmp_path / "first.ckpt")
    resumed, _ = trained(datamodule, trainer_options, epochs=2, ckpt_path=tmp_path / "first.ckpt")
    after = resumed.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in whole.state_dict().items())


def test_a_run_without_the_strategy_gets_the_structure_of_the_checkpoint(
    checkpoint: tuple[Any, Path], datamodule: Any, trainer_options: Any
) -> None:
    task = Net()
    flash.Trainer(**trainer_options).validate(task, datamodule=datamodule, ckpt_path=checkpoint[1])
    assert isinstance(task.backbone[0], Adapter)


def test_a_change_is_made_once(datamodule: Any, trainer_options: Any) -> None:
    task, _ = trained(datamodule, trainer_options)
    flash.Trainer(max_epochs=1, **trainer_options).finetune(task, datamodule, strategy=Adapters())
    assert isinstance(task.backbone[0].inner, nn.Linear)
    assert len(task.structure_changes) == 1
    assert task.backbone[0].up.weight.requires_grad


def test_a_change_that_was_undone_can_be_forgotten() -> None:
    task = Net()
    task.change_structure(THIS, width=3)
    task.forget_structure(THIS)
    assert task.structure_changes == []


def test_a_task_with_other_changes_cannot_resume(
    checkpoint: tuple[Any, Path], datamodule: Any, trainer_options: Any
) -> None:
    task = Net()
    task.change_structure(add_adapters, width=3)
    with pytest.raises(CheckpointError, match=r"Expected a task whose structure was changed as in the checkpoint"):
        flash.Trainer(**trainer_options).validate(task, datamodule=datamodule, ckpt_path=checkpoint[1])


def test_a_plugin_that_is_missing_is_named(checkpoint: tuple[Any, Path]) -> None:
    path = edited(checkpoint[1], target="acme_adapters:add", dist="acme-adapters", version="1.2")
    with pytest.raises(CheckpointError, match=r"from acme-adapters 1.2, which is not installed: pip install acme-ad"):
        Net.load_from_checkpoint(path)


@pytest.mark.parametrize("target", [f"{__name__}:unmarked", "os:system", "flash.core.trainer:tempfile.mkdtemp"])
def test_a_file_cannot_call_a_function_that_does_not_say_so(checkpoint: tuple[Any, Path], target: str) -> None:
    path = edited(checkpoint[1], target=target, arguments={})
    with pytest.raises(UnsafeCheckpointError, match="which is no function that changes structure"):
        Net.load_from_checkpoint(path)


def test_a_file_cannot_import_a_module(checkpoint: tuple[Any, Path]) -> None:
    with pytest.raises(CheckpointError, match="Import the module 'antigravity'"):
        Net.load_from_checkpoint(edited(checkpoint[1], target="antigravity:fly"))


def test_damaged_changes_are_told(checkpoint: tuple[Any, Path]) -> None:
    with pytest.raises(CheckpointError, match="'structure' is not what Flash writes"):
        Net.load_from_checkpoint(edited(checkpoint[1], arguments=[1]))


def test_a_function_that_is_not_marked_is_an_error_that_says_how() -> None:
    with pytest.raises(ConfigurationError, match=r"is not marked as one. Decorate it with @flash.core.structure"):
        Net().change_structure(unmarked)


@pytest.mark.parametrize("target", ["gone:add", lambda task: None])
def test_a_function_that_cannot_be_found_again_is_an_error(target: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected 'module:function', of Flash, of an installed plugin"):
        Net().change_structure(target)


def test_an_argument_that_a_checkpoint_cannot_hold_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"Expected arguments of '.*add_adapters' that a checkpoint can hold"):
        Net().change_structure(add_adapters, width=nn.Linear(1, 1))


def test_files_without_changes_are_still_for_older_versions(tmp_path: Path) -> None:
    stored: dict[str, Any] = {"state_dict": {}}
    Net().on_save_checkpoint(stored)
    assert stored["flash"]["format"] == 1
    task = Net()
    task.change_structure(add_adapters, width=1)
    task.on_save_checkpoint(stored)
    assert stored["flash"]["format"] == 2

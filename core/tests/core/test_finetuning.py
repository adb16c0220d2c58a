"""Finetuning by state: what changed, bit for bit, and who is in the optimizer at which learning rate."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BackboneFinetuning, BaseFinetuning, Callback, EarlyStopping, ModelCheckpoint
from torch import nn

import flash
from flash.core.finetuning import (
    FlashBaseFinetuning,
    Freeze,
    FreezeUnfreeze,
    NoFreeze,
    UnfreezeMilestones,
    resolve_strategy,
)
from flash.errors import FinetuningError, UnknownNameError
from flash.plugins import isolated_plugins

STRATEGIES = [
    "no_freeze",
    "freeze",
    ("freeze_unfreeze", 2),
    ("unfreeze_milestones", ((1, 3), 1)),
]


class Recorder(Callback):
    """Notes, at the end of each epoch, the state that strategies change."""

    def __init__(self) -> None:
        self.groups: list[list[tuple[int, float]]] = []
        self.trainable: list[set[str]] = []
        self.backbone_training: list[bool] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        (optimizer,) = trainer.optimizers
        self.groups.append([(len(group["params"]), group["lr"]) for group in optimizer.param_groups])
        self.trainable.append({name for name, p in pl_module.named_parameters() if p.requires_grad})
        self.backbone_training.append(pl_module.backbone.training)


def run(task: Any, dm: Any, strategy: Any, options: dict[str, Any], epochs: int, **kwargs: Any) -> Recorder:
    recorder = Recorder()
    options = {**options, "callbacks": [recorder, *options.get("callbacks", [])]}
    flash.Trainer(max_epochs=epochs, **options).finetune(task, dm, strategy=strategy, **kwargs)
    return recorder


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.train
def test_freeze_leaves_the_backbone_bit_identical_with_its_batch_norm_statistics(
    task_class: Any, datamodule: Any, trainer_options: Any
) -> None:
    task = task_class()
    before = copy.deepcopy(task.state_dict())
    recorder = run(task, datamodule, "freeze", trainer_options, epochs=2)
    assert changed(before, task.state_dict()) == {"head.weight", "head.bias"}
    assert recorder.backbone_training == [False, False]
    assert recorder.groups == [[(2, 0.1)]] * 2


def test_train_bn_lets_batch_norm_inside_the_backbone_learn(
    task_class: Any, datamodule: Any, trainer_options: Any
) -> None:
    task = task_class()
    before = copy.deepcopy(task.state_dict())
    run(task, datamodule, Freeze(train_bn=True), trainer_options, epochs=1)
    assert changed(before, task.state_dict()) == {
        "head.weight",
        "head.bias",
        "backbone.norm.weight",
        "backbone.norm.bias",
        "backbone.norm.running_mean",
        "backbone.norm.running_var",
        "backbone.norm.num_batches_tracked",
    }


def test_no_freeze_trains_everything(task_class: Any, datamodule: Any, trainer_options: Any) -> None:
    task = task_class()
    before = copy.deepcopy(task.state_dict())
    run(task, datamodule, NoFreeze(), trainer_options, epochs=1)
    assert changed(before, task.state_dict()) == set(before)


@pytest.mark.train
def test_freeze_unfreeze_thaws_at_its_epoch_at_a_tenth_of_the_learning_rate(
    task_class: Any, datamodule: Any, trainer_options: Any
) -> None:
    recorder = run(task_class(), datamodule, ("freeze_unfreeze", 2), trainer_options, epochs=4)
    assert recorder.groups[:2] == [[(2, 0.1)]] * 2
    assert recorder.groups[2:] == [[(2, 0.1), (5, pytest.approx(0.01))]] * 2
    assert recorder.backbone_training == [False, False, True, True]


@pytest.mark.train
def test_milestones_thaw_the_last_layers_first_and_count_only_layers_with_parameters(
    task_class: Any, datamodule: Any, trainer_options: Any
) -> None:
    recorder = run(task_class(), datamodule, UnfreezeMilestones((1, 2), num_layers=2), trainer_options, epochs=3)
    head = {"head.weight", "head.bias"}
    late = {"backbone.second.weight", "backbone.second.bias", "backbone.norm.weight", "backbone.norm.bias"}
    assert recorder.trainable[0] == head
    assert recorder.trainable[1] == head | late
    assert recorder.trainable[2] == head | late | {"backbone.first.weight"}
    assert [len(groups) for groups in recorder.groups] == [1, 2, 3]


@pytest.mark.train
def test_more_layers_than_there_are_thaw_all_at_the_first_milestone(
    task_class: Any, datamodule: Any, trainer_options: Any, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = run(task_class(), datamodule, ("unfreeze_milestones", ((1, 2), 99)), trainer_options, epochs=3)
    assert [len(names) for names in recorder.trainable] == [2, 7, 7]
    assert "has 3 layers with parameters: all of them are unfrozen at the first milestone" in caplog.text


def test_the_defaults_are_those_of_the_documentation() -> None:
    assert FreezeUnfreeze().unfreeze_epoch == 10
    assert UnfreezeMilestones().unfreeze_milestones == (5, 10)
    assert UnfreezeMilestones().num_layers == 5


@pytest.mark.train
@pytest.mark.parametrize("scheduler", [None, ("StepLR", {"step_size": 1, "gamma": 0.5}), "OneCycleLR"])
def test_thawed_parameters_follow_the_learning_rate_schedule(
    task_class: Any, datamodule: Any, trainer_options: Any, scheduler: Any
) -> None:
    recorder = run(task_class(lr_scheduler=scheduler), datamodule, ("freeze_unfreeze", 1), trainer_options, epochs=4)
    for groups in recorder.groups[1:]:
        (_, head), (_, backbone) = groups
        assert backbone == pytest.approx(head / 10, rel=1e-3)


@pytest.mark.train
@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_resumed_run_equals_the_uninterrupted_one_before_at_and_after_a_thaw(
    task_class: Any,
    datamodule: Any,
    trainer_options: Any,
    strategy: Any,
    stop: int,
    optimizer: str,
    tmp_path: Path,
) -> None:
    def make() -> Any:
        torch.manual_seed(3)
        scheduler = ("StepLR", {"step_size": 2, "gamma": 0.5})
        return task_class(learning_rate=0.05, optimizer=optimizer, lr_scheduler=scheduler)

    options = {**trainer_options, "enable_checkpointing": True}
    saver = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    whole = make()
    expected = run(whole, datamodule, strategy, {**options, "callbacks": [saver]}, epochs=5)

    resumed = make()
    checkpoint = tmp_path / f"epoch={stop - 1}.ckpt"
    torch.rand(7)  # The random numbers are elsewhere in the new process.
    found = run(resumed, datamodule, strategy, trainer_options, epochs=5, ckpt_path=checkpoint)

    assert found.groups == expected.groups[stop:]
    assert found.trainable == expected.trainable[stop:]
    assert changed(whole.state_dict(), resumed.state_dict()) == set()


@pytest.mark.train
def test_a_run_resumed_in_the_middle_of_the_epoch_of_a_thaw_equals_the_uninterrupted_one(
    task_class: Any, datamodule: Any, trainer_options: Any, tmp_path: Path
) -> None:
    def make() -> Any:
        torch.manual_seed(3)
        return task_class(learning_rate=0.05)

    options = {**trainer_options, "enable_checkpointing": True}
    saver = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=1)
    whole = make()
    run(whole, datamodule, ("freeze_unfreeze", 2), {**options, "callbacks": [saver]}, epochs=4)
    resumed = make()
    run(resumed, datamodule, ("freeze_unfreeze", 2), trainer_options, epochs=4, ckpt_path=tmp_path / "step=12.ckpt")
    assert changed(whole.state_dict(), resumed.state_dict()) == set()


class ThawSecond(BaseFinetuning):
    """A strategy as Lightning's documentation writes them."""

    def freeze_before_training(self, pl_module: Any) -> None:
        self.freeze(pl_module.backbone, train_bn=False)

    def finetune_function(self, pl_module: Any, epoch: int, optimizer: Any) -> None:
        if epoch == 2:
            self.unfreeze_and_add_param_group(pl_module.backbone.second, optimizer)


@pytest.mark.train
@pytest.mark.parametrize("make_strategy", [ThawSecond, lambda: BackboneFinetuning(2, verbose=False)])
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_lightnings_own_strategies_can_be_resumed_too(
    task_class: Any, datamodule: Any, trainer_options: Any, make_strategy: Any, stop: int, tmp_path: Path
) -> None:
    def make() -> Any:
        torch.manual_seed(3)
        return task_class(learning_rate=0.05)

    options = {**trainer_options, "enable_checkpointing": True}
    saver = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    whole = make()
    expected = run(whole, datamodule, make_strategy(), {**options, "callbacks": [saver]}, epochs=4)
    resumed = make()
    path = tmp_path / f"epoch={stop - 1}.ckpt"
    found = run(resumed, datamodule, make_strategy(), trainer_options, epochs=4, ckpt_path=path)
    assert found.trainable == expected.trainable[stop:]
    assert changed(whole.state_dict(), resumed.state_dict()) == set()


def test_finetuning_twice_starts_clean(task_class: Any, datamodule: Any, trainer_options: Any) -> None:
    task = task_class()
    trainer = flash.Trainer(max_epochs=1, **trainer_options)
    trainer.finetune(task, datamodule, strategy="freeze")
    assert not any(p.requires_grad for p in task.backbone.parameters())
    before = copy.deepcopy(task.state_dict())
    flash.Trainer(max_epochs=1, **trainer_options).finetune(task, datamodule, strategy="no_freeze")
    assert changed(before, task.state_dict()) == set(before)
    assert all(module.training for module in task.backbone.modules())


def test_fit_after_finetune_trains_everything(task_class: Any, datamodule: Any, trainer_options: Any) -> None:
    task = task_class()
    flash.Trainer(max_epochs=1, **trainer_options).finetune(task, datamodule, strategy="freeze")
    before = copy.deepcopy(task.state_dict())
    flash.Trainer(max_epochs=1, **trainer_options).fit(task, datamodule)
    assert changed(before, task.state_dict()) == set(before)


def test_what_the_user_froze_stays_frozen(task_class: Any, datamodule: Any, trainer_options: Any) -> None:
    task = task_class()
    task.backbone.first.requires_grad_(False)
    weight = task.backbone.first.weight.clone()
    flash.Trainer(max_epochs=1, **trainer_options).finetune(task, datamodule, strategy="no_freeze")
    assert torch.equal(task.backbone.first.weight, weight)


def test_a_backbone_inside_model_is_found(datamodule: Any, trainer_options: Any, task_class: Any) -> None:
    task: Any = flash.Task(task_class(), loss_fn=nn.functional.cross_entropy, optimizer="SGD", learning_rate=0.1)
    weight = task.model.backbone.first.weight.clone()
    flash.Trainer(max_epochs=1, **trainer_options).finetune(task, datamodule, strategy="freeze")
    assert torch.equal(task.model.backbone.first.weight, weight)


@pytest.mark.parametrize("strategy", ["freeze", "freeze_unfreeze", "unfreeze_milestones"])
def test_a_freezing_strategy_that_finds_nothing_to_freeze_is_an_error(
    datamodule: Any, trainer_options: Any, strategy: str
) -> None:
    task = flash.Task(nn.Linear(4, 2), loss_fn=nn.functional.cross_entropy)
    with pytest.raises(FinetuningError, match=r"Expected a `backbone` with parameters to freeze, but Task has nothing"):
        flash.Trainer(max_epochs=1, **trainer_options).finetune(task, datamodule, strategy=strategy)


def test_no_strategy_is_an_error_that_lists_them(task_class: Any, datamodule: Any, trainer_options: Any) -> None:
    known = r"one of 'freeze', 'freeze_unfreeze', 'no_freeze', 'unfreeze_mile"
    with isolated_plugins(), pytest.raises(FinetuningError, match=known):
        flash.Trainer(**trainer_options).finetune(task_class(), datamodule)


def test_a_misspelt_strategy_is_an_error_that_says_what_is_close(
    task_class: Any, datamodule: Any, trainer_options: Any
) -> None:
    with pytest.raises(UnknownNameError, match="freeze"):
        flash.Trainer(**trainer_options).finetune(task_class(), datamodule, strategy="freese")


@pytest.mark.parametrize("epoch", [0, -1, True, 1.5, "3"])
def test_an_unfreeze_epoch_that_is_no_positive_whole_number_is_an_error(epoch: Any) -> None:
    with pytest.raises(FinetuningError, match="Expected unfreeze_epoch to be a whole number of at least 1"):
        FreezeUnfreeze(epoch)


@pytest.mark.parametrize("milestones", [(1, 1), (3, 1), (0, 2), (1,), (1, 2, 3), 5, (1.0, 2), (True, 2)])
def test_milestones_that_do_not_increase_are_an_error(milestones: Any) -> None:
    with pytest.raises(FinetuningError, match="the second after the first"):
        UnfreezeMilestones(milestones)


@pytest.mark.parametrize("layers", [0, -1, True])
def test_a_number_of_layers_below_one_is_an_error(layers: Any) -> None:
    with pytest.raises(FinetuningError, match="Expected num_layers to be a whole number of at least 1"):
        UnfreezeMilestones((1, 2), layers)


class SeedStrategy(FlashBaseFinetuning):
    """As the old documentation writes it, with Lightning 1's signature and argument name."""

    def __init__(self, unfreeze_at_epoch: int = 5, train_bn: bool = True) -> None:
        super().__init__("feature_extractor", train_bn)
        self._unfreeze_at_epoch = unfreeze_at_epoch

    def finetune_function(self, pl_module: Any, current_epoch: int, optimizer: Any, opt_idx: int) -> None:
        if current_epoch == self._unfreeze_at_epoch:
            self.unfreeze_and_add_param_group(module=pl_module.feature_extractor, optimizer=optimizer, train_bn=True)


@pytest.mark.train
def test_a_custom_strategy_of_the_old_documentation_works(datamodule: Any, trainer_options: Any) -> None:
    class Extractor(flash.Task):
        def __init__(self) -> None:
            super().__init__(loss_fn=nn.functional.cross_entropy, optimizer="SGD", learning_rate=0.1)
            self.feature_extractor = nn.Linear(4, 4)
            self.head = nn.Linear(4, 2)
            self.backbone = self.feature_extractor

        def forward(self, x: Any) -> Any:
            return self.head(self.feature_extractor(x))

    recorder = run(Extractor(), datamodule, SeedStrategy(1), trainer_options, epochs=2)
    assert recorder.groups == [[(2, 0.1)], [(2, 0.1), (2, pytest.approx(0.01))]]


def test_a_strategy_works_as_a_plain_callback_on_a_plain_lightning_module(
    task_class: Any, datamodule: Any, trainer_options: Any
) -> None:
    class Plain(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.Linear(4, 4)
            self.head = nn.Linear(4, 2)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            x, y = batch
            return nn.functional.cross_entropy(self.head(self.backbone(x)), y)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD([p for p in self.parameters() if p.requires_grad], lr=0.1)

    module = Plain()
    before = copy.deepcopy(module.state_dict())
    pl.Trainer(max_epochs=1, callbacks=[Freeze()], **trainer_options).fit(module, datamodule=datamodule)
    assert changed(before, module.state_dict()) == {"head.weight", "head.bias"}


@pytest.mark.train
def test_an_explicit_learning_rate_for_thawed_modules_is_used(
    task_class: Any, datamodule: Any, trainer_options: Any
) -> None:
    class Own(FlashBaseFinetuning):
        def finetune_function(self, pl_module: Any, epoch: int, optimizer: Any) -> None:
            if epoch == 1:
                self.unfreeze_and_add_param_group(pl_module.backbone.second, optimizer, lr=0.003)

    recorder = run(task_class(), datamodule, Own(), trainer_options, epochs=2)
    assert recorder.groups[1] == [(2, 0.1), (2, 0.003)]


@pytest.mark.parametrize(
    ("strategy", "came"),
    [
        (("freeze_unfreeze", {"epoch": 1}), "{'epoch': 1}"),
        (("freeze", (1, 2, 3, 4)), "(1, 2, 3, 4)"),
        (
            ("freeze", {"train_bm": True}),
            "{'train_bm': True}: got an unexpected keyword argument 'train_bm'. Did you mean",
        ),
    ],
)
def test_arguments_that_a_strategy_does_not_take_are_an_error(strategy: Any, came: str) -> None:
    wanted = f"Expected arguments that the strategy '{strategy[0]}' takes ("
    with pytest.raises(FinetuningError, match=f"{re.escape(wanted)}.*, but got {re.escape(came)}"):
        resolve_strategy(strategy)


class UnfreezeOnPlateau(FlashBaseFinetuning):
    """A strategy of a third party that has to remember: it counts epochs and unfreezes when they are enough."""

    def __init__(self) -> None:
        super().__init__()
        self.state |= {"waited": 0, "seen": []}

    def finetune_function(self, pl_module: Any, epoch: int, optimizer: Any) -> None:
        self.state["waited"] += 1
        self.state["seen"].append(epoch)
        if self.state["waited"] == 3:
            self.unfreeze_and_add_param_group(pl_module.backbone, optimizer)


@pytest.mark.train
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_resumed_run_of_a_strategy_that_remembers_equals_the_uninterrupted_one(
    task_class: Any, datamodule: Any, trainer_options: Any, stop: int, tmp_path: Path
) -> None:
    def make() -> Any:
        torch.manual_seed(3)
        return task_class(learning_rate=0.05)

    options = {**trainer_options, "enable_checkpointing": True}
    saver = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    whole, strategy = make(), UnfreezeOnPlateau()
    expected = run(whole, datamodule, strategy, {**options, "callbacks": [saver]}, epochs=5)
    resumed, again = make(), UnfreezeOnPlateau()
    path = tmp_path / f"epoch={stop - 1}.ckpt"
    found = run(resumed, datamodule, again, trainer_options, epochs=5, ckpt_path=path)
    assert again.state == strategy.state == {"waited": 5, "seen": [0, 1, 2, 3, 4]}
    assert found.trainable == expected.trainable[stop:]
    assert changed(whole.state_dict(), resumed.state_dict()) == set()


@pytest.mark.train
def test_each_run_of_a_strategy_that_remembers_begins_anew(
    task_class: Any, datamodule: Any, trainer_options: Any
) -> None:
    strategy = UnfreezeOnPlateau()
    for _ in range(2):
        run(task_class(), datamodule, strategy, trainer_options, epochs=2)
        assert strategy.state == {"waited": 2, "seen": [0, 1]}


def test_a_callback_of_another_kind_is_an_error_that_says_where_it_goes(
    task_class: Any, datamodule: Any, trainer_options: Any
) -> None:
    known = r"Expected a finetuning strategy, but EarlyStopping is a callback .*Trainer\(callbacks=\[EarlyStopping"
    with pytest.raises(FinetuningError, match=known):
        flash.Trainer(**trainer_options).finetune(task_class(), datamodule, strategy=EarlyStopping("train_loss"))  # type: ignore[arg-type]  # on purpose

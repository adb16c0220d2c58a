"""The moving average of the weights: its numbers, when the task has it, and resumed runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import seed_everything
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from torch import nn

import flash
from flash.core.averaging import AverageWeights
from flash.core.callbacks import KeepBest
from flash.errors import CheckpointError, ConfigurationError

QUIET: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "enable_progress_bar": False,
    "accelerator": "cpu",
    "num_sanity_val_steps": 0,
}
BATCHES = 4


class Normed(flash.Task):
    """A backbone with batch norm, and a head."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(loss_fn=nn.functional.mse_loss, learning_rate=0.05, **kwargs)
        self.backbone = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh())
        self.head = nn.Linear(4, 1)

    def forward(self, x: Any) -> Any:
        return self.head(self.backbone(x))


class Spy(Callback):
    """Keeps the weights after each step, and those that are validated."""

    def __init__(self) -> None:
        self.trained: list[dict[str, torch.Tensor]] = []
        self.validated: list[dict[str, torch.Tensor]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.trained.append(weights_of(pl_module))

    def on_validation_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.validated.append(weights_of(pl_module))


class StopsAt(Callback):
    """Interrupts the training at a batch."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.batch:
            raise RuntimeError("interrupted")


def weights_of(task: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in task.state_dict().items()}


def initial_weights() -> dict[str, torch.Tensor]:
    seed_everything(0, verbose=False)
    return weights_of(Normed())


def make_data() -> flash.DataModule:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(24, 3, generator=generator)
    y = x.sum(1, keepdim=True)
    return flash.DataModule.from_tensors(x[:16], y[:16], x[16:], y[16:], batch_size=16 // BATCHES, seed=0)


def run(
    *callbacks: Any, task: flash.Task | None = None, ckpt_path: Any = None, strategy: Any = "no_freeze", **options: Any
) -> tuple[Any, flash.Trainer]:
    seed_everything(0, verbose=False)
    task = Normed() if task is None else task
    trainer = flash.Trainer(callbacks=list(callbacks), **{**QUIET, "max_epochs": 3, **options})
    trainer.finetune(task, make_data(), strategy=strategy, ckpt_path=ckpt_path)
    return task, trainer


def averaged(steps: list[torch.Tensor], start: torch.Tensor, decay: float) -> torch.Tensor:
    """Average in double precision, by the formula of the docstring."""
    average = start.double()
    for step, value in enumerate(steps, start=1):
        share = min(decay, (1 + step) / (10 + step))
        average = share * average + (1 - share) * value.double()
    return average


def assert_same(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.mark.train
@pytest.mark.parametrize("decay", [0.998, 0.5])
def test_the_task_ends_with_the_average_of_the_weights_and_statistics_after_each_step(decay: float) -> None:
    start = initial_weights()
    spy = Spy()
    task, _ = run(spy, AverageWeights(decay))
    assert len(spy.trained) == 3 * BATCHES
    for name in ("backbone.0.weight", "backbone.1.running_mean", "head.bias"):
        expected = averaged([weights[name] for weights in spy.trained], start[name], decay)
        torch.testing.assert_close(task.state_dict()[name].double(), expected, atol=1e-6, rtol=0)
    assert task.state_dict()["backbone.1.num_batches_tracked"] == 3 * BATCHES


@pytest.mark.train
def test_training_itself_is_that_without_an_average() -> None:
    with_it, without = Spy(), Spy()
    run(with_it, "average_weights")
    run(without)
    for one, other in zip(with_it.trained, without.trained, strict=True):
        assert_same(one, other)


@pytest.mark.train
def test_validations_and_what_keep_best_keeps_are_of_the_average() -> None:
    spy, names = Spy(), ["head.weight", "backbone.1.running_var"]
    keeper = KeepBest("val_loss", mode="max")  # the loss falls, so that the first epoch is kept
    task, _ = run("average_weights", keeper, spy)
    start = initial_weights()
    for epoch, validated in enumerate(spy.validated):
        seen = spy.trained[: BATCHES * (epoch + 1)]
        for name in names:
            expected = averaged([weights[name] for weights in seen], start[name], 0.998)
            torch.testing.assert_close(validated[name].double(), expected, atol=1e-6, rtol=0)
    assert keeper.best_epoch == 0
    assert_same(weights_of(task), spy.validated[0])


@pytest.mark.train
def test_a_validation_within_an_epoch_leaves_the_training_as_it_is() -> None:
    often, once = Spy(), Spy()
    run("average_weights", often, val_check_interval=0.5)
    run("average_weights", once)
    assert len(often.validated) == 2 * len(once.validated)
    assert_same(often.trained[-1], once.trained[-1])
    assert_same(often.validated[-1], once.validated[-1])


@pytest.mark.train
@pytest.mark.parametrize("strategy", ["no_freeze", ("freeze_unfreeze", 1)])
@pytest.mark.parametrize("step", [1, 3, 4, 6, 8, 11])
def test_a_run_that_is_resumed_at_any_step_equals_the_whole_one(step: int, strategy: Any, tmp_path: Path) -> None:
    def train(*keep: Any, ckpt_path: Any = None) -> tuple[Any, Spy, dict[str, Any]]:
        spy, average, best = Spy(), AverageWeights(), KeepBest("val_loss", mode="max")
        options = {"enable_checkpointing": bool(keep), "ckpt_path": ckpt_path}
        task, _ = run(average, best, spy, *keep, strategy=strategy, **options)
        return task, spy, average.state_dict()

    whole, spy, state = train(ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1))
    resumed, again, other = train(ckpt_path=tmp_path / f"step={step}.ckpt")
    assert_same(weights_of(resumed), weights_of(whole))
    assert_same(again.trained[-1], spy.trained[-1])
    assert_same(again.validated[-1], spy.validated[-1])
    assert other["steps"] == state["steps"] == 3 * BATCHES
    assert_same(other["average"], state["average"])
    assert_same(other["trained"], state["trained"])


@pytest.mark.train
def test_a_checkpoint_within_an_epoch_is_the_average_and_the_last_one_is_the_task(tmp_path: Path) -> None:
    spy = Spy()
    steps = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    last = ModelCheckpoint(tmp_path, filename="last")
    task, _ = run("average_weights", spy, steps, last, enable_checkpointing=True)
    start = initial_weights()
    within = Normed.load_from_checkpoint(tmp_path / "step=6.ckpt")
    for name in ("head.weight", "backbone.1.running_mean"):
        expected = averaged([weights[name] for weights in spy.trained[:6]], start[name], 0.998)
        torch.testing.assert_close(within.state_dict()[name].double(), expected, atol=1e-6, rtol=0)
    assert_same(weights_of(Normed.load_from_checkpoint(tmp_path / "last.ckpt")), weights_of(task))


@pytest.mark.train
def test_what_is_frozen_stays_and_what_is_unfrozen_joins_from_its_own_weights() -> None:
    start = initial_weights()
    spy = Spy()
    task, _ = run(spy, "average_weights", strategy=("freeze_unfreeze", 1), max_epochs=2)
    assert_same(
        {name: value for name, value in spy.validated[0].items() if name.startswith("backbone")},
        {name: value for name, value in start.items() if name.startswith("backbone")},
    )
    expected = start["backbone.0.weight"].double()
    for step in range(BATCHES + 1, 2 * BATCHES + 1):
        share = (1 + step) / (10 + step)
        expected = share * expected + (1 - share) * spy.trained[step - 1]["backbone.0.weight"].double()
    torch.testing.assert_close(task.state_dict()["backbone.0.weight"].double(), expected, atol=1e-6, rtol=0)


@pytest.mark.train
def test_batches_without_a_step_of_the_optimizer_do_not_count() -> None:
    average = AverageWeights()
    run(average, accumulate_grad_batches=2)
    assert average.state_dict()["steps"] == 3 * BATCHES // 2


@pytest.mark.train
def test_weights_of_half_precision_are_averaged_in_single_precision() -> None:
    average = AverageWeights()
    task, _ = run(average, precision="bf16-true", max_epochs=1)
    value = average.state_dict()["average"]["head.weight"]
    assert (value.dtype, task.head.weight.dtype) == (torch.float32, torch.bfloat16)
    assert torch.equal(value.bfloat16(), task.head.weight)
    assert not torch.equal(value, task.head.weight.float())


@pytest.mark.train
def test_a_training_that_is_interrupted_leaves_the_average() -> None:
    task, spy, average = Normed(), Spy(), AverageWeights()
    with pytest.raises(RuntimeError, match="interrupted"):
        run(average, spy, StopsAt(6), task=task)
    state = average.state_dict()
    assert torch.equal(task.head.weight, state["average"]["head.weight"])
    assert_same({"weight": state["trained"]["head.weight"]}, {"weight": spy.trained[5]["head.weight"]})


@pytest.mark.train
def test_an_average_begins_where_a_run_without_one_is_resumed(tmp_path: Path) -> None:
    _, trainer = run(max_epochs=1)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    average = AverageWeights()
    run(average, max_epochs=2, ckpt_path=tmp_path / "one.ckpt")
    assert average.state_dict()["steps"] == BATCHES


@pytest.mark.train
def test_the_average_of_another_network_is_refused(tmp_path: Path) -> None:
    _, trainer = run("average_weights", max_epochs=1)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    content = torch.load(tmp_path / "one.ckpt", weights_only=True)
    content["callbacks"]["AverageWeights"]["average"]["head.weight"] = torch.zeros(1, 1)
    torch.save(content, tmp_path / "other.ckpt")
    sentence = r"Expected averaged weights of this task.*head.weight have the shape \(1, 1\) in place of \(1, 4\)"
    with pytest.raises(CheckpointError, match=sentence):
        run("average_weights", max_epochs=2, ckpt_path=tmp_path / "other.ckpt")


@pytest.mark.train
def test_an_average_without_the_trained_weights_is_not_resumed(tmp_path: Path) -> None:
    _, trainer = run("average_weights", max_epochs=1)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    content = torch.load(tmp_path / "one.ckpt", weights_only=True)
    del content["callbacks"]["AverageWeights"]
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(
        CheckpointError, match="Expected the trained weights beside their average in the file to resume"
    ):
        run("average_weights", max_epochs=2, ckpt_path=tmp_path / "other.ckpt")


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(ConfigurationError, match="Expected decay to be at least 0 and below 1, but got"):
        AverageWeights(decay)

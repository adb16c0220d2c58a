"""Tasks that a solver trains give, bit for bit, what Trainer gives."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchmetrics.classification import MulticlassAccuracy

from flash import DataModule, Task, Trainer
from flash.errors import CheckpointError, ConfigurationError
from flash.solver import BaseSolver, TaskSolver

CPU = {"accelerator": "cpu"}


class Classifier(Task):
    """A backbone with batch norm and a head, with dropout, metrics and a schedule."""

    def __init__(self, dropout: float = 0.0, stop_at: int | None = None) -> None:
        super().__init__(
            loss_fn=nn.functional.cross_entropy,
            learning_rate=0.01,
            metrics={"accuracy": MulticlassAccuracy(2), "entropy": nn.functional.cross_entropy},
            lr_scheduler=("StepLR", {"step_size": 1, "gamma": 0.8}),
        )
        self.backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
        self.head = nn.Linear(8, 2)
        self.dropout = dropout
        self.stop_at = stop_at
        self.steps = 0

    def forward(self, x: Any) -> Any:
        return self.head(nn.functional.dropout(self.backbone(x).relu(), self.dropout, self.training))

    def step(self, batch: Any, batch_idx: int) -> Any:
        result = super().step(batch, batch_idx)
        return {**result, "logs": {"largest": result["y_hat"].max()}, "weight": result["y"].sum() + 1.0}

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.steps += 1
        if self.steps == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        self.log("train_twice", 2.0 * batch_idx)
        return super().training_step(batch, batch_idx)


def data() -> DataModule:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(70, 4, generator=generator)
    return DataModule.from_tensors(x, (x[:, 0] > 0).long(), val_split=0.2, seed=0, batch_size=8)


def task(**arguments: Any) -> Classifier:
    torch.manual_seed(0)
    return Classifier(**arguments)


def trainer(epochs: int) -> Trainer:
    return Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def solve(folder: Path, epochs: int, strategy: Any = "no_freeze", **arguments: Any) -> TaskSolver:
    solver = TaskSolver(task(**arguments), data(), strategy, folder, max_epochs=epochs, fabric=CPU)
    solver.run()
    return solver


def weights(trained: Task) -> dict[str, Any]:
    return {name: value.tolist() for name, value in trained.state_dict().items()}


def metrics(solver: TaskSolver) -> list[Any]:
    return [
        {stage: {key: value for key, value in found.items() if key != "duration"} for stage, found in epoch.items()}
        for epoch in solver.history
    ]


STRATEGIES = ["no_freeze", "freeze", ("freeze_unfreeze", 1), ("unfreeze_milestones", ((1, 2), 1))]


@pytest.mark.train
@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_a_solver_trains_exactly_as_trainer_does(tmp_path: Path, strategy: Any) -> None:
    solver = solve(tmp_path, 3, strategy)
    other, run = task(), trainer(3)
    run.finetune(other, data(), strategy=strategy, frozen_features=False)
    assert weights(solver.task) == weights(other)
    last = solver.history[-1]
    for stage in ("train", "val"):
        for name in ("loss", "accuracy", "entropy"):
            assert last[stage][name] == pytest.approx(float(run.callback_metrics[f"{stage}_{name}"]))
    assert last["train"]["twice"] == 6.0


@pytest.mark.train
@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_what_a_solver_wrote_trainer_goes_on_with_and_the_other_way_round(tmp_path: Path, strategy: Any) -> None:
    straight = solve(tmp_path / "straight", 4, strategy)
    solve(tmp_path / "half", 2, strategy)
    by_trainer = task()
    run = trainer(4)
    run.finetune(
        by_trainer, data(), strategy=strategy, ckpt_path=tmp_path / "half" / "checkpoint.th", frozen_features=False
    )
    assert weights(by_trainer) == weights(straight.task)
    assert (run.current_epoch, run.global_step) == (4, straight.trainer_shim.global_step)

    run = trainer(2)
    run.finetune(task(), data(), strategy=strategy, frozen_features=False)
    run.save_checkpoint(tmp_path / "by_trainer.ckpt")
    solver = TaskSolver(task(), data(), strategy, tmp_path / "other", max_epochs=4, fabric=CPU)
    assert solver.restore(tmp_path / "by_trainer.ckpt")
    assert solver.epoch == 3
    solver.run()
    assert weights(solver.task) == weights(straight.task)


def test_a_checkpoint_is_a_task_that_predicts(tmp_path: Path) -> None:
    solver = solve(tmp_path, 1)
    x = torch.randn(5, 4)
    loaded = Classifier.load_from_checkpoint(tmp_path / "checkpoint.th")
    assert torch.equal(torch.stack(loaded.predict(x)), torch.stack(solver.task.predict(x)))


def test_the_task_is_free_for_any_trainer_afterwards(tmp_path: Path) -> None:
    solver = solve(tmp_path, 1)
    trainer(1).fit(solver.task, solver.datamodule)


@pytest.mark.train
def test_a_task_learns(tmp_path: Path) -> None:
    solver = solve(tmp_path, 25)
    assert solver.history[-1]["val"]["accuracy"] > 0.9


@pytest.mark.process
@pytest.mark.parametrize("strategy", ["no_freeze", ("freeze_unfreeze", 1)], ids=str)
@pytest.mark.parametrize("stop_at", [3, 7, 12])
def test_a_task_that_was_stopped_in_the_middle_of_an_epoch_goes_on_exactly(
    tmp_path: Path, in_process: Callable[..., Any], strategy: Any, stop_at: int
) -> None:
    straight = solve(tmp_path / "straight", 3, strategy, dropout=0.3)
    code, _ = in_process(lambda: solve(tmp_path / "run", 3, strategy, dropout=0.3, stop_at=stop_at) and None)
    assert code == 128 + signal.SIGTERM
    torch.rand(7)
    resumed = solve(tmp_path / "run", 3, strategy, dropout=0.3)
    assert weights(resumed.task) == weights(straight.task)
    assert metrics(resumed) == metrics(straight)


def test_a_loop_of_ones_own_replaces_a_step(tmp_path: Path) -> None:
    class Twice(TaskSolver):
        def step(self, batch: Any, index: int) -> None:
            for _ in range(2):
                super().step(batch, index)

    solver = Twice(task(), data(), folder=tmp_path, max_epochs=1, fabric=CPU)
    solver.run()
    assert solver.trainer_shim.global_step == 2 * 7


def test_a_schedule_may_watch_a_metric_or_step_with_each_batch(tmp_path: Path) -> None:
    for scheduler in ("ReduceLROnPlateau", "OneCycleLR"):
        made = Task(nn.Linear(4, 2), nn.functional.cross_entropy, learning_rate=0.1, lr_scheduler=scheduler)
        solver = TaskSolver(made, data(), folder=tmp_path / scheduler, max_epochs=2, fabric=CPU)
        solver.run()
        assert solver.trainer_shim.lr_scheduler_configs[0].scheduler.last_epoch == (
            14 if scheduler == "OneCycleLR" else 2
        )


def test_gradients_are_clipped_and_precision_is_fabrics(tmp_path: Path) -> None:
    solver = TaskSolver(
        task(),
        data(),
        folder=tmp_path,
        max_epochs=1,
        gradient_clip_val=1e-9,
        fabric={**CPU, "precision": "bf16-mixed"},
    )
    before = weights(solver.task)["head.weight"]
    seen = []
    solver.task.head.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    solver.run()
    assert set(seen) == {torch.bfloat16}
    after = weights(solver.task)["head.weight"]
    assert after != before


def test_checkpoints_of_other_programs_are_refused_with_a_reason(tmp_path: Path) -> None:
    BaseSolver(tmp_path).commit()
    solver = TaskSolver(task(), data(), folder=tmp_path, fabric=CPU)
    with pytest.raises(CheckpointError, match="but got one of another solver. Load it"):
        solver.restore()


def test_a_checkpoint_of_trainer_from_the_middle_of_an_epoch_says_who_can_go_on(tmp_path: Path) -> None:
    run = Trainer(max_epochs=1, max_steps=3, accelerator="cpu", logger=False, enable_checkpointing=False)
    run.fit(task(), data())
    run.save_checkpoint(tmp_path / "middle.ckpt")
    solver = TaskSolver(task(), data(), folder=tmp_path, fabric=CPU)
    with pytest.raises(CheckpointError, match="Lightning's Trainer wrote in the middle of epoch 1. Resume it"):
        solver.restore(tmp_path / "middle.ckpt")


def test_as_many_processes_as_fabric_was_asked_for_have_to_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WORLD_SIZE", "1"), ("RANK", "0"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match="Expected 2 processes, as Fabric is configured, but 1 were started"):
        TaskSolver(task(), data(), folder=tmp_path, fabric={**CPU, "devices": 2})


@pytest.mark.process
def test_several_processes_train_one_task(tmp_path: Path, in_processes: Callable[..., Any]) -> None:
    def work(rank: int, folder: Path, epochs: int) -> Any:
        options = {**CPU, "devices": 2, "strategy": "ddp"}
        strategy = ("freeze_unfreeze", 1)
        solver = TaskSolver(task(), data(), strategy, folder, max_epochs=epochs, fabric=options)
        solver.run()
        return weights(solver.task)["head.weight"], weights(solver.task)["backbone.0.weight"], metrics(solver)

    first, second = in_processes(2, work, tmp_path / "straight", 3)
    assert first == second
    in_processes(2, work, tmp_path / "half", 1)
    assert in_processes(2, work, tmp_path / "half", 3) == [first, second]
    loaded = Classifier.load_from_checkpoint(tmp_path / "half" / "checkpoint.th")
    assert weights(loaded)["head.weight"] == first[0]


BAD = ["of_numpy", "text", "empty", "list", "folder", "dangling", "missing"]


def bad_file(folder: Path, kind: str) -> Path:
    path = folder / kind
    if kind == "of_numpy":
        torch.save({"it": Reduced()}, path)
    elif kind == "list":
        torch.save([1], path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "dangling":
        path.symlink_to(folder / "no")
    elif kind != "missing":
        path.write_text(kind if kind == "text" else "")
    return path


class Reduced:
    """Pickled as a call that would make an array over bytes of the file."""

    def __reduce__(self) -> Any:
        return np.ndarray, ((1,), "O", b"AAAAAAAA")


@pytest.mark.parametrize("kind", BAD)
def test_the_same_bad_file_says_the_same_at_every_door(tmp_path: Path, kind: str) -> None:
    path = bad_file(tmp_path, kind)
    doors: list[Callable[[], Any]] = [
        lambda: BaseSolver(tmp_path / "first").restore(path),
        lambda: TaskSolver(task(), data(), folder=tmp_path / "second", fabric=CPU).restore(path),
        lambda: Classifier.load_from_checkpoint(path),
        lambda: trainer(1).fit(task(), data(), ckpt_path=path),
    ]
    said = []
    for door in doors:
        with pytest.raises(CheckpointError, match="Expected a checkpoint") as caught:
            door()
        said.append((type(caught.value), str(caught.value)))
    assert len(set(said)) == 1
    assert str(path) in said[0][1]


@pytest.mark.parametrize("odd", [{"loops": 7}, {"state_dict": 5}, {"global_step": "two"}, {"optimizer_states": [1]}])
def test_a_checkpoint_of_another_shape_is_an_error_of_the_file(tmp_path: Path, odd: dict[str, Any]) -> None:
    solver = TaskSolver(task(), data(), folder=tmp_path, fabric=CPU)
    torch.save({**solver.state_dict(), **odd}, tmp_path / "odd.ckpt")
    (name,) = odd
    with pytest.raises(CheckpointError, match=rf"in .*odd\.ckpt is damaged.*: '{name}' is not what a Trainer writes"):
        solver.restore(tmp_path / "odd.ckpt")

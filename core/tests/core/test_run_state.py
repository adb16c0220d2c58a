"""What a checkpoint of a run has to hold, and which errors are those of a damaged state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import flash
from flash.core.run_state import check_counts, check_optimizer, check_run, check_schedule, explaining_damage
from flash.errors import CheckpointError
from flash.testing import silent_trainer

RUN: dict[str, Any] = {
    "pytorch-lightning_version": "2.6.0",
    "epoch": 1,
    "global_step": 4,
    "state_dict": {"weight": torch.zeros(1)},
    "loops": {"fit_loop": {"epoch_progress": {"total": {"ready": 1}}, "state_dict": {"own": None}}},
    "callbacks": {},
    "optimizer_states": [{}],
    "lr_schedulers": [],
}


def make(folder: Path) -> tuple[flash.Task, flash.DataModule, Path]:
    """A task with data, and a checkpoint of it."""
    data = flash.DataModule.from_tensors(torch.randn(8, 2), torch.randn(8, 1), batch_size=4, seed=0)
    task = flash.Task(nn.Linear(2, 1), nn.functional.mse_loss, learning_rate=0.1)
    trainer = silent_trainer()
    trainer.fit(task, data)
    trainer.save_checkpoint(folder / "whole.ckpt")
    return task, data, folder / "whole.ckpt"


def test_a_whole_checkpoint_passes() -> None:
    check_run(RUN, "a.ckpt")


@pytest.mark.parametrize("name", ["optimizer_states", "lr_schedulers", "callbacks"])
def test_weights_alone_lack_the_state_of_the_training(name: str) -> None:
    check_run({key: value for key, value in RUN.items() if key != name}, "a.ckpt")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epoch", None),
        ("global_step", -1),
        ("global_step", True),
        ("state_dict", [1]),
        ("loops", {"fit_loop": None}),
        ("loops", {"fit_loop": {"epoch_progress": {"total": {"ready": "one"}}}}),
        ("loops", {"fit_loop": {"epoch_loop.batch_progress": {"is_last_batch": 3}}}),
        ("callbacks", 0.5),
        ("optimizer_states", {}),
        ("lr_schedulers", ["x"]),
        ("pytorch-lightning_version", {}),
    ],
)
def test_another_value_is_an_error_that_names_it(name: str, value: Any) -> None:
    sentence = f"the state in a.ckpt is damaged, or of another run: '{name}' is not what a Trainer writes. Copy or"
    with pytest.raises(CheckpointError, match=sentence):
        check_run({**RUN, name: value}, "a.ckpt")


@pytest.mark.parametrize("name", ["epoch", "state_dict", "loops"])
def test_a_part_that_is_missing_is_an_error(name: str) -> None:
    with pytest.raises(CheckpointError, match=f"'{name}' is missing"):
        check_run({key: value for key, value in RUN.items() if key != name}, "a.ckpt")


def test_versions_before_2_may_lack_loops() -> None:
    old = {key: value for key, value in RUN.items() if key != "loops"}
    check_run({**old, "pytorch-lightning_version": "1.4.0"}, "a.ckpt")


def test_an_average_without_the_state_of_callbacks_is_an_error_since_they_have_the_trained_weights() -> None:
    check_run({**RUN, "averaged_weights": True}, "a.ckpt")
    alone = {key: value for key, value in RUN.items() if key != "callbacks"}
    check_run({**alone, "averaged_weights": False}, "a.ckpt")
    with pytest.raises(CheckpointError, match="'callbacks' is missing"):
        check_run({**alone, "averaged_weights": True}, "a.ckpt")


def test_weights_alone_are_told_from_a_run() -> None:
    with pytest.raises(
        CheckpointError, match="Expected a checkpoint that a Trainer saved, .* but a.pth holds something"
    ):
        check_run({"weight": torch.zeros(1)}, "a.pth")


@pytest.mark.parametrize(
    ("name", "value"),
    [("lr", "0.1"), ("lr", float("nan")), ("betas", (0.9,)), ("amsgrad", 1), ("foreach", [1]), ("eps", None)],
)
def test_an_option_of_another_kind_is_an_error(name: str, value: Any) -> None:
    optimizer = torch.optim.AdamW(nn.Linear(1, 1).parameters())
    check_optimizer(optimizer, "a.ckpt")
    optimizer.param_groups[0][name] = value
    with pytest.raises(CheckpointError, match=f"in a.ckpt .*among the options of the optimizer '{name}' is "):
        check_optimizer(optimizer, "a.ckpt")
    del optimizer.param_groups[0][name]
    with pytest.raises(CheckpointError, match=f"'{name}' is missing"):
        check_optimizer(optimizer, "a.ckpt")


def test_an_option_that_was_turned_on_is_right() -> None:
    optimizer = torch.optim.AdamW(nn.Linear(1, 1).parameters(), capturable=True, lr=torch.tensor(0.1))
    check_optimizer(optimizer, "a.ckpt")


def test_a_state_of_no_parameter_is_an_error() -> None:
    optimizer = torch.optim.AdamW(nn.Linear(1, 1).parameters())
    optimizer.state[0] = {"step": 1}
    with pytest.raises(CheckpointError, match="the optimizer has a state of 0, which is no parameter"):
        check_optimizer(optimizer, "a.ckpt")


def test_as_many_states_as_optimizers_are_expected() -> None:
    check_counts({"optimizer_states": 1}, {"optimizer_states": 1}, "a.ckpt")
    with pytest.raises(CheckpointError, match="'optimizer_states' has 0 states, and the task makes 1 of these"):
        check_counts({"optimizer_states": 0}, {"optimizer_states": 1}, "a.ckpt")


def _without_moments(checkpoint: dict[str, Any]) -> None:
    del checkpoint["optimizer_states"][0]["state"][0]["exp_avg"]


def _without_schedule(checkpoint: dict[str, Any]) -> None:
    checkpoint["optimizer_states"] = []


def _without_loop(checkpoint: dict[str, Any]) -> None:
    del checkpoint["loops"]["fit_loop"]


@pytest.mark.train
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_without_moments, "KeyError: 'exp_avg'"),
        (_without_schedule, "'optimizer_states' has 0 states"),
        (_without_loop, "KeyError: 'fit_loop'"),
    ],
)
def test_a_run_that_cannot_go_on_says_which_file_is_damaged(
    damage: Callable[[dict[str, Any]], None], reason: str, tmp_path: Path
) -> None:
    task, data, file = make(tmp_path)
    checkpoint = torch.load(file, weights_only=True)
    damage(checkpoint)
    torch.save(checkpoint, file)
    with pytest.raises(CheckpointError, match=f"state in .*whole.ckpt is damaged, or of another run: {reason}"):
        silent_trainer(max_epochs=2).fit(task, data, ckpt_path=file)


class _Fails(flash.Task):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        raise KeyError("a mistake of the program")


def test_an_error_of_training_itself_stays_what_it_is(tmp_path: Path) -> None:
    _, data, file = make(tmp_path)
    fails = _Fails(nn.Linear(2, 1), nn.functional.mse_loss, learning_rate=0.1)
    with pytest.raises(KeyError, match="a mistake of the program"):
        silent_trainer(max_epochs=2).fit(fails, data, ckpt_path=file)


def test_an_error_inside_a_closure_is_one_of_training() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)

    def closure() -> float:
        raise ZeroDivisionError("of the program")

    with pytest.raises(ZeroDivisionError), explaining_damage("a.ckpt"):
        optimizer.step(closure)


def test_a_part_of_a_schedule_that_is_missing_is_an_error() -> None:
    schedule = torch.optim.lr_scheduler.StepLR(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1), 2)
    state = schedule.state_dict()
    check_schedule(schedule, {name: value for name, value in state.items() if not name.startswith("_")}, "a.ckpt")
    del state["last_epoch"]
    with pytest.raises(CheckpointError, match="'last_epoch' of the learning-rate schedule is missing"):
        check_schedule(schedule, state, "a.ckpt")


@pytest.mark.parametrize("name", ["last_epoch", "_step_count"])
@pytest.mark.parametrize("value", [(1, 2), None, -3, "one"])
def test_what_a_schedule_counts_is_a_count(name: str, value: Any) -> None:
    schedule = torch.optim.lr_scheduler.StepLR(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1), 2)
    with pytest.raises(CheckpointError, match=f"{name!r} of the learning-rate schedule is"):
        check_schedule(schedule, {**schedule.state_dict(), name: value}, "a.ckpt")


@pytest.mark.train
@pytest.mark.parametrize("name", ["trainable", "eval_modules", "param_groups"])
@pytest.mark.parametrize("value", [{}, None, ["nothing"], [[["nothing"]]]])
def test_the_state_of_a_strategy_has_names_of_the_model(name: str, value: Any, tmp_path: Path) -> None:
    task, data, _ = make(tmp_path)
    trainer = silent_trainer()
    trainer.finetune(task, data, strategy="no_freeze")
    trainer.save_checkpoint(tmp_path / "own.ckpt")
    checkpoint = torch.load(tmp_path / "own.ckpt", weights_only=True)
    (state,) = checkpoint["callbacks"].values()
    state[name] = value
    torch.save(checkpoint, tmp_path / "own.ckpt")
    with pytest.raises(CheckpointError, match=f"names of this model's parameters and modules .* but '{name}' of the"):
        silent_trainer(max_epochs=2).finetune(task, data, strategy="no_freeze", ckpt_path=tmp_path / "own.ckpt")

"""Trainings on two workers equal those of one process, also if a worker dies; what is wrong is said at once."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from killing import Counting, KillOnce, NoteEpochs, Same
from rows_on_ray import data_of, frame_of, task_of

import flash
import flash.ray
from flash.errors import ConfigurationError, DataError, FinetuningError, UnknownArgumentError
from flash.ray.training import _needed
from flash.tabular import TabularClassificationData

EPOCHS = 3
STEPS = 8  # of an epoch: 256 rows, 32 in each step
# Two workers add the gradients of halves of a batch, one process those of all its rows.
TOLERANCE = 1e-5


def in_one_process(options: dict[str, Any], strategy: Any = None, make: Any = (data_of, task_of)) -> flash.Task:
    """The same training in this process, whose batches have the rows of both workers."""
    data = make[0](32)
    task: flash.Task = make[1](data)
    trainer = flash.Trainer(max_epochs=EPOCHS, **options)
    if strategy is None:
        trainer.fit(task, data)
    else:
        trainer.finetune(task, data, strategy=strategy)
    return task


def tensors_of(batch_size: int) -> flash.DataModule:
    """The rows of the table as tensors."""
    rows = frame_of(320)
    x = torch.tensor(rows[["long", "wide"]].to_numpy(), dtype=torch.float32)
    y = torch.tensor((rows["answer"] == "yes").to_numpy()).long()
    return flash.DataModule.from_load_data_inputs(
        train_load_data_input=(x[:256], y[:256]),
        val_load_data_input=(x[256:], y[256:]),
        preprocess=Same(),
        batch_size=batch_size,
        seed=0,
    )


def assert_equal(one: flash.Task, other: flash.Task) -> None:
    for (name, weight), same in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.allclose(weight.float(), same.float(), atol=TOLERANCE), name
    assert len(one.history) == len(other.history) == EPOCHS
    for epoch, expected in zip(one.history, other.history, strict=True):
        assert epoch == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.process
def test_a_training_in_which_a_worker_is_killed_equals_that_of_one_process(
    cluster: Any, task: flash.Task, data: flash.DataModule, tmp_path: Path, trainer_options: dict[str, Any]
) -> None:
    chance = random.Random(16)
    # In a later epoch, of which it may be any.
    kill = KillOnce(tmp_path, chance.randrange(2), chance.randrange(STEPS + 1, EPOCHS * STEPS), tmp_path / "runs")
    epochs = NoteEpochs(tmp_path / "epochs.txt")
    run = flash.ray.fit(
        task, data, max_epochs=EPOCHS, callbacks=[kill, epochs], storage_path=tmp_path / "runs", logger=False
    )
    assert kill.mark.exists()
    assert run.task is task
    assert_equal(task, in_one_process(trainer_options))
    # What Ray had a checkpoint of was not trained again.
    assert epochs.lines().count("0 began 0") == 1
    assert epochs.lines().count(f"0 began {(kill.step - 1) // STEPS}") == 2
    assert run.history is task.history
    assert run.metrics == pytest.approx({**task.history[-1], "epoch": EPOCHS, "step": EPOCHS * STEPS})
    loaded = flash.Task.load_from_checkpoint(run.checkpoint)
    rows = [{"long": 0.3, "wide": -2.0}, {"long": 1.0, "wide": 0.5}]
    assert loaded.predict(rows, output="probabilities") == task.predict(rows, output="probabilities")


@pytest.mark.process
@pytest.mark.parametrize("strategy", ["freeze", ("freeze_unfreeze", 1)], ids=str)
def test_a_finetuning_equals_that_of_one_process(
    strategy: Any,
    cluster: Any,
    tmp_path: Path,
    trainer_options: dict[str, Any],
) -> None:
    epochs = NoteEpochs(tmp_path / "epochs.txt")
    data = tensors_of(16)
    task = Counting()
    options: dict[str, Any] = {"max_epochs": EPOCHS, "storage_path": tmp_path / "runs", "name": "one", "logger": False}
    flash.ray.finetune(task, data, strategy, callbacks=[epochs], num_sanity_val_steps=0, **options)
    make = tensors_of, lambda _: Counting()
    assert_equal(task, in_one_process(trainer_options, strategy, make))
    lines = epochs.lines()
    # Of 256 rows to train on and 64 to validate, each worker sees half: once, while they are frozen.
    seen = 160 if strategy == "freeze" else 160 * EPOCHS
    assert [line for line in lines if "saw" in line] == [f"0 saw {seen}", f"1 saw {seen}"]
    if strategy == "freeze":
        again = Counting()
        flash.ray.finetune(again, data, strategy, callbacks=[epochs], **options)
        assert epochs.lines() == lines  # A complete run is not trained again.
        assert_equal(again, task)


@pytest.mark.process
def test_an_error_of_flash_in_a_worker_is_the_error_of_the_call(
    cluster: Any, task: flash.Task, data: flash.DataModule, tmp_path: Path
) -> None:
    callbacks = ["keep_best", ("keep_best", {"monitor": "val_beauty", "mode": "max"})]
    with pytest.raises(ConfigurationError, match="Expected 'val_beauty' to be logged, for KeepBest to watch it"):
        flash.ray.fit(task, data, max_epochs=1, callbacks=callbacks, storage_path=tmp_path, logger=False)


def test_arguments_are_checked_before_anything_starts(task: flash.Task, data: flash.DataModule) -> None:
    fit: Any = flash.ray.fit
    for arguments, options, message in (
        ((data, task), {}, "Expected the task first and the data module second, but got a Tab.* first"),
        ((task, [1]), {}, "but got a list second"),
        ((task, data), {"num_workers": 0}, "Expected num_workers to be a positive integer, but got 0."),
        ((task, data), {"num_workers": True}, "Expected num_workers to be a positive integer, but got True."),
        ((task, data), {"max_failures": -2}, "Expected max_failures to be a number of times, or -1 for always"),
        ((task, data), {"devices": 2}, "Expected no devices, which Ray decides, but got 2. Pass num_workers"),
        ((task, data), {"strategy": "ddp"}, "Expected no strategy, which Ray decides, but got 'ddp'."),
        ((task, data), {"accelerator": "gpu"}, "Pass use_gpu=True or False."),
    ):
        with pytest.raises(ConfigurationError, match=message):
            fit(*arguments, **options)
    with pytest.raises(UnknownArgumentError, match="max_epoch"):
        fit(task, data, max_epoch=2)
    with pytest.raises(FinetuningError, match="strategy"):
        flash.ray.finetune(task, data, None)  # type: ignore[arg-type]
    with pytest.raises(flash.errors.UnknownNameError, match="freeze"):
        flash.ray.finetune(task, data, "freez")


def test_data_that_does_not_fit_the_task_is_an_error_before_anything_starts(task: flash.Task) -> None:
    rows = pd.DataFrame({"other": [1.0, 2.0], "answer": ["a", "b"]})
    other = TabularClassificationData.from_data_frame(target_fields="answer", train_data_frame=rows, verbose=False)
    with pytest.raises((ConfigurationError, DataError)):
        flash.ray.fit(task, other)


@pytest.mark.process
def test_a_run_that_was_complete_says_that_it_trains_nothing(
    cluster: Any, task: flash.Task, data: flash.DataModule, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {"num_workers": 1, "storage_path": tmp_path, "name": "run", "logger": False}
    flash.ray.fit(task, data, max_epochs=1, **options)
    assert "nothing was trained" not in caplog.text
    run = flash.ray.fit(task_of(data), data, max_epochs=2, **options)
    assert len(run.history) == 1
    assert "The run run was complete: nothing was trained, and the task has its weights." in caplog.text


def test_workers_with_a_gpu_need_it_beside_their_other_resources() -> None:
    assert _needed(2, False, None) == {"CPU": 2}
    assert _needed(2, True, None) == {"GPU": 2}
    assert _needed(2, True, {"CPU": 4}) == {"GPU": 2, "CPU": 8}
    assert _needed(2, True, {"GPU": 0.5}) == {"GPU": 1}

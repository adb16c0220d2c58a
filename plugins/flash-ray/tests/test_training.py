"""Trainings on two workers equal those of one process, also if a worker dies; what is wrong is said at once."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import data_of, task_of
from killing import KillOnce, NoteEpochs

import flash
import flash.ray
from flash.errors import ConfigurationError, DataError, FinetuningError, UnknownArgumentError
from flash.tabular import TabularClassificationData

EPOCHS = 3
STEPS = 8  # of an epoch: 256 rows, 32 in each step
# Two workers add the gradients of halves of a batch, one process those of all its rows.
TOLERANCE = 1e-5


def in_one_process(options: dict[str, Any], strategy: Any = None) -> flash.Task:
    """The same training in this process, whose batches have the rows of both workers."""
    data = data_of(32)
    task = task_of(data)
    trainer = flash.Trainer(max_epochs=EPOCHS, **options)
    if strategy is None:
        trainer.fit(task, data)
    else:
        trainer.finetune(task, data, strategy=strategy)
    return task


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
    kill = KillOnce(tmp_path, chance.randrange(2), chance.randrange(1, EPOCHS * STEPS))
    epochs = NoteEpochs(tmp_path / "epochs.txt")
    run = flash.ray.fit(
        task, data, max_epochs=EPOCHS, callbacks=[kill, epochs], storage_path=tmp_path / "runs", logger=False
    )
    assert kill.mark.exists()
    assert run.task is task
    assert_equal(task, in_one_process(trainer_options))
    # Whole epochs were not trained again.
    begun = [int(line.split()[1]) for line in epochs.file.read_text().splitlines() if line.startswith("0")]
    assert begun == sorted([*range(EPOCHS), (kill.step - 1) // STEPS])
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
    task: flash.Task,
    data: flash.DataModule,
    tmp_path: Path,
    trainer_options: dict[str, Any],
) -> None:
    epochs = NoteEpochs(tmp_path / "epochs.txt")
    options: dict[str, Any] = {"max_epochs": EPOCHS, "storage_path": tmp_path / "runs", "name": "one", "logger": False}
    flash.ray.finetune(task, data, strategy, callbacks=[epochs], **options)
    assert_equal(task, in_one_process(trainer_options, strategy))
    # A frozen backbone sees each row once: the batches are of its features.
    lines = sorted(epochs.file.read_text().splitlines())
    frozen = EPOCHS if strategy == "freeze" else 1
    assert lines == [f"{rank} {epoch} {epoch < frozen}" for rank in range(2) for epoch in range(EPOCHS)]
    if strategy == "freeze":
        again = task_of(data)
        flash.ray.finetune(again, data, strategy, callbacks=[epochs], **options)
        assert sorted(epochs.file.read_text().splitlines()) == lines  # A complete run is not trained again.
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

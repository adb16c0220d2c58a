"""Prediction: one result per input, in order, in eval mode, with the modes as they were."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

import flash
from flash.errors import DataError


def test_predict_gives_one_result_for_each_input_in_order_whatever_the_batches(linear: Any) -> None:
    task = linear()
    x = torch.randn(7, 3)
    expected = task(x).detach()
    for batch_size in (1, 3, 64):
        assert torch.allclose(torch.stack(task.predict(x, batch_size=batch_size)), expected)


def test_predict_takes_arrays_and_lists_too(linear: Any) -> None:
    task = linear()
    x = np.ones((2, 3))
    for raw in (x, list(x), [torch.ones(3), torch.ones(3)]):
        assert len(task.predict(raw)) == 2


def test_predict_runs_in_eval_mode_and_leaves_the_modes_as_they_were() -> None:
    task = flash.Task(nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.9)))
    task.model[0].eval()
    x = torch.randn(4, 3)
    assert torch.equal(torch.stack(task.predict(x)), torch.stack(task.predict(x)))
    assert task.training
    assert not task.model[0].training


def test_predicting_nothing_is_an_error(linear: Any) -> None:
    with pytest.raises(DataError, match="Expected at least one sample in the predict data"):
        linear().predict([])


def test_trainer_predict_gives_batches_of_results(trainer_options: dict[str, Any], linear: Any) -> None:
    task = linear()
    dm = flash.DataModule.from_tensors(predict_data=torch.randn(5, 3), batch_size=2)
    batches = flash.Trainer(**trainer_options).predict(task, datamodule=dm)
    assert [len(batch) for batch in batches] == [2, 2, 1]


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_raw_rows_are_predicted_in_the_precision_that_a_run_left(precision: str, trainer_options: Any) -> None:
    dm = flash.DataModule.from_tensors(torch.randn(8, 3), torch.randn(8, 1), seed=0, batch_size=4)
    task = flash.Task(nn.Linear(3, 1), nn.functional.l1_loss)
    flash.Trainer(max_epochs=1, precision=precision, **trainer_options).fit(task, dm)
    assert task.model.weight.dtype is not torch.float32
    assert [result.dtype for result in task.predict(torch.zeros(2, 3))] == [task.model.weight.dtype] * 2


# ---------------------------------------------------------------------- heads that were never trained


def warned(predict: Callable[[], Any]) -> bool:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        predict()
    return any("its head has random weights, and so its predictions are random" in str(each.message) for each in caught)


def test_predictions_of_a_head_that_was_never_trained_come_with_a_warning(
    task_class: Any, datamodule: flash.DataModule, trainer_options: dict[str, Any], tmp_path: Path
) -> None:
    x = torch.randn(3, 4)
    to_predict = flash.DataModule.from_tensors(predict_data=x, batch_size=2)
    kinds: list[Any] = [flash.Trainer, pl.Trainer]
    task = task_class()
    assert warned(lambda: task.predict(x))
    for kind in kinds:
        assert warned(partial(kind(**trainer_options).predict, task, datamodule=to_predict))
        fitted = task_class()
        trainer = kind(max_epochs=1, **trainer_options)
        trainer.fit(fitted, datamodule=datamodule)
        assert not warned(partial(fitted.predict, x))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert not warned(lambda: task_class.load_from_checkpoint(tmp_path / "a.ckpt").predict(x))
    other = task_class()
    other.load_state_dict(fitted.state_dict())
    assert not warned(lambda: other.predict(x))


def test_a_loop_of_ones_own_counts_as_training_and_a_network_that_was_passed_is_not_asked(task_class: Any) -> None:
    x, y = torch.randn(8, 4), torch.tensor([0, 1] * 4)
    own, by_step = task_class(), task_class()
    nn.functional.cross_entropy(own(x), y).backward()
    by_step.step((x, y), 0)
    for task in (own, by_step, flash.Task(nn.Linear(4, 2))):
        assert not warned(partial(task.predict, x))

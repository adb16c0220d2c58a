"""The loop that predicts: batches with their rows and targets, in eval mode; and the parts of what is predicted."""

from __future__ import annotations

import re
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
from flash.core.prediction import evaluating, parts_to_predict, predict_batches
from flash.data import table_parts, tables
from flash.data.auto_dataset import AutoDataset
from flash.data.columns import Columns
from flash.data.process import Preprocess
from flash.data.stage import Stage
from flash.data.tables import Table, read_table
from flash.errors import ConfigurationError, DataError


class Rows(Preprocess):
    """Takes the path of any table, whose rows are samples."""

    def is_table_to_predict(self, data: Any) -> bool:
        return isinstance(data, str | Path)


@pytest.mark.parametrize("num_workers", [0, pytest.param(1, marks=pytest.mark.process)])
def test_batches_have_their_rows_and_targets(num_workers: int) -> None:
    x, y = torch.randn(5, 3), torch.arange(5)
    dataset = AutoDataset(Columns((x, y)), Stage.VAL, Preprocess())
    task = flash.Task(nn.Linear(3, 1))
    batches = list(predict_batches(task, dataset, batch_size=2, num_workers=num_workers))
    assert [batch.rows for batch in batches] == [[0, 1], [2, 3], [4]]
    torch.testing.assert_close(torch.cat([batch.inputs for batch in batches]), x)
    torch.testing.assert_close(torch.cat([batch.targets for batch in batches]), y)
    torch.testing.assert_close(torch.cat([batch.output for batch in batches]), task(x), check_device=False)


def test_each_module_has_its_mode_again_after_evaluating() -> None:
    network = nn.Sequential(nn.Dropout(), nn.Dropout())
    network[0].eval()
    with evaluating(network):
        assert not any(module.training for module in network.modules())
    assert [module.training for module in network.modules()] == [True, False, True]


def test_modules_may_be_shared_or_missing() -> None:
    inner = nn.Sequential(nn.Dropout())
    network = nn.ModuleDict({"one": inner, "two": inner})
    inner.register_module("missing", None)
    with evaluating(network):
        assert not any(module.training for module in network.modules())
    assert all(module.training for module in network.modules())


def test_a_large_table_is_predicted_in_parts_and_a_small_one_as_it_was_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a\n1\n2\n3\n")
    assert list(parts_to_predict(path, Rows(), {})) == [path]
    (read,) = parts_to_predict(path, Rows(), {}, as_table=True)
    assert isinstance(read, Table)
    assert read.folder == tmp_path
    monkeypatch.setattr(tables, "SMALL_BYTES", 1)
    monkeypatch.setattr(table_parts, "PART_ROWS", 2)
    assert [part["a"] for part in parts_to_predict(path, Rows(), {})] == [["1", "2"], ["3"]]
    # Where rows are not samples, such as steps of a series, the whole is one input.
    assert list(parts_to_predict(path, Preprocess(), {})) == [path]


def test_predict_loads_a_large_table_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[list[float]] = []

    class Numbers(Rows):
        def load_data(self, data: Any, dataset: Any) -> Any:
            table = data if isinstance(data, Table) else read_table(data)
            loaded.append([float(cell) for cell in table["a"]])
            return Columns(torch.tensor(loaded[-1])[:, None])

    path = tmp_path / "rows.csv"
    path.write_text("a\n" + "".join(f"{row}\n" for row in range(5)))
    task = flash.Task(nn.Linear(1, 1), preprocess=Numbers())
    whole = task.predict(path, output="raw", batch_size=2)
    assert loaded == [[0.0, 1.0, 2.0, 3.0, 4.0]]
    monkeypatch.setattr(tables, "SMALL_BYTES", 1)
    monkeypatch.setattr(table_parts, "PART_ROWS", 3)
    torch.testing.assert_close(task.predict(path, output="raw", batch_size=2), whole)
    assert loaded[1:] == [[0.0, 1.0, 2.0], [3.0, 4.0]]


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


@pytest.mark.parametrize("batch_size", [0, -1, 2.0])
def test_a_batch_of_no_samples_is_an_error_rather_than_no_results(batch_size: Any, linear: Any) -> None:
    expected = f"Expected batch_size to be a whole number of at least 1, but got {batch_size}."
    with pytest.raises(ConfigurationError, match=re.escape(expected)):
        linear().predict(torch.randn(3, 3), batch_size=batch_size)
    with pytest.raises(ConfigurationError, match=re.escape(expected)):
        list(linear().predict_each(torch.randn(3, 3), batch_size=batch_size))


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

"""What a batch is: the stage decides, and rows are counted from what is in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import flash
from flash.data.batch import Features, count_rows, split_batch
from flash.data.columns import Columns
from flash.data.stage import Stage
from flash.errors import DataError


class Pairs(flash.Preprocess):
    """Samples of two inputs."""

    def load_data(self, data: Any) -> Any:
        return Columns(((data[0], data[1]), data[2]))

    def predict_load_data(self, data: Any) -> Any:
        return Columns((data[0], data[1]))


class Difference(flash.Task):
    preprocess_cls = Pairs

    def __init__(self) -> None:
        super().__init__(model=nn.Linear(2, 1), loss_fn=nn.functional.mse_loss)

    def forward(self, x: Any) -> Any:
        first, second = x
        assert self.model is not None
        return self.model(first - second)


def trainer() -> flash.Trainer:
    silent: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return flash.Trainer(max_epochs=1, accelerator="cpu", enable_model_summary=False, **silent)


@pytest.mark.parametrize("rows", [2, 3])
def test_two_inputs_stay_two_in_prediction(rows: int) -> None:
    first, second, target = torch.randn(rows, 2), torch.randn(rows, 2), torch.randn(rows, 1)
    data = flash.DataModule.from_load_data_inputs(
        (first, second, target), predict_load_data_input=(first, second), preprocess=Pairs(), batch_size=2, seed=0
    )
    task = Difference()
    run = trainer()
    run.fit(task, data)
    expected = task((first, second)).flatten().tolist()
    assert [float(each) for each in task.predict((first, second))] == pytest.approx(expected)
    batches = run.predict(task, datamodule=data)
    assert [float(each) for batch in batches for each in batch] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("batch", "came"),
    [
        ({"past": torch.zeros(2), "target": torch.zeros(2)}, "a dict of 'past', 'target'"),
        ((1, 2, 3), "a tuple of 3"),
        (torch.zeros(2, 3), r"a Tensor of shape \(2, 3\)"),
    ],
)
def test_a_train_batch_that_is_no_pair_is_an_error(batch: Any, came: str) -> None:
    message = rf"Expected a train batch to be \(inputs, targets\), but got {came}\. .* override step"
    with pytest.raises(DataError, match=message):
        split_batch(batch, Stage.TRAIN)
    with pytest.raises(DataError, match=message):
        flash.Task(nn.Linear(1, 1), nn.functional.mse_loss).step(batch, 0)


def test_a_foreign_prediction_batch_that_can_be_read_in_two_ways_is_an_error() -> None:
    task = flash.Task(nn.Linear(2, 1))
    loader: Any = DataLoader(TensorDataset(torch.randn(4, 2), torch.randn(4, 1)), batch_size=2)
    with pytest.raises(DataError, match=r"inputs alone, but this loader yields a list of 2, .* overriding split_batch"):
        trainer().predict(task, loader)


def test_a_task_says_how_foreign_batches_are_read() -> None:
    class Mine(flash.Task):
        def split_batch(self, batch: Any, stage: Stage) -> Any:
            return batch[0], None

    rows = torch.randn(4, 2)
    task = Mine(nn.Linear(2, 1))
    batches = trainer().predict(task, DataLoader(TensorDataset(rows, torch.randn(4, 1)), batch_size=2))
    found = torch.stack([each for batch in batches for each in batch])
    assert torch.allclose(found, task(rows).detach())


def test_a_foreign_batch_of_one_part_is_its_part() -> None:
    rows = torch.randn(4, 2)
    task = flash.Task(nn.Linear(2, 1))
    batches = trainer().predict(task, DataLoader(TensorDataset(rows), batch_size=2))
    assert torch.allclose(torch.stack([each for batch in batches for each in batch]), task(rows).detach())


@pytest.mark.parametrize(
    ("batch", "rows"),
    [
        ((torch.zeros(3, 2), torch.zeros(3)), 3),
        ([torch.zeros(3, 2), torch.zeros(3)], 3),
        (([torch.zeros(3, 2), torch.zeros(3, 5)], torch.zeros(3)), 3),
        ({"ids": torch.zeros(4, 7), "name": "x"}, 4),
        (
            (
                [torch.zeros(3, 20, 30), torch.zeros(3, 9, 9)],
                [{"boxes": torch.zeros(5, 4)}, {"boxes": torch.zeros(0, 4)}],
            ),
            2,
        ),
        (({"images": [torch.zeros(3, 20, 30)] * 2}, [{"boxes": torch.zeros(1, 4)}, {"boxes": torch.zeros(1, 4)}]), 2),
        ((torch.zeros(2, 3, 20, 30), [torch.zeros(5, 4), torch.zeros(5, 4)]), 2),
        ((torch.zeros(7, 3), [torch.zeros(7), torch.zeros(7, 4)]), 7),
        ([torch.zeros(3, 20, 30), torch.zeros(3, 9, 9), torch.zeros(3, 9, 9), torch.zeros(3, 4, 4)], 4),
        (["one text", "another", "third"], 3),
        (np.zeros((6, 2)), 6),
        (torch.tensor(1.0), 1),
        ("text", 1),
    ],
)
def test_rows_are_counted_from_the_batch(batch: Any, rows: int) -> None:
    assert count_rows(batch) == rows


class Losses(flash.Task):
    """Logs a loss in one of several forms; sample i has the loss i."""

    def __init__(self, form: str, metrics: Any = None) -> None:
        super().__init__(metrics=metrics)
        self.form = form
        self.scale = nn.Parameter(torch.ones(()))

    def step(self, batch: Any, batch_idx: int) -> Any:
        x, y = batch
        loss = (x * self.scale).mean()
        if self.form == "alone":
            return loss
        forms = {"tensor": x, "dict": {"mean": x, "more": x}, "tuple": (x, x)}
        return {"loss": loss, "y_hat": forms[self.form], "y": y, "logs": {"value": x.mean()}}


@pytest.mark.parametrize("form", ["tensor", "dict", "tuple", "alone"])
@pytest.mark.parametrize("batch_size", [1, 4, 9])
def test_the_numbers_of_an_epoch_do_not_depend_on_the_batch_size(form: str, batch_size: int) -> None:
    x = torch.arange(9.0).unsqueeze(1)

    def first(predictions: Any, targets: Any) -> Any:
        tensor = predictions if isinstance(predictions, torch.Tensor) else next(iter(predictions.values()))
        return tensor.mean()

    metrics = {"first": first} if form in ("tensor", "dict") else None
    data = flash.DataModule.from_tensors(val_data=x, val_targets=x, batch_size=batch_size)
    (found,) = trainer().validate(Losses(form, metrics), datamodule=data, verbose=False)
    assert found["val_loss"] == pytest.approx(4.0)
    assert found.get("val_value", 4.0) == pytest.approx(4.0)
    assert found.get("val_first", 4.0) == pytest.approx(4.0)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("how", ["class_weights", "loss_fn"])
def test_a_weighted_loss_is_averaged_by_its_weights(batch_size: int, how: str) -> None:
    from flash.core.classification import ClassificationTask

    torch.manual_seed(0)
    x, y, weights = torch.randn(5, 2), torch.tensor([0, 1, 1, 0, 1]), torch.tensor([1.0, 5.0])
    chosen: dict[str, Any] = (
        {"class_weights": weights} if how == "class_weights" else {"loss_fn": nn.CrossEntropyLoss(weight=weights)}
    )
    task = ClassificationTask(2, model=nn.Linear(2, 2), **chosen)
    data = flash.DataModule.from_tensors(val_data=x, val_targets=y, batch_size=batch_size)
    (found,) = trainer().validate(task, datamodule=data, verbose=False)
    assert found["val_loss"] == pytest.approx(float(nn.functional.cross_entropy(task(x), y, weight=weights)), rel=1e-5)


@pytest.mark.process
@pytest.mark.parametrize("rows", [1, 3, 7, 10])
def test_two_processes_evaluate_each_row_once(rows: int) -> None:
    x = torch.arange(float(rows)).unsqueeze(1)
    data = flash.DataModule.from_tensors(val_data=x, val_targets=x, batch_size=4)
    silent: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    two = flash.Trainer(devices=2, strategy="ddp_fork", accelerator="cpu", enable_model_summary=False, **silent)
    (found,) = two.validate(Losses("tensor", {"mean": lambda p, t: p.mean()}), datamodule=data, verbose=False)
    assert found["val_loss"] == pytest.approx((rows - 1) / 2)
    assert found["val_mean"] == pytest.approx((rows - 1) / 2)
    assert found["val_value"] == pytest.approx((rows - 1) / 2)


def test_an_output_may_see_inputs_and_ids() -> None:
    def told(predictions: Any, inputs: Any, ids: Any) -> Any:
        return [(row, float(x.sum())) for row, x in zip(ids, inputs, strict=True)]

    x = torch.arange(6.0).view(3, 2)
    task = flash.Task(nn.Linear(2, 1))
    expected = [(0, 1.0), (1, 5.0), (2, 9.0)]
    assert task.predict(x, output=told) == expected
    data = flash.DataModule.from_tensors(predict_data=x, batch_size=2)
    batches = trainer().predict(task, datamodule=data, output=told)
    assert [each for batch in batches for each in batch] == expected


class Numbers(flash.Preprocess):
    """Reads a stream of numbers."""

    def load_data(self, data: Any) -> Any:
        return lambda: iter(torch.tensor([float(each)]) for each in range(data))


def test_a_stream_is_predicted_in_order_with_its_places_as_ids() -> None:
    task = flash.Task(nn.Identity(), preprocess=Numbers())
    expected = [(place, float(place)) for place in range(7)]

    def told(predictions: Any, ids: Any) -> Any:
        return [(place, float(each)) for place, each in zip(ids, predictions, strict=True)]

    assert task.predict(7, output=told, batch_size=3) == expected
    data = flash.DataModule.from_load_data_inputs(predict_load_data_input=7, preprocess=Numbers(), batch_size=3)
    batches = trainer().predict(task, datamodule=data, output=told)
    assert [each for batch in batches for each in batch] == expected


def test_features_go_to_a_device_as_a_whole_and_their_nesting_stays() -> None:
    features = Features({"vector": torch.zeros(2, 3), "tokens": (torch.ones(2, 5),)})
    moved = features.to("meta")
    assert isinstance(moved, Features)
    assert moved.values["vector"].device.type == "meta"
    assert moved.values["tokens"][0].shape == (2, 5)
    assert features.values["vector"].device.type == "cpu"

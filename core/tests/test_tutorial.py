"""The tutorial of the old documentation: a custom task with its own data module and preprocess, as it is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import seed_everything
from sklearn import datasets
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import flash
from flash import DataModule
from flash.data.process import Preprocess

pytestmark = pytest.mark.train

ND = np.ndarray


class RegressionTask(flash.Task):
    def __init__(self, num_inputs: int, learning_rate: float = 0.001, metrics: Any = None) -> None:
        model = nn.Linear(num_inputs, 1)
        loss_fn = torch.nn.functional.mse_loss
        optimizer = torch.optim.SGD
        super().__init__(
            model=model,
            loss_fn=loss_fn,
            optimizer=optimizer,
            metrics=metrics,
            learning_rate=learning_rate,
        )

    def forward(self, x: Tensor) -> Tensor:
        assert self.model is not None
        return self.model(x)


class NumpyPreprocess(Preprocess):
    def load_data(self, data: tuple[ND, ND], dataset: Any) -> list[tuple[ND, float]]:
        if self.training:
            dataset.num_inputs = data[0].shape[1]
        return [(x, y) for x, y in zip(*data, strict=True)]

    def to_tensor_transform(self, sample: Any) -> tuple[Tensor, Tensor]:
        x, y = sample
        x = torch.from_numpy(x).float()
        y = torch.tensor(y, dtype=torch.float)
        return x, y

    def predict_load_data(self, data: ND) -> ND:
        return data

    def predict_to_tensor_transform(self, sample: ND) -> Tensor:
        return torch.from_numpy(sample).float()


class NumpyDataModule(DataModule):
    num_inputs: int

    @classmethod
    def from_xy_dataset(
        cls,
        x: ND,
        y: ND,
        preprocess_cls: type[Preprocess] = NumpyPreprocess,
        batch_size: int = 64,
        num_workers: int = 0,
    ) -> NumpyDataModule:
        preprocess = preprocess_cls()
        x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.20, random_state=0)
        dm = cls.from_load_data_inputs(
            train_load_data_input=(x_train, y_train),
            test_load_data_input=(x_test, y_test),
            preprocess=preprocess,
            batch_size=batch_size,
            num_workers=num_workers,
        )
        dm.num_inputs = dm.train_dataset.num_inputs
        return dm


PREDICT_DATA = np.array(
    [
        [0.0199, 0.0507, 0.1048, 0.0701, -0.0360, -0.0267, -0.0250, -0.0026, 0.0037, 0.0403],
        [-0.0128, -0.0446, 0.0606, 0.0529, 0.0480, 0.0294, -0.0176, 0.0343, 0.0702, 0.0072],
        [0.0381, 0.0507, 0.0089, 0.0425, -0.0428, -0.0210, -0.0397, -0.0026, -0.0181, 0.0072],
        [-0.0128, -0.0446, -0.0235, -0.0401, -0.0167, 0.0046, -0.0176, -0.0026, -0.0385, -0.0384],
        [-0.0237, -0.0446, 0.0455, 0.0907, -0.0181, -0.0354, 0.0707, -0.0395, -0.0345, -0.0094],
    ]
)


@pytest.fixture
def fitted(trainer_options: dict[str, Any]) -> tuple[Any, Any]:
    seed_everything(42)
    x, y = datasets.load_diabetes(return_X_y=True)
    datamodule = NumpyDataModule.from_xy_dataset(x, y)
    model = RegressionTask(num_inputs=datamodule.num_inputs, learning_rate=0.1)
    flash.Trainer(max_epochs=10, **trainer_options).fit(model, datamodule=datamodule)
    return model, datamodule


def test_the_number_of_inputs_is_read_from_the_train_dataset(fitted: tuple[Any, Any]) -> None:
    _, datamodule = fitted
    assert datamodule.train_dataset.num_inputs == 10
    assert datamodule.num_inputs == 10


def test_fitting_and_testing_learn_at_least_the_mean(fitted: tuple[Any, Any], trainer_options: dict[str, Any]) -> None:
    model, datamodule = fitted
    (result,) = flash.Trainer(**trainer_options).test(model, datamodule=datamodule)
    targets = torch.tensor([y for _, y in datamodule.test_dataset])
    assert result["test_loss"] < 0.4 * float((targets**2).mean())


def test_five_rows_in_five_tensors_out(fitted: tuple[Any, Any]) -> None:
    model, _ = fitted
    predictions = model.predict(PREDICT_DATA)
    assert len(predictions) == 5
    assert all(isinstance(p, Tensor) and p.shape == (1,) for p in predictions)
    inputs = torch.from_numpy(PREDICT_DATA).float()
    assert torch.allclose(torch.stack(predictions), model.model(inputs))


def test_the_task_can_be_made_from_the_data(fitted: tuple[Any, Any]) -> None:
    _, datamodule = fitted
    assert RegressionTask.from_data(datamodule).model.in_features == 10


def test_the_prefixed_hooks_serve_the_task_after_a_checkpoint(fitted: tuple[Any, Any]) -> None:
    model, _ = fitted
    model.trainer.save_checkpoint("tutorial.ckpt")
    loaded = RegressionTask.load_from_checkpoint("tutorial.ckpt")
    assert torch.equal(torch.stack(loaded.predict(PREDICT_DATA)), torch.stack(model.predict(PREDICT_DATA)))

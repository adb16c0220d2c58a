"""What a network expects of its inputs: stated by the task, read by the hooks, stored nowhere between them."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import flash
from flash import DataModule, Preprocess
from flash.core.binding import bind
from flash.data.auto_dataset import AutoDataset
from flash.data.columns import Columns
from flash.data.stage import Stage
from flash.data.streams import AutoStream
from flash.errors import ConfigurationError

SERIES = [float(number) for number in range(12)]


@dataclass(frozen=True)
class Window:
    """A network that sees so many numbers at a time."""

    length: int
    scale: float = 1.0


class Windows(Preprocess):
    """A series is cut into windows of the network's length, and scaled on the device."""

    def __init__(self) -> None:
        self.cut: list[tuple[Stage, int]] = []

    def load_data(self, data: list[float]) -> list[float]:
        return data

    def prepare_samples(self, samples: list[float], dataset: AutoDataset) -> list[list[float]]:
        length = self.input_spec.length
        self.cut.append((dataset.hooks.stage, length))
        return [samples[start : start + length] for start in range(0, len(samples) - length + 1, length)]

    def to_tensor_transform(self, sample: list[float]) -> Tensor:
        return torch.tensor(sample)

    def collate(self, samples: Any) -> Tensor:
        assert all(len(sample) == self.input_spec.length for sample in samples)
        return torch.stack(list(samples))

    def per_batch_transform_on_device(self, batch: Tensor) -> Tensor:
        return batch * self.input_spec.scale

    def check_input_spec(self, input_spec: Any) -> None:
        if input_spec is not None and input_spec.length > 10:
            raise ConfigurationError(f"Expected windows of at most 10, but the network takes {input_spec.length}.")


class Mean(flash.Task):
    """Predicts the mean of a window."""

    preprocess_cls = Windows

    def __init__(self, length: int = 3, scale: float = 1.0) -> None:
        super().__init__(nn.Linear(1, 1))
        self.length, self.scale = length, scale

    @property
    def input_spec(self) -> Window:
        return Window(self.length, self.scale)

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1, keepdim=True)


def series() -> DataModule:
    return DataModule.from_load_data_inputs(SERIES, SERIES[:6], preprocess=Windows(), batch_size=2, seed=0)


def test_samples_are_prepared_for_the_network_once_and_only_where_they_are_needed() -> None:
    data = series()
    assert len(data.train_dataset) == 12
    bind(Mean(3), data)
    assert data.preprocess.cut == []
    assert len(data.train_dataset) == 4
    assert data.train_dataset[1].tolist() == [3.0, 4.0, 5.0]
    bind(Mean(3), data)
    list(data.train_dataloader())
    assert data.preprocess.cut == [(Stage.TRAIN, 3)]


def test_another_task_gets_its_own_samples_and_the_first_its_own_again() -> None:
    data, small, large = series(), Mean(2), Mean(6)
    for task, count in ((small, 6), (large, 2), (small, 6)):
        bind(task, data)
        assert len(data.train_dataset) == count
        assert next(iter(data.val_dataloader())).shape[1] == task.length


def test_tasks_that_share_a_preprocess_do_not_disturb_each_other() -> None:
    data, small, large = series(), Mean(2), Mean(6, scale=10.0)
    bind(small, data)
    bind(large, data)
    assert small.preprocess is large.preprocess
    for _ in range(2):
        assert [float(each) for each in small.predict(SERIES)] == [0.5, 2.5, 4.5, 6.5, 8.5, 10.5]
        assert [float(each) for each in large.predict(SERIES)] == [25.0, 85.0]


def test_a_dataset_for_another_network_is_a_copy() -> None:
    dataset = AutoDataset(SERIES, Stage.TRAIN, Windows(), Window(3))
    other = dataset.with_input_spec(Window(4))
    assert (len(dataset), len(other)) == (4, 3)
    assert dataset.with_input_spec(Window(3)) is dataset


def test_a_part_of_a_dataset_is_of_prepared_samples() -> None:
    part = AutoDataset(SERIES, Stage.TRAIN, Windows(), Window(3)).subset([3, 1], Stage.VAL)
    assert [part[row].tolist() for row in (0, 1)] == [[9.0, 10.0, 11.0], [3.0, 4.0, 5.0]]
    assert part.hooks.input_spec == Window(3)


def test_a_copy_in_a_worker_knows_the_network() -> None:
    dataset = pickle.loads(pickle.dumps(AutoDataset(SERIES, Stage.TRAIN, Windows(), Window(3))))
    assert dataset.hooks.collate([dataset[0], dataset[3]]).tolist() == [[0.0, 1.0, 2.0], [9.0, 10.0, 11.0]]


def test_samples_may_be_prepared_into_columns() -> None:
    class Stacked(Preprocess):
        def prepare_samples(self, samples: Any, dataset: Any) -> Columns:
            return Columns(torch.tensor(samples).view(-1, self.input_spec.length))

    dataset = AutoDataset(SERIES, Stage.PREDICT, Stacked(), Window(4))
    assert dataset.columns is not None
    assert dataset.subset([2], Stage.PREDICT)[0].tolist() == [8.0, 9.0, 10.0, 11.0]
    assert dataset.id_of(2) == 2


def test_a_stream_is_not_prepared_but_its_hooks_know_the_network() -> None:
    class Scaled(Preprocess):
        def load_data(self, data: Any) -> Any:
            return lambda: iter(data)

        def to_tensor_transform(self, sample: Any) -> Any:
            return torch.tensor(sample * self.input_spec.scale)

    class Net(flash.Task):
        def __init__(self, scale: float) -> None:
            super().__init__(nn.Linear(1, 1))
            self.scale = scale

        @property
        def input_spec(self) -> Window:
            return Window(1, self.scale)

    data = DataModule.from_load_data_inputs(SERIES, preprocess=Scaled(), batch_size=6)
    for scale in (2.0, 3.0):
        bind(Net(scale), data)
        assert isinstance(data.train_dataset, AutoStream)
        assert data.train_dataset.with_input_spec(Window(1, scale)) is data.train_dataset
        assert next(iter(data.train_dataloader())).tolist() == [scale * number for number in SERIES[:6]]


def test_data_that_comes_later_is_for_the_connected_network() -> None:
    data = DataModule.from_load_data_inputs(val_load_data_input=SERIES, preprocess=Windows(), batch_size=2)
    bind(Mean(4), data)
    assert len(data.val_dataset) == 3


def test_a_network_that_does_not_fit_is_refused_when_it_is_connected_and_when_it_predicts() -> None:
    for run in (lambda: bind(Mean(11), series()), lambda: Mean(11).predict(SERIES)):
        with pytest.raises(ConfigurationError, match="at most 10, but the network takes 11"):
            run()


def test_a_backbone_may_state_what_it_expects() -> None:
    class Net(flash.Task):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.Linear(3, 3)
            self.backbone.input_spec = Window(3)  # type: ignore[assignment]  # a plain value

    assert Net().input_spec == Window(3)
    assert flash.Task(nn.Linear(1, 1)).input_spec is None


def test_a_task_that_states_nothing_leaves_samples_as_they_are() -> None:
    data = series()
    bind(flash.Task(nn.Linear(1, 1)), data)
    assert data.input_spec is None
    assert len(data.train_dataset) == 12
    assert data.preprocess.cut == []


def test_outside_of_hooks_a_preprocess_knows_no_network() -> None:
    data = series()
    bind(Mean(3), data)
    list(data.train_dataloader())
    assert data.preprocess.input_spec is None

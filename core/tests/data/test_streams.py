"""Streams: nothing lost, nothing twice, in the order of one process, and hooks run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import IterableDataset, get_worker_info

from flash import DataModule, Preprocess, Task, Trainer
from flash.data.auto_dataset import AutoDataset
from flash.data.loader import make_loader
from flash.data.process import StageHooks
from flash.data.stage import Stage
from flash.data.streams import AutoStream, is_stream, load_dataset
from flash.errors import ConfigurationError, DataError


class Numbers(IterableDataset[float]):
    """The numbers from 0 on."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __iter__(self) -> Iterator[float]:
        return iter([float(number) for number in range(self.length)])


class Sized(Numbers):
    def __len__(self) -> int:
        return self.length


class Sharing(Numbers):
    """Gives each worker different numbers by itself."""

    def __iter__(self) -> Iterator[float]:
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        return iter([float(number) for number in range(first, self.length, step)])


class Doubling(Preprocess):
    """Makes a stream of a length, and knows it."""

    def load_data(self, data: int, dataset: AutoDataset) -> Any:
        facts: Any = dataset
        facts.num_inputs = data
        return Numbers(data)

    def post_tensor_transform(self, sample: Any) -> Any:
        return sample * 2


def batches(source: Any, stage: Stage = Stage.TRAIN, **options: Any) -> list[list[float]]:
    options = {"batch_size": 2, "persistent_workers": False, **options}
    return [batch.tolist() for batch in make_loader(source, stage, None, **options)]


@pytest.mark.parametrize(
    ("samples", "wanted"),
    [
        (Numbers(2), True),
        (iter([1]), True),
        ((1 for _ in ()), True),
        (lambda: iter([1]), True),
        ([1], False),
        ({1}, True),
    ],
)
def test_a_stream_is_what_has_no_length_or_no_index(samples: Any, wanted: bool) -> None:
    assert is_stream(samples) is wanted


def test_the_hooks_run_on_the_samples_of_a_stream_and_facts_are_kept() -> None:
    dm = DataModule.from_load_data_inputs(3, preprocess=Doubling(), batch_size=2)
    assert dm.facts == {"num_inputs": 3}
    assert dm.train_dataset.num_inputs == 3
    assert [batch.tolist() for batch in dm.train_dataloader()] == [[0, 2], [4]]
    assert [batch.tolist() for batch in dm.train_dataloader()] == [[0, 2], [4]]
    with pytest.raises(AttributeError, match="'AutoStream' object has no attribute 'labels'"):
        _ = dm.train_dataset.labels


@pytest.mark.process
@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("length", [0, 5, 8])
def test_workers_give_the_batches_of_one_process_in_their_order(length: int, workers: int) -> None:
    assert batches(Numbers(length), num_workers=workers) == batches(Numbers(length))


@pytest.mark.process
def test_a_source_that_shares_itself_out_must_say_so() -> None:
    with pytest.raises(DataError, match="Expected to know whether Sharing yields different rows.*is_sharded = True"):
        batches(Sharing(8), num_workers=2)
    assert len(batches(Sharing(8))) == 4
    source: Any = Sharing(8)
    source.is_sharded = True
    assert batches(source, num_workers=2) == [[0, 2], [1, 3], [4, 6], [5, 7]]


@pytest.mark.parametrize("length", range(10))
@pytest.mark.parametrize("stage", [Stage.VAL, Stage.PREDICT])
def test_processes_share_out_all_rows_but_in_training(length: int, stage: Stage) -> None:
    parts = [batches(Numbers(length), stage, shard=(rank, 3)) for rank in range(3)]
    assert sorted(number for part in parts for batch in part for number in batch) == list(range(length))


@pytest.mark.parametrize("length", range(1, 10))
def test_in_training_all_processes_have_as_many_batches(length: int) -> None:
    parts = []
    for rank in range(3):
        stream = AutoStream(Sized(length), StageHooks(Preprocess(), Stage.TRAIN))
        loader = make_loader(stream, Stage.TRAIN, None, batch_size=2, shard=(rank, 3))
        parts.append([batch.tolist() for batch in loader])
        assert len(loader) == len(parts[-1])
    assert len({len(part) for part in parts}) == 1
    assert {number for part in parts for batch in part for number in batch} == set(range(length))


def test_the_length_is_that_of_the_source_if_it_has_one() -> None:
    assert len(make_loader(Sized(5), Stage.VAL, None, batch_size=2)) == 3
    assert len(make_loader(Sized(5), Stage.VAL, None, batch_size=2, shard=(1, 2))) == 1
    with pytest.raises(TypeError, match="The stream has no length"):
        len(make_loader(Numbers(5), Stage.VAL, None, batch_size=2))
    source: Any = Sized(5)
    source.is_sharded = True
    assert len(make_loader(source, Stage.VAL, None, batch_size=2, shard=(1, 2))) == 3


def test_a_checkpoint_counts_the_batches_of_a_stream() -> None:
    loader: Any = make_loader(Numbers(7), Stage.TRAIN, None, batch_size=2)
    one = iter(loader)
    assert [next(one).tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    resumed: Any = make_loader(Numbers(7), Stage.TRAIN, None, batch_size=2)
    resumed.load_state_dict(loader.state_dict())
    assert [batch.tolist() for batch in resumed] == [[4, 5], [6]]
    assert [batch.tolist() for batch in resumed] == [[0, 1], [2, 3], [4, 5], [6]]


@pytest.mark.process
def test_a_stream_is_resumed_in_its_order_also_by_workers_that_live_on() -> None:
    loader: Any = make_loader(Numbers(9), Stage.TRAIN, None, batch_size=2, num_workers=2, persistent_workers=True)
    loader.load_state_dict({"batches": 1})
    assert [batch.tolist() for batch in loader] == [[2, 3], [4, 5], [6, 7], [8]]
    assert [batch.tolist() for batch in loader] == [[0, 1], [2, 3], [4, 5], [6, 7], [8]]


@pytest.mark.process
def test_a_source_that_shares_itself_out_is_resumed_too() -> None:
    source: Any = Sharing(8)
    source.is_sharded = True
    loader: Any = make_loader(source, Stage.TRAIN, None, batch_size=2, num_workers=2)
    loader.load_state_dict({"batches": 3})
    assert [batch.tolist() for batch in loader] == [[5, 7]]


def test_what_can_be_read_only_once_is_refused_for_training() -> None:
    class Once(Preprocess):
        def load_data(self, data: Any) -> Any:
            return iter(data)

    with pytest.raises(DataError, match=r"train data that can be read in each epoch, but got a list_iterator.*lambda"):
        load_dataset([1.0], Stage.TRAIN, Once())
    stream = load_dataset([1.0], Stage.PREDICT, Once())
    assert isinstance(stream, AutoStream)
    assert list(stream) == [1.0]


def test_what_is_neither_a_sequence_nor_a_stream_is_refused() -> None:
    class Nothing(Preprocess):
        def load_data(self, data: Any) -> Any:
            return 7

    with pytest.raises(DataError, match=r"Expected Nothing.load_data to return a sequence of samples.*but got int"):
        load_dataset([1.0], Stage.TRAIN, Nothing())


def test_a_stream_cannot_be_split() -> None:
    with pytest.raises(ConfigurationError, match="Expected train data with a length and rows to split"):
        DataModule(Numbers(4), preprocess=Preprocess(), val_split=0.5)


class Tagged(Preprocess):
    def post_tensor_transform(self, sample: Any) -> Any:
        return tuple(part + 1 for part in sample)


ROWS = [(torch.zeros(2), torch.zeros(1))] * 4


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(ROWS)


@pytest.mark.parametrize("data", [Stream(), ROWS])
def test_the_hooks_of_a_preprocess_run_on_datasets(data: Any) -> None:
    dm = DataModule.from_datasets(data, data, preprocess=Tagged(), batch_size=4)
    for loader in (dm.train_dataloader(), dm.val_dataloader()):
        inputs, targets = next(iter(loader))
        assert inputs.tolist() == [[1, 1]] * 4
        assert targets.tolist() == [[1]] * 4


def test_a_task_learns_from_a_stream(trainer_options: dict[str, Any]) -> None:
    dm = DataModule.from_load_data_inputs(lambda: iter(ROWS), val_load_data_input=lambda: iter(ROWS), batch_size=2)
    task = Task(model=torch.nn.Linear(2, 1), loss_fn=torch.nn.functional.mse_loss)
    trainer = Trainer(max_epochs=1, **trainer_options)
    trainer.fit(task, dm)
    assert trainer.global_step == 2
    assert "val_loss" in trainer.callback_metrics

"""Batches of samples of similar length: what they hold, that they can be repeated, and that order is put back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

import flash
from flash.data.auto_dataset import AutoDataset
from flash.data.columns import Columns
from flash.data.data_module import DataModule
from flash.data.loader import batches_in_order, make_loader
from flash.data.process import Postprocess, Preprocess
from flash.data.samplers import restore_order, sorted_rows
from flash.data.stage import Stage

LENGTHS = [3, 9, 1, 7, 7, 2, 5, 8, 4, 6, 1, 9]


class Rows:
    """Samples that say how long they are; sample ``i`` holds its number, as often as it is long."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths = torch.tensor(lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: Any) -> Tensor:
        return torch.full((int(self.lengths[row]),), float(row))


class Ragged(Preprocess):
    def load_data(self, data: Any) -> Rows:
        return Rows(data)

    def collate(self, samples: Sequence[Tensor]) -> Tensor:
        return pad_sequence(list(samples), batch_first=True, padding_value=-1)


class First(flash.Task):
    """Predicts the number of each sample, and keeps the widths of its batches."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(nn.Linear(1, 1), **kwargs)
        self.widths: list[int] = []

    def forward(self, x: Any) -> Tensor:
        self.widths.append(x.shape[1])
        return x[:, :1]


def dataset(stage: Stage = Stage.TRAIN, lengths: Sequence[int] = LENGTHS) -> AutoDataset:
    return AutoDataset(lengths, stage, Ragged())


def rows_of(loader: Any) -> list[list[int]]:
    return [batch[:, 0].int().tolist() for batch in loader]


def quiet(**options: Any) -> flash.Trainer:
    return flash.Trainer(
        logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu", **options
    )


class TestTraining:
    def test_an_epoch_has_every_row_once(self) -> None:
        loader = make_loader(dataset(), Stage.TRAIN, None, batch_size=5, by_length=True)
        assert sorted(row for batch in rows_of(loader) for row in batch) == list(range(12))

    def test_full_batches_are_of_rows_of_similar_length(self) -> None:
        lengths = (torch.randperm(200) + 1).tolist()
        loader = make_loader(dataset(lengths=lengths), Stage.TRAIN, None, batch_size=4, by_length=True)
        spreads = [max(lengths[row] for row in batch) - min(lengths[row] for row in batch) for batch in rows_of(loader)]
        assert max(spreads) == 3

    def test_batches_come_in_random_order(self) -> None:
        lengths = list(range(1, 201))
        loader = make_loader(dataset(lengths=lengths), Stage.TRAIN, None, batch_size=4, by_length=True)
        firsts = [batch[0] for batch in rows_of(loader)]
        assert firsts != sorted(firsts)

    def test_only_the_last_batch_is_not_full(self) -> None:
        loader = make_loader(dataset(), Stage.TRAIN, None, batch_size=5, by_length=True)
        assert [len(batch) for batch in rows_of(loader)] == [5, 5, 2]

    def test_epochs_differ_and_each_can_be_repeated(self) -> None:
        def epoch(number: int) -> list[list[int]]:
            return rows_of(make_loader(dataset(), Stage.TRAIN, None, batch_size=4, epoch=number, by_length=True))

        assert epoch(1) == epoch(1)
        assert epoch(1) != epoch(2)

    def test_a_resumed_epoch_goes_on_with_the_batches_that_are_left(self) -> None:
        whole = rows_of(make_loader(dataset(), Stage.TRAIN, None, batch_size=4, by_length=True))
        resumed: Any = make_loader(dataset(), Stage.TRAIN, None, batch_size=4, by_length=True)
        resumed.load_state_dict({"batches": 1})
        assert rows_of(resumed) == whole[1:]

    def test_a_sampler_of_the_user_wins(self) -> None:
        loader = make_loader(dataset(), Stage.TRAIN, None, batch_size=4, sampler=range(4), by_length=True)
        assert rows_of(loader) == [[0, 1, 2, 3]]

    def test_a_subset_has_the_lengths_of_its_rows(self) -> None:
        lengths = dataset().subset([1, 2], Stage.VAL).lengths
        assert lengths is not None
        assert lengths.tolist() == [9, 1]

    def test_processes_share_the_rows_and_see_similar_lengths_at_a_time(self) -> None:
        lengths = (torch.randperm(40) + 1).tolist()
        shards = [
            rows_of(make_loader(dataset(lengths=lengths), Stage.TRAIN, None, batch_size=4, shard=s, by_length=True))
            for s in ((0, 2), (1, 2))
        ]
        assert sorted(row for shard in shards for batch in shard for row in batch) == list(range(40))
        together = [[lengths[row] for row in one + other] for one, other in zip(*shards, strict=True)]
        assert all(max(batch) - min(batch) == 7 for batch in together)

    def test_processes_have_the_same_number_of_rows(self) -> None:
        counts = [
            sum(map(len, rows_of(make_loader(dataset(), Stage.TRAIN, None, batch_size=4, shard=s, by_length=True))))
            for s in ((0, 5), (4, 5))
        ]
        assert counts == [3, 3]


class TestOtherStages:
    def test_samples_come_longest_first(self) -> None:
        loader = make_loader(dataset(Stage.VAL), Stage.VAL, None, batch_size=5, by_length=True)
        lengths = [LENGTHS[row] for batch in rows_of(loader) for row in batch]
        assert lengths == sorted(LENGTHS, reverse=True)

    def test_results_can_be_put_back_into_order(self) -> None:
        loader = make_loader(dataset(Stage.PREDICT), Stage.PREDICT, None, batch_size=5, by_length=True)
        rows = sorted_rows(loader)
        assert rows is not None
        assert restore_order(rows, [row for batch in rows_of(loader) for row in batch]) == list(range(12))

    def test_samples_come_in_order_unless_length_is_asked_for(self) -> None:
        loader = make_loader(dataset(Stage.PREDICT), Stage.PREDICT, None, batch_size=5)
        assert [row for batch in rows_of(loader) for row in batch] == list(range(12))
        assert sorted_rows(loader) is None


class TestPrediction:
    def test_a_task_predicts_by_length_and_answers_in_order(self) -> None:
        task = First(preprocess=Ragged())
        assert [int(result) for result in task.predict(LENGTHS, batch_size=4)] == list(range(12))
        assert task.widths == [9, 7, 3]

    def test_a_trainer_predicts_by_length_and_answers_in_order(self) -> None:
        task = First()
        data = DataModule.from_load_data_inputs(predict_load_data_input=LENGTHS, preprocess=Ragged(), batch_size=5)
        batches = quiet().predict(task, datamodule=data)
        assert [[int(result) for result in batch] for batch in batches] == [
            [0, 1, 2, 3, 4],
            [5, 6, 7, 8, 9],
            [10, 11],
        ]
        assert task.widths == [9, 6, 1]

    def test_a_limited_prediction_is_of_the_first_batches(self) -> None:
        data = DataModule.from_load_data_inputs(predict_load_data_input=LENGTHS, preprocess=Ragged(), batch_size=5)
        batches = quiet(limit_predict_batches=1).predict(First(), datamodule=data)
        assert [int(result) for result in batches[0]] == [0, 1, 2, 3, 4]

    def test_lightnings_own_trainer_gets_samples_in_order(self) -> None:
        data = DataModule.from_load_data_inputs(predict_load_data_input=LENGTHS, preprocess=Ragged(), batch_size=5)
        trainer = pl.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu")
        batches: Any = trainer.predict(First(preprocess=Ragged()), datamodule=data)
        assert [int(result) for batch in batches for result in batch] == list(range(12))

    @pytest.mark.parametrize("by_trainer", [True, False])
    def test_results_that_are_saved_as_they_come_are_numbered_as_the_inputs(
        self, by_trainer: bool, tmp_path: Any
    ) -> None:
        task = First(preprocess=Ragged(), postprocess=Postprocess(str(tmp_path)))
        if by_trainer:
            data = DataModule.from_load_data_inputs(predict_load_data_input=LENGTHS, preprocess=Ragged(), batch_size=5)
            quiet().predict(task, datamodule=data)
        else:
            task.predict(LENGTHS, batch_size=5)
        assert [int(torch.load(tmp_path / f"{row}.pt")) for row in range(12)] == list(range(12))


@pytest.mark.parametrize("batch_size", [1, 5, 64])
@pytest.mark.parametrize("by_length", [False, True])
def test_batches_without_a_loader_are_those_of_a_loader(by_length: bool, batch_size: int) -> None:
    columns = AutoDataset(Columns((torch.randn(7, 2), torch.arange(7))), Stage.VAL, Preprocess())
    options: Any = {"batch_size": batch_size, "by_length": by_length}
    for each in (dataset(Stage.PREDICT), columns, columns.subset([5, 1, 3], Stage.TEST)):
        loader: Any = make_loader(each, Stage.PREDICT, None, **options)
        rows, batches = zip(*batches_in_order(each, **options), strict=True)
        assert [list(batch) for batch in rows] == list(map(list, loader.batch_sampler))
        torch.testing.assert_close(list(batches), list(loader), rtol=0, atol=0)

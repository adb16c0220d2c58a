"""Orders of rows: they follow from the seed and the epoch, and processes share them out."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler

from flash.data.auto_dataset import AutoDataset
from flash.data.loader import make_loader
from flash.data.process import Preprocess
from flash.data.samplers import (
    BatchRows,
    BucketedRows,
    EvaluationShard,
    EvenBatches,
    ShuffledRows,
    SortedRows,
    TrainShard,
    in_turns,
    restore_order,
    sorted_rows,
)
from flash.data.stage import Stage
from flash.data.windows import Windows


def test_shuffled_rows_come_without_a_python_step_a_row() -> None:
    batches = list(BatchRows(ShuffledRows(5, seed=0), 2, drop_last=False))
    assert all(isinstance(batch, torch.Tensor) for batch in batches)


def test_an_order_follows_from_seed_and_epoch() -> None:
    rows, same, other = ShuffledRows(20, seed=3), ShuffledRows(20, seed=3), ShuffledRows(20, seed=4)
    for each in (rows, same, other):
        each.set_epoch(5)
    assert list(rows) == list(same) != list(other)


def test_the_epochs_of_one_seed_are_not_those_of_another() -> None:
    """Seed and epoch added up would make epoch 1 of seed 0 epoch 0 of seed 1."""
    one, other = ShuffledRows(20, seed=0), ShuffledRows(20, seed=1)
    one.set_epoch(1)
    assert list(one) != list(other)


def test_an_order_that_nobody_tells_the_epoch_is_another_one_in_each_pass() -> None:
    rows = ShuffledRows(20, seed=0)
    assert list(rows) != list(rows)
    batches = BatchRows(rows, 20, drop_last=False)
    assert [each.tolist() for each in batches] != [each.tolist() for each in batches]
    assert rows.epoch == 3


def test_a_loader_in_a_loop_by_hand_shuffles_anew_and_one_that_is_told_the_epoch_repeats_it() -> None:
    loader = make_loader(range(20), Stage.TRAIN, None, batch_size=20)  # type: ignore[arg-type]  # has all it needs

    def batch() -> list[int]:
        (only,) = loader
        return [int(each) for each in only]

    first, second = batch(), batch()
    loader.sampler.set_epoch(0)  # type: ignore[attr-defined]  # a sampler of Flash
    assert first == batch() != second


def test_an_order_goes_on_behind_the_pass_that_a_state_is_of() -> None:
    rows, other = ShuffledRows(20, seed=0), ShuffledRows(20, seed=9)
    list(rows)
    other.load_state_dict(rows.state_dict())
    assert list(other) == list(rows)


def test_large_seeds_are_seeds() -> None:
    assert sorted(ShuffledRows(3, seed=2**62)) == [0, 1, 2]


class TestBucketedRows:
    def test_fewer_rows_than_a_batch_are_one_batch(self) -> None:
        assert len(BucketedRows(torch.tensor([2, 1]), seed=0, batch_size=4).permutation()) == 2

    def test_windows_keep_far_away_rows_out_of_a_batch(self) -> None:
        """Otherwise the same rows would meet in every epoch."""
        rows = BucketedRows(torch.arange(1000), seed=0, batch_size=2)
        first = {frozenset(pair) for pair in rows.permutation().view(-1, 2).tolist()}
        rows.set_epoch(1)
        second = {frozenset(pair) for pair in rows.permutation().view(-1, 2).tolist()}
        assert len(first & second) < 250


class TestTrainShard:
    def test_processes_have_each_row_of_one_order(self) -> None:
        shards = [TrainShard(ShuffledRows(8, seed=0), rank, processes=2) for rank in (0, 1)]
        both = torch.tensor([list(shard) for shard in shards]).T.flatten()
        assert torch.equal(both, ShuffledRows(8, seed=0).permutation()[:])

    @pytest.mark.parametrize(("rows", "processes"), [(5, 2), (1, 3), (7, 4), (6, 3)])
    def test_all_processes_have_as_many_rows_and_the_first_ones_serve_twice(self, rows: int, processes: int) -> None:
        shards = [TrainShard(ShuffledRows(rows, seed=0), rank, processes) for rank in range(processes)]
        shares = [list(shard) for shard in shards]
        assert {len(share) for share in shares} == {len(shards[0])} == {-(-rows // processes)}
        assert {row for share in shares for row in share} == set(range(rows))

    def test_rows_that_fill_no_share_can_be_left_out(self) -> None:
        shards = [TrainShard(ShuffledRows(5, seed=0), rank, 2, drop_last=True) for rank in (0, 1)]
        shares = [list(shard) for shard in shards]
        assert [len(share) for share in shares] == [len(shard) for shard in shards] == [2, 2]
        assert len({*shares[0], *shares[1]}) == 4

    def test_an_epoch_is_the_same_one_in_each_process_and_another_one_in_the_next_pass(self) -> None:
        one, other = (TrainShard(ShuffledRows(20, seed=0), 0, 2) for _ in range(2))
        one.set_epoch(4)
        other.set_epoch(4)
        first = list(one)
        assert first == list(other)
        assert first != list(one)

    def test_a_state_is_that_of_its_order(self) -> None:
        one, other = TrainShard(ShuffledRows(20, seed=0), 1, 2), TrainShard(ShuffledRows(20, seed=9), 1, 2)
        list(one)
        other.load_state_dict(one.state_dict())
        assert list(other) == list(one)


class TestEvaluationShard:
    @pytest.mark.parametrize("rows", [0, 1, 5, 6])
    def test_each_row_is_in_one_process_once(self, rows: int) -> None:
        shards = [EvaluationShard(range(rows), rank, processes=2) for rank in (0, 1)]
        assert sorted(row for shard in shards for row in shard) == list(range(rows))
        assert [len(shard) for shard in shards] == [len(list(shard)) for shard in shards]

    def test_the_order_of_the_rows_is_kept(self) -> None:
        order = SortedRows(torch.tensor([3, 9, 5]))
        assert [list(EvaluationShard(order, rank, 2)) for rank in (0, 1)] == [[1, 0], [2]]


def test_lightning_sees_that_rows_are_shared_out_already() -> None:
    """It would put a sampler of its own in place of another."""
    assert isinstance(TrainShard(ShuffledRows(2, 0), 0, 2), DistributedSampler)
    assert isinstance(EvaluationShard(range(2), 0, 2), DistributedSampler)


def test_results_go_back_to_the_places_of_their_rows() -> None:
    assert restore_order([2, 0, 1], ["c", "a", "b"]) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="zip"):
        restore_order([0, 1], ["a"])


def test_only_a_loader_that_sorts_says_in_which_order() -> None:
    lengths = torch.tensor([1, 3, 2])
    batches = BatchRows(SortedRows(lengths), 2, drop_last=False)
    assert sorted_rows(DataLoader(range(3), batch_sampler=batches)) == [1, 2, 0]  # type: ignore[arg-type]
    assert sorted_rows(DataLoader(range(3))) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("batches", [0, 1, 2, 5, 9])
@pytest.mark.parametrize("lanes", [1, 2, 3, 4])
def test_each_worker_gets_batches_that_follow_one_another_and_each_batch_comes_once(batches: int, lanes: int) -> None:
    found = list(in_turns(batches, lanes))
    assert sorted(found) == list(range(batches))
    of_workers = [number for lane in range(lanes) for number in found[lane::lanes]]
    assert of_workers == list(range(batches))


@pytest.mark.parametrize("kind", [BatchRows, EvenBatches])
@pytest.mark.parametrize("rows", [7, 40, 41])
def test_batches_for_workers_are_those_in_order(kind: type[BatchRows], rows: int) -> None:
    for rank in range(2):
        shards = [EvaluationShard(range(rows), rank, 2, consecutive=True, lanes=lanes) for lanes in (1, 3)]
        one, other = (list(kind(shard, 4, drop_last=False)) for shard in shards)
        assert len(one) == len(other)
        assert sorted(map(list, other)) == list(map(list, one))


class OnDisk(list[float]):
    """Samples that say how they lie on disk."""

    windows = Windows(rows_of_block=2, blocks_of_window=2)


def test_results_of_a_loader_with_lanes_are_put_in_order() -> None:
    dataset = AutoDataset(OnDisk(map(float, range(10))), Stage.VAL, Preprocess())
    loader = make_loader(dataset, Stage.VAL, None, batch_size=3, num_workers=2, in_any_order=True)
    order = sorted_rows(loader)
    assert order == [0, 1, 2, 6, 7, 8, 3, 4, 5, 9]
    assert restore_order(order, order) == list(range(10))
    assert sorted_rows(make_loader(dataset, Stage.VAL, None, batch_size=3, num_workers=2)) is None

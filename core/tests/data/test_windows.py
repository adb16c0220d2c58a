"""A random order that reads a file block by block: complete, repeatable, and well mixed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from flash.data.samplers import BatchRows, TrainShard
from flash.data.windows import WindowedOrder, WindowedRows


@pytest.mark.parametrize("length", [1, 2, 7, 8, 64, 65, 1000])
@pytest.mark.parametrize(("rows", "blocks"), [(1, 1), (4, 3), (8, 2), (100, 5)])
def test_each_row_comes_once(length: int, rows: int, blocks: int) -> None:
    order = WindowedOrder(length, rows, blocks, seed=3)
    assert order[0:length].sort().values.tolist() == list(range(length))
    assert torch.equal(torch.cat([order[start : start + 3] for start in range(0, length, 3)]), order[0:length])


def test_an_order_depends_on_the_seed_and_the_epoch() -> None:
    first, other = (WindowedRows(500, seed, 4, 16) for seed in (0, 1))
    epochs = [list(first), list(first), list(other)]
    assert epochs[0] != epochs[1]
    assert epochs[0] != epochs[2]
    first.set_epoch(0)
    assert list(first) == epochs[0]


def test_no_more_blocks_than_a_window_are_needed_at_a_time() -> None:
    rows = WindowedOrder(10_000, 10, 50, seed=0)[0:10_000].numpy().reshape(20, 500)
    assert {len(np.unique(window // 10)) for window in rows} == {50}


def test_rows_that_were_sorted_by_class_are_mixed_nearly_as_by_a_full_shuffle() -> None:
    """The class counts of batches, beside those of a random order of all rows."""
    rows, batch = 1 << 18, 256
    order = WindowedOrder(rows, 64, 512, seed=0)
    classes = (torch.arange(rows) * 16) // rows  # sorted, 16 classes
    full = torch.randperm(rows, generator=torch.Generator().manual_seed(0))

    def spread(taken: torch.Tensor) -> float:
        shares = torch.nn.functional.one_hot(classes[taken].view(-1, batch), 16).float().mean(1)
        return float(shares.std(0).mean())

    assert spread(order[0:rows]) < 1.4 * spread(full)
    # Neighbors of the file are no neighbors of the order.
    gaps = (order[0:rows].diff().abs() == 1).float().mean()
    assert gaps < 3 / (64 * 512) * 4


def test_processes_share_an_order_and_none_has_the_whole_of_it_in_memory() -> None:
    shards = [TrainShard(WindowedRows(101, 0, 4, 5), rank, processes=2) for rank in (0, 1)]
    orders = [shard.next_pass() for shard in shards]
    assert not any(isinstance(order, torch.Tensor) for order in orders)
    rows = [order[0 : len(order)].tolist() for order in orders]
    assert len(rows[0]) == len(rows[1]) == 51
    assert set(rows[0] + rows[1]) == set(range(101))  # one of them is in both
    assert len({row // 4 for row in rows[0]} & {row // 4 for row in rows[1]}) <= 2
    assert [*shards[0]] != rows[0]  # the next epoch


@pytest.mark.parametrize("length", [40, 101, 500])
@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 1, 2, 3, 5])
def test_each_row_comes_once_whoever_reads_it(length: int, processes: int, workers: int) -> None:
    """Blocks of several sizes; with enough of them, each worker of each process reads its own."""
    edges = torch.tensor([0, *sorted({*range(3, length, 4), *range(1, length, 7)}), length])
    found: list[set[int]] = []
    rows: list[int] = []
    for rank in range(processes):
        order = WindowedRows(length, 0, edges, 5, workers=workers, batch_size=4)
        whole: Any = order if processes == 1 else TrainShard(order, rank, processes)
        batches = [batch.tolist() for batch in BatchRows(whole, 4, drop_last=False)]
        assert {len(batch) for batch in batches[:-1]} == {4}
        rows += [row for batch in batches for row in batch]
        turns = [batches[worker :: workers or 1] for worker in range(workers or 1)]
        found += [{row for batch in turn for row in batch} for turn in turns]
    assert set(rows) == set(range(length))
    assert len(rows) == -(-length // processes) * processes
    blocks = [set(torch.searchsorted(edges, torch.tensor(sorted(each)), right=True).tolist()) for each in found]
    count, readers = len(edges) - 1, len(blocks)
    if count >= readers * 5:
        # Neighbors share the block at their bound, and two processes what fills up.
        assert sum(map(len, blocks)) <= count + 2 * readers
    else:
        assert sum(map(len, blocks)) > count


@pytest.mark.parametrize("processes", [1, 2])
def test_the_rest_of_a_pass_is_that_of_its_workers_whatever_their_number(processes: int) -> None:
    def batches(workers: int) -> BatchRows:
        order = WindowedRows(500, 0, 4, 5, workers=workers, batch_size=8)
        return BatchRows(order if processes == 1 else TrainShard(order, 0, processes), 8, drop_last=False)

    one = batches(2)
    whole = [batch.tolist() for batch in one]
    state = one.state_of_rows()
    assert state == {"lanes": 2}
    for workers in (0, 2, 3):
        resumed = batches(workers)
        resumed.begin(4, 1, state)
        assert [batch.tolist() for batch in resumed] == whole[4:]
        # The next pass is that of the workers there are.
        resumed.begin(0, 2)
        list(resumed)
        assert resumed.state_of_rows() == {"lanes": max(1, workers)}


def test_workers_share_one_window_if_there_are_not_enough_blocks() -> None:
    alone = [*WindowedRows(100, 0, 4, 20, batch_size=8)]
    assert [*WindowedRows(100, 0, 4, 20, workers=2, batch_size=8)] == alone
    assert [*WindowedRows(100, 0, 4, 12, workers=2, batch_size=8)] != alone


def test_a_pass_goes_on_after_the_batches_that_were_used() -> None:
    batches = BatchRows(WindowedRows(50, 0, 4, 3), 8, drop_last=False)
    whole = [batch.tolist() for batch in batches]
    resumed = BatchRows(WindowedRows(50, 0, 4, 3), 8, drop_last=False)
    resumed.begin(3, 1)
    assert [batch.tolist() for batch in resumed] == whole[3:]

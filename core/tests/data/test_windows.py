"""A random order that reads a file block by block: complete, repeatable, and well mixed."""

from __future__ import annotations

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
    assert sorted(rows[0] + rows[1][:-1]) == list(range(101))
    assert rows[1][-1] == rows[0][0]  # the first fills up
    assert [*shards[0]] != rows[0]  # the next epoch


def test_a_pass_goes_on_after_the_batches_that_were_used() -> None:
    batches = BatchRows(WindowedRows(50, 0, 4, 3), 8, drop_last=False)
    whole = [batch.tolist() for batch in batches]
    resumed = BatchRows(WindowedRows(50, 0, 4, 3), 8, drop_last=False)
    resumed.begin(3, 1)
    assert [batch.tolist() for batch in resumed] == whole[3:]

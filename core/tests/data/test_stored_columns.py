"""Columns in a file: the rows of columns in memory, in any order, and a file that does not stay."""

from __future__ import annotations

import errno
import gc
import os
import pickle
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from flash import DataModule, Preprocess
from flash.data import stored_columns as module
from flash.data.auto_dataset import AutoDataset
from flash.data.columns import Columns
from flash.data.stored_columns import ColumnsWriter, StoredColumns
from flash.data.windows import WindowedRows
from flash.errors import DataError, FlashError


def tree(rows: int) -> Any:
    random = torch.Generator().manual_seed(0)
    inputs = {
        "numbers": torch.randn(rows, 3, generator=random),
        "codes": torch.randint(9, (rows, 2), generator=random).int(),
        "flag": torch.randint(2, (rows,), generator=random).bool(),
        "none": torch.zeros(rows, 0),
    }
    return inputs, torch.randint(5, (rows,), generator=random)


def store(whole: Any, part: int = 7, folder: Path | None = None) -> StoredColumns:
    columns = Columns(whole)
    with ColumnsWriter(folder) as writer:
        for start in range(0, len(columns), part):
            writer.append(columns.take(slice(start, start + part)))
        return writer.columns()


@pytest.fixture
def few_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few rows, of which three are kept."""
    monkeypatch.setattr(module, "_BLOCK_BYTES", 150)
    monkeypatch.setattr(module, "_BLOCKS", 3)


def equal(left: Any, right: Any) -> bool:
    pairs = [(left[1], right[1]), *((left[0][name], right[0][name]) for name in right[0])]
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    "rows",
    [
        slice(2, 9),
        slice(None),
        range(4, 4),
        range(0, 20, 3),
        [5],
        [19, 0, 19, 7],
        torch.randperm(20, generator=torch.Generator().manual_seed(1)),
    ],
    ids=str,
)
def test_rows_are_those_of_columns_in_memory(rows: Any, few_blocks: None) -> None:
    whole = Columns(tree(20))
    stored = store(tree(20))
    assert len(stored) == 20
    for _ in range(2):  # from the file, and from what was kept
        assert equal(stored.take(rows), whole.take(rows))
    assert equal(stored.tree, whole.tree)


def test_one_row_is_that_of_columns_in_memory() -> None:
    whole, stored = Columns(tree(20)), store(tree(20))
    assert equal(stored[3], whole[3])
    assert equal(stored[-1], whole[-1])
    assert stored[3][1].shape == ()


def test_each_order_is_read_right_though_few_blocks_are_kept(few_blocks: None) -> None:
    whole, stored = Columns(tree(500)), store(tree(500))
    for seed in range(3):
        order = torch.randperm(500, generator=torch.Generator().manual_seed(seed))
        for batch in order.split(13):
            assert equal(stored.take(batch), whole.take(batch))


@pytest.mark.parametrize("rows", [[20], [-1], torch.tensor([3, 25])])
def test_a_row_that_is_not_there_is_an_error(rows: Any) -> None:
    with pytest.raises(IndexError, match="There are 20 rows"):
        store(tree(20)).take(rows)
    with pytest.raises(IndexError, match="There are 20 rows, but no row 20"):
        store(tree(20))[20]


def test_the_file_goes_with_the_columns(tmp_path: Path) -> None:
    stored = store(tree(20), folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    del stored
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_a_failure_while_it_is_written_leaves_no_file(tmp_path: Path) -> None:
    def write() -> None:
        with ColumnsWriter(tmp_path) as writer:
            writer.append(tree(3))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_an_error_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Any, name: str) -> Any:
        class Full:
            name = str(tmp_path / "none")

            def write(self, data: Any) -> int:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            def close(self) -> None: ...

        return Full()

    monkeypatch.setattr(module, "scratch_file", full)
    message = r"Expected to write \d+ bytes for each row .* after 0 rows: .*No space left.* variable TMPDIR"
    with pytest.raises(FlashError, match=message), ColumnsWriter() as writer:
        writer.append(tree(3))


def test_parts_that_are_unlike_each_other_are_an_error() -> None:
    with ColumnsWriter() as writer:
        writer.append((torch.zeros(2, 3), torch.zeros(2)))
        with pytest.raises(DataError, match="Expected rows of one nesting, shape and type"):
            writer.append((torch.zeros(2, 4), torch.zeros(2)))


def test_no_rows_are_an_error() -> None:
    with ColumnsWriter() as writer, pytest.raises(DataError, match="Expected at least one row"):
        writer.columns()


def test_a_file_that_something_else_cut_is_an_error() -> None:
    stored = store(tree(2000))
    os.truncate(stored._path, 100)
    with pytest.raises(DataError, match="something else changed it"):
        stored.take([1999])


def test_another_process_reads_the_same_file_and_leaves_it_there() -> None:
    stored = store(tree(20))
    other = pickle.loads(pickle.dumps(stored))
    assert equal(other.take([3, 1]), stored.take([3, 1]))
    del other
    gc.collect()
    assert equal(stored.take([4]), Columns(tree(20)).take([4]))


class Stored(Preprocess):
    """The samples of a table in a file."""

    def load_data(self, data: Any, dataset: Any) -> Columns:
        return store(data, part=100)


def test_training_batches_are_of_an_order_for_files_and_have_each_row_once() -> None:
    whole = torch.arange(1000.0)[:, None], torch.arange(1000)
    data = DataModule.from_load_data_inputs(train_load_data_input=whole, preprocess=Stored(), batch_size=64, seed=0)
    loader: Any = data.train_dataloader()
    assert isinstance(loader.batch_sampler.sampler, WindowedRows)
    epochs = [torch.cat([y for _, y in loader]) for _ in range(2)]
    assert not torch.equal(*epochs)
    assert all(epoch.sort().values.tolist() == list(range(1000)) for epoch in epochs)
    assert isinstance(data.train_dataset, AutoDataset)


@pytest.mark.process
def test_workers_share_the_rows_of_a_file() -> None:
    whole = torch.arange(1000.0)[:, None], torch.arange(1000)
    made = [
        DataModule.from_load_data_inputs(
            train_load_data_input=whole, preprocess=Stored(), batch_size=64, seed=0, num_workers=workers
        )
        for workers in (0, 2)
    ]
    alone, shared = (torch.cat([y for _, y in data.train_dataloader()]) for data in made)
    assert torch.equal(alone, shared)
    # The files of the parent are still there after its workers ended.
    assert len(list(made[1].train_dataloader())) == 16


def test_the_folder_for_temporary_files_is_the_one_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stored = store(tree(3))
    assert Path(stored._path).parent == tmp_path

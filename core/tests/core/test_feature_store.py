"""Where features are kept: in memory up to a budget, and beyond it in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from flash.core import _feature_store
from flash.core._feature_store import FeatureStore, write_rows

ROWS = torch.zeros(2, 8)  # 32 bytes a row


def test_rows_have_the_shape_and_type_of_a_batch() -> None:
    kept = FeatureStore(10_000).allocate({"a": ROWS, "b": [torch.zeros(2, 3, dtype=torch.int64)]}, 5)
    assert kept["a"].shape == (5, 8)
    assert kept["b"][0].shape == (5, 3)
    assert kept["b"][0].dtype == torch.int64


def test_the_budget_is_that_of_all_that_is_allocated(tmp_path: Path) -> None:
    store = FeatureStore(1000, tmp_path)
    for _ in range(3):
        store.allocate(ROWS, 20)
    assert (store.bytes_in_memory, store.bytes_on_disk) == (640, 1280)


def test_what_is_written_is_read_in_memory_and_on_disk(tmp_path: Path) -> None:
    for budget in (10_000, 0):
        rows = FeatureStore(budget, tmp_path).allocate((ROWS, ROWS[:, 0]), 6)
        write_rows(rows, torch.tensor([4, 1]), (torch.ones(2, 8, dtype=torch.float64), torch.tensor([5.0, 6.0])))
        assert rows[0][[4, 1]].eq(1).all()
        assert rows[1][[4, 1]].tolist() == [5, 6]


def test_a_file_is_filled_and_has_no_name_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    mapped = torch.from_file

    def noted(path: str, **options: Any) -> Any:
        sizes.append((Path(path).parent, Path(path).stat().st_size))
        return mapped(path, **options)

    monkeypatch.setattr(_feature_store, "_BLOCK", bytes(100))
    monkeypatch.setattr(torch, "from_file", noted)
    FeatureStore(0, tmp_path).allocate(ROWS, 7)
    assert sizes == [(tmp_path, 224)]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_removed_while_it_is_mapped_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", refused)
    rows = FeatureStore(0, tmp_path).allocate(ROWS, 7)
    rows[:] = 3
    assert len(list(tmp_path.iterdir())) == 1

"""Shards of rows; they need pyarrow, and are tested in test_samples_on_disk.py of all packages."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flash.data.shards import write_shards
from flash.errors import ConfigurationError


def test_what_is_missing_is_said_before_a_row_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    rows = iter([{"text": "a"}])
    with pytest.raises(ConfigurationError, match=r"Expected pyarrow, which writes Parquet files"):
        write_shards(rows, tmp_path / "shards")
    assert list(rows) == [{"text": "a"}]
    assert not list(tmp_path.iterdir())

"""Tables that stay on disk; Parquet needs pyarrow, and is tested in flash-tabular's test_stored_tables.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flash.data.stored_table import store_table
from flash.errors import DataError


@pytest.mark.parametrize("source", [{"a": [1]}, [{"a": 1}], "missing.parquet", "https://host/a.parquet"])
def test_other_tables_are_read_into_memory(source: Any) -> None:
    assert store_table(source) is None
    assert store_table(source, in_memory=True) is None


@pytest.mark.parametrize(("source", "shown"), [({"a": [1]}, "dict"), ("rows.csv", "rows.csv"), (["a.csv"], "list")])
def test_only_parquet_on_a_disk_can_stay_there(
    source: Any, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match=rf"Expected Parquet on a local disk .* in_memory=False, but got {shown}\."):
        store_table(source, in_memory=False)

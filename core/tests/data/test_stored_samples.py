"""Samples that stay on disk; Parquet needs pyarrow, and is tested in test_samples_on_disk.py of all packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flash.data.samples import SampleData
from flash.data.stored_samples import store_samples
from flash.errors import ConfigurationError, DataError


@pytest.mark.parametrize("source", [{"a": [1]}, "missing.parquet", "https://host/a.parquet", Path("rows.csv")])
def test_other_data_is_read_into_memory(source: Any) -> None:
    assert store_samples(source, ["a"]) is None
    assert store_samples(source, ["a"], in_memory=True) is None


def test_only_parquet_on_a_disk_can_stay_there() -> None:
    with pytest.raises(DataError, match=r"Expected Parquet on a local disk .* in_memory=False, but got dict\."):
        store_samples({"a": [1]}, ["a"], in_memory=False)


def test_a_domain_that_needs_its_samples_in_memory_says_so() -> None:
    with pytest.raises(ConfigurationError, match="for in_memory=False, but SampleData has all of them in memory"):
        SampleData.from_parquet("x", "y", train_file="rows.parquet", in_memory=False)

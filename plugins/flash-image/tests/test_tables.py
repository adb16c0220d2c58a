"""Tables that name images, and what they may lack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flash.data.tables import Table
from flash.errors import DataError
from flash.image.tables import table_inputs

ROWS = Table({"file": ["a.jpg", "b.jpg"], "kind": ["ants", "bees"]})


def test_paths_start_from_the_root_unless_they_are_absolute() -> None:
    table = Table({"file": ["a.jpg", "../b.jpg", "/c.jpg"], "kind": [0, 1, 0]})
    inputs = table_inputs(table, "file", "kind", Path("photos"), "train")
    assert inputs.sources == [Path("photos/a.jpg"), Path("photos/../b.jpg"), Path("/c.jpg")]
    assert table_inputs(table, "file", "kind", None, "train").sources == table["file"]
    assert inputs.targets == [0, 1, 0]


def test_a_list_of_columns_is_one_class_a_column() -> None:
    table = Table({"file": ["a", "b"], "red": ["1", "0"], "round": ["1", "1"]}, is_text=True)
    inputs = table_inputs(table, "file", ["red", "round"], None, "train")
    assert np.array_equal(inputs.targets, [[1, 1], [0, 1]])
    assert inputs.names == ["red", "round"]


def test_prediction_needs_no_targets() -> None:
    assert table_inputs(Table({"file": ["a"]}), "file", "kind", None, "predict").targets is None


def test_rows_without_an_image_are_named() -> None:
    with pytest.raises(DataError, match="in every row of the val table, but row 1 has no 'file'"):
        table_inputs(Table({"file": ["a", None], "kind": [1, 2]}), "file", "kind", None, "val")


def test_targets_must_be_named() -> None:
    with pytest.raises(DataError, match="Expected target_fields to name the column of classes, but got none"):
        table_inputs(ROWS, "file", None, None, "train")

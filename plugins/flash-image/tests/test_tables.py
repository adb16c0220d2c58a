"""Tables that name images: CSV, JSON and data frames, and what they may lack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flash.errors import DataError, MissingColumnError
from flash.image.tables import frame_table, read_csv, read_json, table_inputs, with_whole_numbers

ROWS = {"file": ["a.jpg", "b.jpg"], "kind": ["ants", "bees"]}


def write(name: str, text: str, encoding: str = "utf-8") -> str:
    Path(name).write_text(text, encoding=encoding)
    return name


def test_all_kinds_of_tables_have_the_same_columns() -> None:
    lines = '{"file": "a.jpg", "kind": "ants"}\n\n{"file": "b.jpg", "kind": "bees"}\n'
    for table in (
        read_csv(write("t.csv", "file,kind\na.jpg,ants\nb.jpg,bees\n")),
        read_csv(write("bom.csv", "file,kind\na.jpg,ants\nb.jpg,bees\n", "utf-8-sig")),
        read_json(write("t.json", '[{"file": "a.jpg", "kind": "ants"}, {"file": "b.jpg", "kind": "bees"}]')),
        read_json(write("t.jsonl", lines)),
        frame_table(pd.DataFrame(ROWS)),
        frame_table(ROWS),
    ):
        assert table == ROWS


def test_paths_start_from_the_root_unless_they_are_absolute() -> None:
    table = {"file": ["a.jpg", "../b.jpg", "/c.jpg"], "kind": [0, 1, 0]}
    inputs = table_inputs(table, "file", "kind", Path("photos"), "train")
    assert inputs.sources == [Path("photos/a.jpg"), Path("photos/../b.jpg"), Path("/c.jpg")]
    assert table_inputs(table, "file", "kind", None, "train").sources == table["file"]
    assert inputs.targets == [0, 1, 0]


def test_a_list_of_columns_is_one_class_a_column() -> None:
    table = {"file": ["a", "b"], "red": [1, 0], "round": [1, 1]}
    inputs = table_inputs(table, "file", ["red", "round"], None, "train")
    assert np.array_equal(inputs.targets, [[1, 1], [0, 1]])
    assert inputs.names == ["red", "round"]


def test_prediction_needs_no_targets() -> None:
    assert table_inputs({"file": ["a"]}, "file", "kind", None, "predict").targets is None


def test_text_becomes_numbers_only_where_nothing_is_lost() -> None:
    def numbers(*values: str | None) -> Any:
        return with_whole_numbers({"train": {"t": list(values)}}, "t")["train"]["t"]

    assert numbers("3", "10", "-1", None) == [3, 10, -1, None]
    assert numbers("007", "10") == ["007", "10"]
    assert numbers("3", "x") == ["3", "x"]
    assert numbers("1.0", "2") == ["1.0", "2"]
    both = with_whole_numbers({"train": {"t": ["1"]}, "val": {"t": ["one"]}, "predict": {}}, ["t"])
    assert both == {"train": {"t": ["1"]}, "val": {"t": ["one"]}, "predict": {}}


def test_a_missing_column_is_answered_with_the_closest() -> None:
    with pytest.raises(
        MissingColumnError, match=r"Expected a column 'kinds', but the table has file, kind\. Did you mean"
    ):
        table_inputs(ROWS, "file", "kinds", None, "train")


def test_rows_without_an_image_are_named() -> None:
    for missing in (None, float("nan")):
        with pytest.raises(DataError, match="in every row of the val table, but row 1 has no 'file'"):
            table_inputs({"file": ["a", missing], "kind": [1, 2]}, "file", "kind", None, "val")
    table = read_csv(write("t.csv", "kind,file\nants\n"))
    with pytest.raises(DataError, match="row 0 has no 'file'"):
        table_inputs(table, "file", "kind", None, "train")


def test_targets_must_be_named() -> None:
    with pytest.raises(DataError, match="Expected target_fields to name the column of classes, but got none"):
        table_inputs(ROWS, "file", None, None, "train")


def test_files_that_are_no_tables_are_refused() -> None:
    with pytest.raises(DataError, match=r"Expected a table at gone\.csv, but there is no such file"):
        read_csv("gone.csv")
    Path("bytes.csv").write_bytes(b"file,kind\n\xff\xfe\x00,x\n")
    with pytest.raises(DataError, match=r"Expected a CSV file in UTF-8, but bytes\.csv is none"):
        read_csv("bytes.csv")
    with pytest.raises(DataError, match=r"Expected a JSON file with a list of objects"):
        read_json(write("bad.json", "{not json"))
    with pytest.raises(DataError, match=r"Expected a list of objects in numbers\.json"):
        read_json(write("numbers.json", "[1, 2]"))
    with pytest.raises(DataError, match="Expected a data frame, or a dict of columns, but got list"):
        frame_table([1, 2])

"""Predictions in files of Parquet, which need pyarrow: one table of all blocks, with a type that holds their values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flash.core import prediction_files
from flash.core.prediction_files import PredictionFile
from flash.data.row_files import row_format
from flash.serialization import writing

NAMES = ["id", "prediction"]


def write(path: Path, blocks: Any) -> None:
    rows = row_format(path, "-o")
    with writing(path, folder_argument="-o") as file, rows.writer(file, NAMES) as writer:
        for block in blocks:
            writer(rows.block(NAMES, list(zip(*block, strict=True))))


def test_blocks_of_parquet_are_one_table(tmp_path: Path) -> None:
    write(tmp_path / "out.parquet", [[(1, "x"), (2, "y")], [(3, "z")]])
    assert pq.read_table(tmp_path / "out.parquet").to_pydict() == {"id": [1, 2, 3], "prediction": ["x", "y", "z"]}


@pytest.mark.parametrize(
    ("values", "read"),
    [
        ([[None, None], ["x", "y"], ["z"]], [None, None, "x", "y", "z"]),
        ([[1, 2], ["A7", None], [3]], ["1", "2", "A7", None, "3"]),
        ([[1, 2], [2.5], [None]], [1.0, 2.0, 2.5, None]),
        ([[2.5], [1], ["x"]], ["2.5", "1.0", "x"]),
        ([[[], []], [["a"]], [[]]], [[], [], ["a"], []]),
        ([[[1.0]], ["x"]], ["[1.0]", "x"]),
        ([[1, "A7", None, [2]]], ["1", "A7", None, "[2]"]),
        # Parquet has no columns of dicts without a key.
        ([[{}], [{"a": 1}]], ["{}", '{"a": 1}']),
        ([[[{}], None], [[{"a": [{}]}]]], ["[{}]", None, '[{"a": [{}]}]']),
    ],
)
def test_blocks_of_parquet_have_the_type_that_holds_all_of_them(
    values: list[list[Any]], read: list[Any], tmp_path: Path
) -> None:
    write(tmp_path / "out.parquet", [[(value, 0) for value in block] for block in values])
    found = pq.read_table(tmp_path / "out.parquet").to_pydict()
    assert found == {"id": read, "prediction": [0] * len(read)}
    assert [each.name for each in tmp_path.iterdir()] == ["out.parquet"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    path.write_text("old")

    def broken() -> Any:
        yield [(1, "x")]
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write(path, broken())
    assert [each.read_text() for each in tmp_path.iterdir()] == ["old"]


def test_the_blocks_of_a_part_are_those_that_were_saved(tmp_path: Path) -> None:
    rows, path = row_format(Path("out.parquet"), "-o"), tmp_path / "part.parquet"
    blocks = [rows.block(NAMES, list(zip(*block, strict=True))) for block in ([(1, "x"), (2, "y")], [(3, "z")])]
    with path.open("wb") as file:
        sizes = rows.save_part(file, blocks)
    assert list(rows.load_part(path, sizes)) == blocks


def test_parts_of_any_order_are_one_file_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_files, "_ROWS_OF_BLOCK", 3)
    monkeypatch.setattr(prediction_files, "_ROWS_OF_PART", 6)
    file = PredictionFile(tmp_path / "out.parquet", run=dict)
    assert file.begin(resume=False)
    for rows in (range(8, 11), range(2, 5), range(2), range(5, 8), range(11, 12)):
        file.write(rows, [None if row < 6 else f"n{row}" for row in rows], [row / 2 for row in rows])
    assert file.finish() == 12
    found = pq.read_table(tmp_path / "out.parquet").to_pydict()
    assert found == {
        "id": [*[None] * 6, *(f"n{row}" for row in range(6, 12))],
        "prediction": [row / 2 for row in range(12)],
    }
    assert [each.name for each in tmp_path.iterdir()] == ["out.parquet"]

"""Rows are written in blocks to a file of each format, which is complete or the old one."""

from __future__ import annotations

import csv
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch

from flash.core.prediction_files import check_format, prediction_columns, row_writer
from flash.errors import CheckpointError, ConfigurationError

NAMES = ["id", "prediction"]
BLOCKS: list[list[tuple[Any, Any]]] = [[("a,b", "x"), (1, 2.5)], [("ü\n", ["x", "y"]), (None, {"boxes": [[1, 2]]})]]


def write(path: Path, blocks: Any = BLOCKS) -> None:
    with row_writer(path) as writer:
        for block in blocks:
            writer(NAMES, list(zip(*block, strict=True)))


def test_cells_of_csv_are_quoted_and_lists_are_json(tmp_path: Path) -> None:
    write(tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [NAMES, ["a,b", "x"], ["1", "2.5"], ["ü\n", '["x", "y"]'], ["", '{"boxes": [[1, 2]]}']]


def test_a_line_of_json_is_a_row(tmp_path: Path) -> None:
    write(tmp_path / "out.jsonl")
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [tuple(json.loads(line).values()) for line in lines] == [row for block in BLOCKS for row in block]


def test_blocks_of_parquet_are_one_table(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
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
    ],
)
def test_blocks_of_parquet_have_the_type_that_holds_all_of_them(
    values: list[list[Any]], read: list[Any], tmp_path: Path
) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    write(tmp_path / "out.parquet", [[(value, 0) for value in block] for block in values])
    found = pq.read_table(tmp_path / "out.parquet").to_pydict()
    assert found == {"id": read, "prediction": [0] * len(read)}
    assert [each.name for each in tmp_path.iterdir()] == ["out.parquet"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_failure_leaves_the_old_file(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / f"out.{suffix}"
    path.write_text("old")

    def broken() -> Any:
        yield [(1, "x")]
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write(path, broken())
    assert [each.read_text() for each in tmp_path.iterdir()] == ["old"]


def test_a_folder_in_the_place_of_the_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(CheckpointError, match="out.csv could not be written: .* or choose another folder with -o"):
        write(tmp_path / "out.csv")


def test_another_suffix_is_no_format() -> None:
    check_format(Path("out.jsonl"))
    with pytest.raises(ConfigurationError, match="Expected -o to end in .csv, .jsonl, .parquet, but got out.xlsx"):
        check_format(Path("out.xlsx"))
    with pytest.raises(ConfigurationError, match="Expected target to end in"):
        check_format(Path("out.xlsx"), "target")


def test_an_error_of_writing_names_the_argument_that_chose_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="target"), row_writer(tmp_path / "file" / "out.csv", "target"):
        pass


@pytest.mark.parametrize(
    ("results", "labels", "names", "columns"),
    [
        (["no", "yes"], ["no", "yes"], ["id", "prediction"], [["no", "yes"]]),
        (
            [[0.5, 0.5], [0.25, 0.75]],
            ["no", "yes"],
            ["id", "prediction_no", "prediction_yes"],
            [[0.5, 0.25], [0.5, 0.75]],
        ),
        ([[0.5, 0.5], [0.25, 0.75]], None, ["id", "prediction"], [[[0.5, 0.5], [0.25, 0.75]]]),
        ([[0.5, 0.5], [0.25, 0.75]], ["one"], ["id", "prediction"], [[[0.5, 0.5], [0.25, 0.75]]]),
        ([[], ["no"]], ["no", "yes"], ["id", "prediction"], [[[], ["no"]]]),
        ([torch.tensor([1.0]), torch.tensor([2.0])], None, ["id", "prediction"], [[[1.0], [2.0]]]),
    ],
)
def test_a_number_for_each_class_has_a_column_of_its_own(
    results: list[Any], labels: list[str] | None, names: list[str], columns: list[list[Any]]
) -> None:
    assert prediction_columns([7, 8], results, labels=labels) == (names, [[7, 8], *columns])


def test_ids_that_json_cannot_hold_are_text() -> None:
    names, (ids, _) = prediction_columns([date(2024, 12, 31), 8], ["no", "yes"], ("day", "answer"))
    assert (names, ids) == (["day", "answer"], ["2024-12-31", 8])


def test_names_with_a_percent_sign_are_names(tmp_path: Path) -> None:
    with row_writer(tmp_path / "out.jsonl") as write_rows:
        write_rows(["id", '50 % of "it"'], [(1, 2), ("a", "a")])
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[1]) == {"id": 2, '50 % of "it"': "a"}

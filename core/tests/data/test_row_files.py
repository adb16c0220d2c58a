"""Rows are written in blocks to a file of each format, which is complete or the old one."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from flash.data.row_files import row_format
from flash.errors import CheckpointError, ConfigurationError
from flash.serialization import writing

NAMES = ["id", "prediction"]
BLOCKS: list[list[tuple[Any, Any]]] = [[("a,b", "x"), (1, 2.5)], [("ü\n", ["x", "y"]), (None, {"boxes": [[1, 2]]})]]


def write(path: Path, blocks: Any = BLOCKS) -> None:
    rows = row_format(path, "-o")
    with writing(path, folder_argument="-o") as file, rows.writer(file, NAMES) as writer:
        for block in blocks:
            writer(rows.block(NAMES, list(zip(*block, strict=True))))


def test_cells_of_csv_are_quoted_and_lists_are_json(tmp_path: Path) -> None:
    write(tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [NAMES, ["a,b", "x"], ["1", "2.5"], ["ü\n", '["x", "y"]'], ["", '{"boxes": [[1, 2]]}']]


def test_a_return_in_a_cell_of_csv_is_no_end_of_a_line(tmp_path: Path) -> None:
    write(tmp_path / "out.csv", [[("a\rb", "x"), (1, None)], [("c", 2.5)]])
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [NAMES, ["a\rb", "x"], ["1", ""], ["c", "2.5"]]


def test_a_line_of_json_is_a_row(tmp_path: Path) -> None:
    write(tmp_path / "out.jsonl")
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [tuple(json.loads(line).values()) for line in lines] == [row for block in BLOCKS for row in block]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_failure_leaves_the_old_file(suffix: str, tmp_path: Path) -> None:
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
    row_format(Path("out.jsonl"), "-o")
    with pytest.raises(ConfigurationError, match="Expected -o to end in .csv, .jsonl, .parquet, but got out.xlsx"):
        row_format(Path("out.xlsx"), "-o")


def test_names_with_a_percent_sign_are_names() -> None:
    block = row_format(Path("out.jsonl"), "-o").block(["id", '50 % of "it"'], [(1, 2), ("a", "a")])
    assert json.loads(block.decode().splitlines()[1]) == {"id": 2, '50 % of "it"': "a"}


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_the_blocks_of_a_part_are_those_that_were_saved(suffix: str, tmp_path: Path) -> None:
    rows, path = row_format(Path(f"out.{suffix}"), "-o"), tmp_path / f"part.{suffix}"
    blocks = [rows.block(NAMES, list(zip(*block, strict=True))) for block in ([(1, "x"), (2, "y")], [(3, "z")])]
    with path.open("wb") as file:
        sizes = rows.save_part(file, blocks)
    assert list(rows.load_part(path, sizes)) == blocks

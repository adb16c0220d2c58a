"""The page of promises has the numbers that the tests have."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from . import test_archives, test_checkpoints, test_folders, test_images, test_tables, test_weights
from .corpus import OTHERS, other_formats

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "promises.md"
FUZZ = ROOT / "tests" / "fuzz"


def rows() -> dict[str, tuple[str, int]]:
    """The rows of the table by their first cell: the file of the tests, and the number."""
    found = re.findall(r"^\| (.+?) \| .+? \| `(\S+?)` \| ([\d,]+) \|$", PAGE.read_text(), re.MULTILINE)
    return {name: (file, int(number.replace(",", ""))) for name, file, number in found}


def fuzz_examples() -> int:
    (many,) = re.findall(r"^FEW, MANY = \d+, (\d+)$", (FUZZ / "conftest.py").read_text(), re.MULTILINE)
    tests = [
        line for file in FUZZ.glob("test_*.py") for line in re.findall(r"^def test_", file.read_text(), re.MULTILINE)
    ]
    return int(many) * len(tests)


def resumes(package: str) -> int:
    """Return the number of times that a run of a package is killed and resumed, at least."""
    file = ROOT / "plugins" / package / "tests" / "test_kills.py"
    values: dict[str, Any] = {}
    for each in ast.parse(file.read_text()).body:
        if isinstance(each, ast.Assign | ast.AnnAssign):
            target = each.targets[0] if isinstance(each, ast.Assign) else each.target
            values[ast.unparse(target)] = each.value
    in_each = int(ast.literal_eval(values["RESUMES"]))
    return in_each * len(values["CASES"].keys) if "CASES" in values else in_each


def test_the_corpus_has_as_many_files_of_other_formats_as_it_says(tmp_path: Path) -> None:
    assert len(list(other_formats(tmp_path / "marker"))) == OTHERS


def test_each_number_of_the_page_is_that_of_the_tests() -> None:
    released = len(list((ROOT / "tests" / "released").rglob("*.ckpt")))
    wanted = {
        "Checkpoints": test_checkpoints.COUNT,
        "Pretrained weights": test_weights.COUNT,
        "Folders": test_folders.COUNT,
        "Archives": test_archives.COUNT,
        "Tables": test_tables.COUNT,
        "Images": test_images.COUNT,
        "Annotations": test_images.COUNT_OF_ANNOTATIONS,
        "Any input": fuzz_examples(),
        "Old checkpoints": released,
        "Killed runs of tables": resumes("flash-tabular"),
        "Killed runs of images": resumes("flash-image"),
        "Killed runs of texts": resumes("flash-text"),
        "Killed runs of solvers": resumes("flash-solver"),
    }
    assert {name: number for name, (_, number) in rows().items()} == wanted


def test_each_file_of_the_page_is_there() -> None:
    assert [file for file, _ in rows().values() if not (ROOT / file).exists()] == []


def test_the_damaged_files_are_more_than_the_page_says_at_least() -> None:
    modules = (test_archives, test_checkpoints, test_folders, test_images, test_tables, test_weights)
    total = sum(module.COUNT for module in modules) + test_images.COUNT_OF_ANNOTATIONS
    (said,) = re.findall(r"at least ([\d,]+) damaged files", PAGE.read_text())
    assert int(said.replace(",", "")) <= total < int(said.replace(",", "")) + 100

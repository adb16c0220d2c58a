"""The folder of an interrupted run: kept for the same run, and written by one program."""

from __future__ import annotations

from pathlib import Path

import pytest

from flash.core._prediction_parts import PredictionParts, read_json
from flash.errors import CheckpointError


def parts_of(target: Path, weights: str = "first") -> PredictionParts:
    return PredictionParts(target, lambda: {"weights": weights, "columns": ("id", "kind")}, "to=")


def left_by(parts: PredictionParts) -> None:
    parts.create()
    (parts.folder / "part").touch()
    parts._lock.close()  # as the end of a process does


def test_without_a_folder_there_is_nothing_to_remove(tmp_path: Path) -> None:
    parts = parts_of(tmp_path / "out.csv")
    assert parts.begin(resume=True, is_empty=lambda: False)
    parts.remove()
    assert not parts.folder.exists()


@pytest.mark.parametrize(
    ("weights", "resume", "is_kept"), [("first", True, True), ("second", True, False), ("first", False, False)]
)
def test_parts_are_kept_for_the_same_run_alone(weights: str, resume: bool, is_kept: bool, tmp_path: Path) -> None:
    left_by(parts_of(tmp_path / "out.csv"))
    parts = parts_of(tmp_path / "out.csv", weights)
    assert parts.begin(resume=resume, is_empty=lambda: False) is is_kept
    assert (parts.folder / "part").exists() is is_kept


def test_removing_what_is_empty_is_no_loss(tmp_path: Path) -> None:
    left_by(parts_of(tmp_path / "out.csv"))
    assert parts_of(tmp_path / "out.csv", "second").begin(resume=True, is_empty=lambda: True)


def test_two_programs_do_not_write_one_target(tmp_path: Path) -> None:
    first = parts_of(tmp_path / "out.csv")
    first.create()
    with pytest.raises(CheckpointError, match=r"the only program that writes .*out\.csv, .* another file with to="):
        parts_of(tmp_path / "out.csv").begin(resume=True, is_empty=lambda: False)
    first.remove()
    assert parts_of(tmp_path / "out.csv").begin(resume=True, is_empty=lambda: False)


def test_a_file_that_is_no_json_is_as_none(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    assert read_json(tmp_path / "run.json") is None
    assert read_json(tmp_path / "gone.json") is None

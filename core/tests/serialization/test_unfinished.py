"""Folders that are written in parts, whose run may be interrupted."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from flash.errors import CheckpointError
from flash.serialization import parts_folder, resuming_folder


def test_what_an_interrupted_run_wrote_is_there_for_the_next_one(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder"
    with suppress(KeyboardInterrupt), resuming_folder(target, folder_argument="-o") as folder:
        (folder.content / "a").write_text("first")
        (folder.notes / "a").write_text("known")
        raise KeyboardInterrupt
    assert not target.exists()
    assert folder.path == parts_folder(target)
    with resuming_folder(target, folder_argument="-o") as folder:
        assert (folder.content / "a").read_text() == "first"
        assert (folder.notes / "a").read_text() == "known"
        (folder.content / "b").mkdir()
        (folder.content / "b" / "c").write_text("second")
    assert sorted(str(each.relative_to(target)) for each in target.rglob("*")) == ["a", "b", "b/c"]
    assert list(target.parent.iterdir()) == [target]


def test_a_run_that_wrote_nothing_leaves_nothing(tmp_path: Path) -> None:
    with suppress(ZeroDivisionError), resuming_folder(tmp_path / "folder", folder_argument="-o") as folder:
        (folder.content / "empty").mkdir()
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_is_replaced_and_what_is_there_is_not(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with resuming_folder(tmp_path / "folder", folder_argument="-o") as folder:
        (folder.content / "a").write_text("new")
    with (
        pytest.raises(CheckpointError, match=r"Expected a folder that does not exist yet, .* as the new report, but"),
        resuming_folder(tmp_path / "folder", what="report", folder_argument="-o"),
    ):
        pytest.fail("A folder is there.")
    assert (tmp_path / "folder" / "a").read_text() == "new"


def test_two_programs_do_not_write_one_folder(tmp_path: Path) -> None:
    with (
        resuming_folder(tmp_path / "folder", folder_argument="-o") as folder,
        pytest.raises(CheckpointError, match=r"another one is writing it. Wait for it, or choose another .* with -o"),
        resuming_folder(tmp_path / "folder", folder_argument="-o"),
    ):
        pytest.fail("It is being written.")
    assert not folder.path.exists()


def test_a_folder_below_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(
            CheckpointError, match=r"The folder .* could not be written: .* is not a folder, or below a file"
        ),
        resuming_folder(tmp_path / "file" / "folder", folder_argument="-o"),
    ):
        pytest.fail("It cannot be written.")

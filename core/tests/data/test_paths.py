"""Paths that may be any text."""

from __future__ import annotations

from pathlib import Path

import pytest

from flash.data.paths import is_file, is_folder


def test_files_and_folders_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    assert (is_file(tmp_path / "a"), is_folder(tmp_path / "a")) == (True, False)
    assert (is_file(tmp_path), is_folder(str(tmp_path))) == (False, True)


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 5000, "a\0b", "\ud800", "", "gone"])
def test_at_a_path_that_cannot_be_is_nothing(name: str) -> None:
    assert not is_file(name)
    assert not is_folder(name)

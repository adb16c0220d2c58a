from __future__ import annotations

import os
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from flash.download._archive import unpack
from flash.download._archive_formats import is_archive


def tree(folder: Path) -> dict[str, str]:
    """Everything below a folder, with its content."""
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.mark.parametrize(("suffix", "packing"), [("tar", ""), ("tar.gz", "gz"), ("tar.bz2", "bz2"), ("txz", "xz")])
def test_a_tar_is_unpacked_however_it_is_packed(pack: Any, target: Path, suffix: str, packing: str) -> None:
    members = [
        pack.entry("./", kind=tarfile.DIRTYPE),
        pack.entry("./a/b/c.txt", "c"),
        pack.entry("d.txt", "d"),
    ]
    archive = pack.tar(f"data.{suffix}", *members, packing=packing)
    assert unpack(archive, target, progress=False) == ["a", "d.txt"]
    assert tree(target) == {"a/b/c.txt": "c", "d.txt": "d"}


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_is_unpacked_with_its_empty_folders(pack: Any, target: Path, packing: int) -> None:
    archive = pack.zip("data.zip", ("empty/", ""), ("a/ä.txt", "ä"), packing=packing)
    assert unpack(archive, target, progress=False) == ["a", "empty"]
    assert tree(target) == {"a/ä.txt": "ä"}
    assert (target / "empty").is_dir()


def test_an_archive_with_the_wrong_suffix_is_unpacked_by_its_content(pack: Any, target: Path) -> None:
    unpack(pack.tar("data.zip", pack.entry("a.txt", "a"), packing="gz"), target, progress=False)
    assert tree(target) == {"a.txt": "a"}


def test_an_archive_without_suffix_is_known_by_its_content(tmp_path: Path, pack: Any) -> None:
    assert is_archive(pack.zip("one", ("a", "a")))
    assert is_archive(pack.tar("two", pack.entry("a", "a"), packing="xz"))
    (tmp_path / "three").write_text("plain text")
    assert not is_archive(tmp_path / "three")


def test_a_file_of_another_format_stays_whole_even_if_it_is_a_zip_inside(pack: Any) -> None:
    assert not is_archive(pack.zip("arrays.npz", ("a.npy", "1")))
    assert not is_archive(pack.zip("model.pt", ("data.pkl", "1")))


def test_files_that_are_there_are_replaced_and_others_left(pack: Any, target: Path) -> None:
    (target / "a").mkdir()
    (target / "a" / "old.txt").write_text("old")
    (target / "a" / "both.txt").write_text("old")
    unpack(pack.zip("data.zip", ("a/both.txt", "new"), ("a/new.txt", "new")), target, progress=False)
    assert tree(target) == {"a/both.txt": "new", "a/new.txt": "new", "a/old.txt": "old"}


def test_the_last_of_two_members_of_one_name_wins(pack: Any, target: Path) -> None:
    unpack(pack.tar("data.tar", pack.entry("a", "first"), pack.entry("a", "second")), target, progress=False)
    assert tree(target) == {"a": "second"}


def test_links_inside_the_folder_are_made(pack: Any, target: Path) -> None:
    links = [
        pack.symlink("x/up", "../a.txt"),
        pack.symlink("chain", "x/up"),
        pack.symlink("folder", "x"),
        pack.hardlink("hard", "a.txt"),
    ]
    # "chain" leads to a link, not through one
    unpack(pack.tar("data.tar", *links, pack.entry("a.txt", "a")), target, progress=False)
    assert (target / "x" / "up").readlink() == Path("../a.txt")
    assert (target / "chain").read_text() == (target / "hard").read_text() == "a"
    assert (target / "folder").resolve() == target / "x"


def test_a_link_in_a_zip_is_a_link(pack: Any, target: Path) -> None:
    archive = pack.zip("data.zip", ("link", "a.txt"), mode=stat.S_IFLNK | 0o777)
    unpack(archive, target, progress=False)
    assert (target / "link").readlink() == Path("a.txt")


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o7777])
def test_of_the_permissions_only_executable_is_taken_over(pack: Any, target: Path, mode: int) -> None:
    members = [pack.entry("tool", "x", mode=mode), pack.entry("text", "x", mode=0o0666)]
    umask = os.umask(0o022)
    try:
        unpack(pack.tar("data.tar", *members), target, progress=False)
    finally:
        os.umask(umask)
    assert stat.S_IMODE((target / "tool").stat().st_mode) == 0o755
    assert stat.S_IMODE((target / "text").stat().st_mode) == 0o644

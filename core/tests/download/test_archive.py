from __future__ import annotations

import os
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from flash.download._archive import unpack
from flash.errors import DownloadError, UnsafeArchiveError


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


def refused(archive: Path, target: Path, why: str) -> None:
    """Unpack in vain, and find no trace of it."""
    before = sorted(target.parent.rglob("*"))
    with pytest.raises(UnsafeArchiveError, match=why):
        unpack(archive, target, progress=False)
    assert sorted(target.parent.rglob("*")) == before


ESCAPES = ["../evil", "a/../../evil", "/evil", "//evil", "C:/evil", "a/C:evil", "..\\evil", "a\\b", "a/.."]


@pytest.mark.parametrize("name", ESCAPES)
def test_a_zip_member_outside_the_folder_is_refused(pack: Any, target: Path, name: str) -> None:
    archive = pack.zip("data.zip", ("fine.txt", "fine"), (name, "evil"))
    refused(archive, target, "leads out of the folder.*Nothing was written")


@pytest.mark.parametrize("name", ESCAPES)
def test_a_tar_member_outside_the_folder_is_refused(pack: Any, target: Path, name: str) -> None:
    archive = pack.tar("data.tar", pack.entry("fine.txt", "fine"), pack.entry(name, "evil"))
    refused(archive, target, "leads out of the folder")


@pytest.mark.parametrize("to", ["../evil", "/etc/passwd", "a/../../../evil", "..", "C:/evil", "..\\evil", "//host/x"])
@pytest.mark.parametrize("name", ["link", "a/link"])
def test_a_symlink_that_points_outside_is_refused(pack: Any, target: Path, name: str, to: str) -> None:
    to = f"../{to}" if "/" in name and to.startswith("..") and "\\" not in to else to
    refused(pack.tar("data.tar", pack.symlink(name, to)), target, "points outside|leads out of the folder")


def test_a_symlink_in_a_zip_that_points_outside_is_refused(pack: Any, target: Path) -> None:
    archive = pack.zip("data.zip", ("link", "../../evil"), mode=stat.S_IFLNK | 0o777)
    refused(archive, target, "points outside, to '../../evil'")


def test_a_symlink_that_gets_outside_through_another_link_is_refused(pack: Any, target: Path) -> None:
    # Read as text both stay inside; followed, a/up is the folder itself and its parent is outside.
    members = [pack.symlink("a/up", ".."), pack.symlink("out", "a/up/../evil")]
    refused(pack.tar("data.tar", *members), target, r"'.*/\.\./evil' leads out of the folder")


def test_a_symlink_that_gets_outside_through_the_link_of_an_earlier_archive_is_refused(pack: Any, target: Path) -> None:
    unpack(pack.tar("one.tar", pack.symlink("here", ".")), target, progress=False)
    refused(pack.tar("two.tar", pack.symlink("out", "here/../evil")), target, r"'.*/\.\./evil' leads out of the folder")


@pytest.mark.parametrize("to", ["../evil", "/etc/passwd", "missing", "C:/evil"])
def test_a_hardlink_to_anything_but_a_member_is_refused(tmp_path: Path, pack: Any, target: Path, to: str) -> None:
    (tmp_path / "evil").write_text("secret")
    refused(pack.tar("data.tar", pack.hardlink("link", to)), target, "points outside|leads out of the folder")


def test_a_hardlink_to_a_symlink_is_refused(pack: Any, target: Path) -> None:
    members = [pack.entry("a", "a"), pack.symlink("soft", "a"), pack.hardlink("hard", "soft")]
    refused(pack.tar("data.tar", *members), target, "the link 'hard' points outside")


@pytest.mark.parametrize("through", ["link/evil", "LINK/evil", "link/a/b"])
@pytest.mark.parametrize("first", [True, False])
def test_a_member_below_a_link_is_refused(pack: Any, target: Path, through: str, first: bool) -> None:
    members = [pack.entry("a/", kind=tarfile.DIRTYPE), pack.symlink("link", "a"), pack.entry(through, "evil")]
    archive = pack.tar("data.tar", *(members if first else members[::-1]))
    refused(archive, target, "would be written through a link")


def test_a_member_that_is_both_link_and_file_is_refused(pack: Any, target: Path) -> None:
    members = [pack.entry("x", "x"), pack.symlink("a", "x"), pack.entry("a", "evil")]
    refused(pack.tar("data.tar", *members), target, "'a' is a link and something else")


def test_a_link_that_was_there_before_is_not_written_through(tmp_path: Path, pack: Any, target: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (target / "a").symlink_to(tmp_path / "elsewhere")
    refused(pack.zip("data.zip", ("a/b/evil", "evil")), target, "through the link .*/a, which was there")


def test_a_file_takes_the_place_of_a_link_not_of_what_it_points_to(tmp_path: Path, pack: Any, target: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (target / "a.txt").symlink_to(tmp_path / "mine.txt")
    unpack(pack.zip("data.zip", ("a.txt", "new")), target, progress=False)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert (target / "a.txt").read_text() == "new"


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, b"Z"])
def test_devices_pipes_and_unknown_kinds_are_refused(pack: Any, target: Path, kind: bytes) -> None:
    archive = pack.tar("data.tar", pack.entry("node", kind=kind, devmajor=1, devminor=3))
    if kind == tarfile.CONTTYPE:  # an old name for a plain file
        assert unpack(archive, target, progress=False) == ["node"]
    else:
        refused(archive, target, "'node' is a device, a pipe or of an unknown kind")


def test_a_pipe_in_a_zip_is_refused(pack: Any, target: Path) -> None:
    refused(pack.zip("data.zip", ("pipe", ""), mode=stat.S_IFIFO | 0o644), target, "a device or a pipe")


def test_a_link_in_the_place_of_the_folder_is_refused(pack: Any, target: Path) -> None:
    refused(pack.tar("data.tar", pack.symlink("./", "x")), target, "symlink would replace the folder itself")


@pytest.mark.parametrize("name", ["data.zip", "DATA.ZIP", ".data.zip.unpacking/x"])
def test_a_member_that_would_replace_the_archive_is_refused(pack: Any, target: Path, name: str) -> None:
    archive = pack.zip("data.zip", (name, "evil"))
    with pytest.raises(UnsafeArchiveError, match="would replace the archive or its record"):
        unpack(archive, target, reserved={"data.zip"}, progress=False)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_that_unpacks_to_more_than_allowed_is_refused(pack: Any, target: Path, kind: str) -> None:
    zeros = "0" * 1_000_000
    archive = (
        pack.zip("bomb", ("z", zeros)) if kind == "zip" else pack.tar("bomb", pack.entry("z", zeros), packing="gz")
    )
    with pytest.raises(UnsafeArchiveError, match="more than max_unpacked_bytes=999999"):
        unpack(archive, target, max_bytes=999_999, progress=False)
    assert unpack(archive, target, max_bytes=1_000_000, progress=False) == ["z"]


def test_an_archive_larger_than_the_free_disk_is_an_error_before_anything_is_written(
    pack: Any, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("flash.download._archive.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(DownloadError, match="The disk is full: unpacking needs 11 bytes or more, 10 are free"):
        unpack(pack.zip("data.zip", ("a", "0" * 11)), target, progress=False)

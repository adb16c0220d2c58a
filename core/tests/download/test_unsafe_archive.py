from __future__ import annotations

import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from flash.download._archive import unpack
from flash.errors import DownloadError, UnsafeArchiveError


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

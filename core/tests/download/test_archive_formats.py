"""Formats of archives: known by their content, and damaged ones."""

from __future__ import annotations

import errno
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from flash.download import _archive
from flash.download._archive import unpack
from flash.download._archive_formats import is_archive
from flash.errors import DownloadError, UnsafeArchiveError


def tree(folder: Path) -> dict[str, str]:
    """Everything below a folder, with its content."""
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.mark.parametrize("share", [0, 0.0001, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("packing", ["zip", "", "gz", "bz2", "xz"])
def test_a_truncated_archive_is_an_error_that_leaves_nothing(
    pack: Any, target: Path, packing: str, share: float
) -> None:
    archive = pack.of_noise(packing)
    os.truncate(archive, int(archive.stat().st_size * share))
    with pytest.raises(DownloadError, match=r"cannot be unpacked.* Delete it and download it again"):
        unpack(archive, target, progress=False)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("packing", ["zip", "gz", "bz2", "xz"])
def test_an_archive_that_lost_its_last_byte_is_an_error(pack: Any, target: Path, packing: str) -> None:
    archive = pack.of_noise(packing)
    os.truncate(archive, archive.stat().st_size - 1)
    with pytest.raises(DownloadError, match="cannot be unpacked"):
        unpack(archive, target, progress=False)


def test_a_tar_that_ends_between_two_members_is_an_error(pack: Any, target: Path) -> None:
    archive = pack.tar("data.tar", pack.entry("a", b"a" * 512), pack.entry("b", "b"))
    os.truncate(archive, 1024)
    with pytest.raises(DownloadError, match="it has no end mark"):
        unpack(archive, target, progress=False)


def test_a_tar_with_a_damaged_header_in_the_middle_is_an_error(pack: Any, target: Path) -> None:
    archive = pack.tar("data.tar", pack.entry("a", b"a" * 512), pack.entry("b", "b"))
    data = archive.read_bytes()
    archive.write_bytes(data[:1024] + b"#" * 512 + data[1536:])
    with pytest.raises(DownloadError, match="it has no end mark"):
        unpack(archive, target, progress=False)


@pytest.mark.parametrize("packing", ["zip", "gz", "bz2", "xz"])
def test_an_archive_with_damaged_bytes_is_an_error_that_leaves_nothing(pack: Any, target: Path, packing: str) -> None:
    archive = pack.of_noise(packing)
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 0xFF
    archive.write_bytes(data)
    with pytest.raises(DownloadError, match="damaged or no archive"):
        unpack(archive, target, progress=False)
    assert list(target.iterdir()) == []


def test_a_page_instead_of_an_archive_is_an_error_that_shows_its_beginning(
    tmp_path: Path, pack: Any, target: Path
) -> None:
    (tmp_path / "data.zip").write_text("<!DOCTYPE html><title>Please log in</title>")
    with pytest.raises(DownloadError, match=r"it begins with b'<!DOCTYPE html>"):
        unpack(tmp_path / "data.zip", target, progress=False)


def test_an_encrypted_zip_is_an_error_that_says_so(pack: Any, target: Path) -> None:
    archive = pack.zip("data.zip", ("a", "a"))
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    with pytest.raises(DownloadError, match="it is encrypted"):
        unpack(archive, target, progress=False)


def test_a_full_disk_says_how_many_bytes_are_needed_and_leaves_nothing(
    pack: Any, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Any, member: Any, path: Path, bar: Any) -> None:
        path.write_text("half of")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_archive, "_write_file", full)
    archive = pack.zip("data.zip", ("a/b", "0" * 1234))
    with pytest.raises(DownloadError, match=r"The disk is full: .*target needs 1234 more bytes. The archive is kept"):
        unpack(archive, target, progress=False)
    assert list(target.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(pack: Any, target: Path) -> None:
    left = target / ".data.zip.unpacking"
    (left / "a").mkdir(parents=True)
    (left / "a" / "half.txt").write_text("ha")
    unpack(pack.zip("data.zip", ("a/whole.txt", "whole")), target, progress=False)
    assert tree(target) == {"a/whole.txt": "whole"}
    assert not left.exists()


@pytest.mark.parametrize(("there", "member"), [("a", "a/b"), ("a/b/c", "a/b")])
def test_a_file_and_a_folder_of_one_name_are_an_error_before_anything_is_written(
    pack: Any, target: Path, there: str, member: str
) -> None:
    (target / there).parent.mkdir(parents=True, exist_ok=True)
    (target / there).write_text("mine")
    with pytest.raises(DownloadError, match=r"there is a (file|folder) of this name. Move it away"):
        unpack(pack.zip("data.zip", ("other", "x"), (member, "x")), target, progress=False)
    assert tree(target) == {there: "mine"}


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


def test_a_member_without_a_name_is_refused(target: Path, tmp_path: Path) -> None:
    info = zipfile.ZipInfo("x")
    info.filename = ""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed, packed.open(info, "w") as member:
        member.write(b"1")
    with pytest.raises(UnsafeArchiveError, match="a file would replace the folder itself"):
        unpack(tmp_path / "a.zip", target, progress=False)
    assert list(target.iterdir()) == []

"""The record beside a download: where it came from, and what an archive unpacked to."""

from __future__ import annotations

import os
import shutil
import threading
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from flash.download import download_data
from flash.download._record import DownloadRecord
from flash.errors import ChecksumError, DownloadError


def test_a_file_put_there_by_hand_is_kept(site: Any, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"by hand")
    assert site.download(tmp_path).read_bytes() == b"by hand"
    assert site.requests == []


def test_a_file_of_the_same_name_from_another_url_is_replaced(site: Any, tmp_path: Path) -> None:
    site.download(tmp_path)
    site.content = b"version 2"
    other = download_data(site.url("/v2/data.bin"), tmp_path, progress=False)
    assert other.read_bytes() == b"version 2"


def test_a_file_that_lost_its_end_is_downloaded_again(site: Any, tmp_path: Path) -> None:
    os.truncate(site.download(tmp_path), 10)
    assert site.download(tmp_path).read_bytes() == site.content


def test_an_archive_is_unpacked_again_only_if_something_is_missing(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        archive.writestr("pets/ant.txt", "ant")
    url, data = (tmp_path / "pets.zip").as_uri(), tmp_path / "data"
    ant = download_data(url, data, progress=False) / "pets" / "ant.txt"
    ant.write_text("my notes")
    download_data(url, data, progress=False)
    assert ant.read_text() == "my notes"
    shutil.rmtree(data / "pets")
    download_data(url, data, progress=False)
    assert ant.read_text() == "ant"


def test_a_record_that_cannot_be_read_does_no_harm(site: Any, tmp_path: Path) -> None:
    site.interrupt(tmp_path)
    (tmp_path / ".data.bin.download").write_bytes(b'{"part": {"eta')
    assert site.download(tmp_path).read_bytes() == site.content
    assert "range" not in site.requests[0]


@pytest.mark.parametrize("status", [404, 403])
def test_a_download_that_fails_at_once_leaves_nothing(site: Any, tmp_path: Path, status: int) -> None:
    site.statuses = [status]
    with pytest.raises(DownloadError):
        site.download(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_the_expected_one_leaves_nothing(site: Any, tmp_path: Path) -> None:
    with pytest.raises(ChecksumError):
        site.download(tmp_path, sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_record_stays_beside_what_it_describes(site: Any, tmp_path: Path) -> None:
    site.interrupt(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".data.bin.download", "data.bin.part"]


def test_a_record_that_was_removed_while_its_lock_was_waited_for_is_made_anew(tmp_path: Path) -> None:
    locked, seen = threading.Event(), []

    def wait_for_record() -> None:
        locked.wait()
        with DownloadRecord(tmp_path / "x") as record:
            record.update(size=3)
            seen.append(record.path.read_bytes())

    thread = threading.Thread(target=wait_for_record)
    thread.start()
    with suppress(ValueError), DownloadRecord(tmp_path / "x"):
        locked.set()
        raise ValueError("in vain")
    thread.join()
    assert seen == [b'{"size": 3}\n']


def test_a_record_of_endless_brackets_does_no_harm(site: Any, tmp_path: Path) -> None:
    (tmp_path / ".data.bin.download").write_bytes(b"[" * 100_000)
    assert site.download(tmp_path).read_bytes() == site.content

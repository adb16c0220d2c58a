from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import IO, Any

import pytest

from flash.download import download_data, fetch
from flash.errors import ChecksumError, ConfigurationError, DownloadError, FlashError


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_status_that_may_pass_is_tried_again(site: Any, tmp_path: Path, status: int) -> None:
    site.statuses = [status, status]
    assert site.download(tmp_path).read_bytes() == site.content
    assert len(site.requests) == 3


def test_the_pause_grows_and_is_never_shorter_than_the_server_asks(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("flash.download._transfer.time.sleep", pauses.append)
    site.statuses = [503, 503, 503]
    site.download(tmp_path / "plain")
    site.statuses, site.headers = [429, 429], {"Retry-After": "7"}
    site.download(tmp_path / "asked")
    site.statuses, site.headers = [429], {"Retry-After": "86400"}
    site.download(tmp_path / "too much")
    assert pauses == [0.001, 0.002, 0.004, 7.0, 7.0, 60.0]


def test_a_missing_file_is_an_error_at_once(site: Any, tmp_path: Path) -> None:
    site.statuses = [404]
    with pytest.raises(DownloadError, match=r"http://127.0.0.1:\d+/data.bin: the server answered 404 Not Found"):
        site.download(tmp_path)
    assert len(site.requests) == 1
    assert visible(tmp_path) == []


def test_a_server_error_that_stays_is_reported_after_the_last_try(site: Any, tmp_path: Path) -> None:
    site.statuses = [503] * 3
    with pytest.raises(DownloadError, match=r"data.bin: the server answered 503 .* \(3 times in a row\)"):
        site.download(tmp_path, retries=2)


def test_an_answer_that_ends_early_is_continued(site: Any, tmp_path: Path) -> None:
    site.cuts = [1000, 1000]
    assert site.download(tmp_path).read_bytes() == site.content
    assert [request.get("range") for request in site.requests] == [None, "bytes=1000-", "bytes=2000-"]


def test_a_download_that_gets_on_may_break_more_often_than_retries(site: Any, tmp_path: Path) -> None:
    site.cuts = [1000] * 5
    assert site.download(tmp_path, retries=1).read_bytes() == site.content


def test_an_answer_that_always_ends_early_is_an_error_and_no_file(site: Any, tmp_path: Path) -> None:
    site.ranges, site.cuts = False, [1000] * 9
    with pytest.raises(DownloadError, match=f"ended after 1000 of {len(site.content)} bytes.* Call again"):
        site.download(tmp_path, retries=2)
    assert visible(tmp_path) == ["data.bin.part"]


def test_a_silent_server_is_an_error_after_the_timeout(site: Any, tmp_path: Path) -> None:
    site.stall_after = site.half
    with pytest.raises(DownloadError, match=r"127.0.0.1:\d+/data.bin: the server sent nothing for 0.05 s"):
        site.download(tmp_path, timeout=0.05, retries=0)
    assert (tmp_path / "data.bin.part").stat().st_size == site.half


def test_a_server_that_is_not_there_is_an_error_with_its_address(site: Any, tmp_path: Path) -> None:
    site.shutdown()
    site.socket.close()
    with pytest.raises(DownloadError, match=r"http://127.0.0.1:\d+/data.bin: the connection failed"):
        site.download(tmp_path, retries=1)


def test_a_local_file_that_is_missing_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"Cannot read file:///.*/nothing.csv: No such file"):
        download_data((tmp_path / "nothing.csv").as_uri(), tmp_path / "data", progress=False)


def test_a_wrong_checksum_names_both_and_leaves_nothing(site: Any, tmp_path: Path) -> None:
    with pytest.raises(ChecksumError, match=f"expected sha256 {'0' * 64}, got {site.sha256}"):
        site.download(tmp_path, sha256="0" * 64)
    assert visible(tmp_path) == []


def test_a_full_disk_says_how_many_bytes_are_missing_and_keeps_the_part(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SmallDisk(io.FileIO):
        def write(self, chunk: Any) -> int:
            if self.tell() + len(chunk) > site.half:
                super().write(chunk[: site.half - self.tell()])
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(chunk)

    unlimited = Path.open

    def limited(path: Path, mode: str = "r", **options: Any) -> IO[Any]:
        return SmallDisk(path, mode) if path.suffix == ".part" else unlimited(path, mode, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", limited)
        with pytest.raises(DownloadError, match=rf"disk is full: .*data.bin.part needs {site.half} more bytes"):
            site.download(tmp_path)
    assert site.download(tmp_path).read_bytes() == site.content
    assert site.requests[-1]["range"] == f"bytes={site.half}-"


def test_a_file_in_the_place_of_the_folder_is_an_error(site: Any, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(DownloadError, match=r"Cannot write .*data: (File exists|Not a directory)"):
        site.download(tmp_path / "data")


def test_a_folder_in_the_place_of_the_file_is_an_error(site: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"it is a folder\. Choose another path"):
        fetch(site.url(), tmp_path, progress=False)


@pytest.mark.parametrize("options", [{"timeout": 0}, {"retries": -1}, {"sha256": "abc"}])
def test_arguments_without_sense_are_refused_before_anything_is_sent(
    site: Any, tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match="Expected"):
        site.download(tmp_path, **options)
    assert site.requests == []


def test_all_errors_of_a_download_are_flash_errors_and_os_errors() -> None:
    assert issubclass(DownloadError, FlashError)
    assert issubclass(DownloadError, OSError)

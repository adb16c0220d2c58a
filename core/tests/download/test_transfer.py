from __future__ import annotations

import errno
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flash.download import _record, download_data, fetch
from flash.download._record import DownloadRecord
from flash.download._remote import Remote
from flash.errors import ChecksumError, ConfigurationError, DownloadError, FlashError


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("waited in vain")


def test_an_interrupted_download_goes_on_where_it_stopped(site: Any, tmp_path: Path) -> None:
    site.interrupt(tmp_path)
    assert site.download(tmp_path, sha256=site.sha256).read_bytes() == site.content
    assert site.requests[0]["range"] == f"bytes={site.half}-"
    assert site.requests[0]["if-range"] == '"one"'
    assert visible(tmp_path) == ["data.bin"]


def test_the_date_of_the_file_serves_where_there_is_no_strong_etag(site: Any, tmp_path: Path) -> None:
    site.etag, site.modified = 'W/"weak"', "Wed, 21 Oct 2015 07:28:00 GMT"
    site.interrupt(tmp_path)
    assert site.download(tmp_path).read_bytes() == site.content
    assert site.requests[0]["if-range"] == site.modified


def test_a_server_that_ignores_ranges_is_read_from_the_start(site: Any, tmp_path: Path) -> None:
    site.interrupt(tmp_path)
    site.ranges = False
    assert site.download(tmp_path).read_bytes() == site.content


def test_a_file_that_changed_meanwhile_is_read_from_the_start(site: Any, tmp_path: Path) -> None:
    site.interrupt(tmp_path)
    site.etag, site.content = '"two"', site.content[::-1]
    assert site.download(tmp_path).read_bytes() == site.content


def test_a_server_that_ignores_if_range_does_not_get_two_files_mixed(site: Any, tmp_path: Path) -> None:
    site.interrupt(tmp_path)
    site.if_range, site.etag, site.content = False, '"two"', site.content[::-1]
    assert site.download(tmp_path).read_bytes() == site.content
    assert len(site.requests) == 2


@pytest.mark.parametrize("version", [{"etag": '"one"'}, {"etag": None, "modified": "Wed, 21 Oct 2015 07:28:00 GMT"}])
def test_a_part_that_does_not_say_which_version_it_is_of_is_not_believed(
    site: Any, tmp_path: Path, version: dict[str, Any]
) -> None:
    vars(site).update(version)
    site.interrupt(tmp_path)
    site.if_range, site.silent_parts, site.content = False, True, site.content[::-1]
    assert site.download(tmp_path).read_bytes() == site.content
    assert ["range" in request for request in site.requests] == [True, False]


def test_a_part_of_the_same_date_with_another_etag_is_not_believed(site: Any, tmp_path: Path) -> None:
    site.etag, site.modified = 'W/"one"', "Wed, 21 Oct 2015 07:28:00 GMT"
    site.interrupt(tmp_path)
    site.etag, site.content = 'W/"two"', site.content[::-1]
    assert site.download(tmp_path).read_bytes() == site.content


def test_a_part_of_a_file_of_another_length_is_not_believed(site: Any, tmp_path: Path) -> None:
    site.interrupt(tmp_path)
    site.content = site.content[::-1] + b"more"
    assert site.download(tmp_path).read_bytes() == site.content


def test_a_file_without_etag_and_date_is_read_from_the_start(site: Any, tmp_path: Path) -> None:
    site.etag = None
    site.interrupt(tmp_path)
    assert site.download(tmp_path).read_bytes() == site.content
    assert "range" not in site.requests[0]


def test_a_part_longer_than_the_file_is_thrown_away(site: Any, tmp_path: Path) -> None:
    site.interrupt(tmp_path)
    with (tmp_path / "data.bin.part").open("ab") as part:
        part.write(site.content)
    assert site.download(tmp_path).read_bytes() == site.content


def test_a_range_that_the_server_cannot_satisfy_starts_anew(site: Any, tmp_path: Path) -> None:
    site.interrupt(tmp_path)
    site.content = b"short"
    assert site.download(tmp_path).read_bytes() == b"short"
    assert len(site.requests) == 2


def test_a_part_of_another_url_is_thrown_away(site: Any, tmp_path: Path) -> None:
    site.interrupt(tmp_path)
    site.content = site.content[::-1]
    other = download_data(site.url("/v2/data.bin"), tmp_path, progress=False)
    assert other.read_bytes() == site.content


def test_a_part_that_is_complete_needs_no_server(site: Any, tmp_path: Path) -> None:
    site.interrupt(tmp_path)
    (tmp_path / "data.bin.part").write_bytes(site.content)
    assert site.download(tmp_path).read_bytes() == site.content
    assert site.requests == []


def test_a_copy_of_a_local_file_goes_on_where_it_stopped(tmp_path: Path) -> None:
    source, target = tmp_path / "source.bin", tmp_path / "target.bin"
    source.write_bytes(b"abcdef")
    (tmp_path / "target.bin.part").write_bytes(b"###")
    version = {"etag": f"{source.stat().st_mtime_ns}-6", "modified": "", "size": 6}
    with DownloadRecord(target) as record:
        record.update(part={"source": Remote.parse(source.as_uri()).identity, **version})
    fetch(source.as_uri(), target, progress=False)
    assert target.read_bytes() == b"###def"


_CHILD = """
import sys
from flash.download import download_data
print("ready", flush=True)
download_data(sys.argv[1], sys.argv[2], progress=False)
"""


def start_child(site: Any, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _CHILD, site.url(), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def said(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline()


@pytest.mark.process
def test_a_killed_process_leaves_a_part_that_the_next_one_continues(site: Any, tmp_path: Path) -> None:
    site.stall_after = site.half
    part = tmp_path / "data.bin.part"
    with start_child(site, tmp_path) as child:
        # What sits in the buffer of the killed process is lost; what it wrote is not.
        wait_for(lambda: part.exists() and part.stat().st_size > 0)
        child.kill()
    kept = part.stat().st_size
    assert visible(tmp_path) == ["data.bin.part"]
    site.stall_after = None
    site.stall.set()
    assert site.download(tmp_path).read_bytes() == site.content
    assert site.requests[-1]["range"] == f"bytes={kept}-"


@pytest.mark.process
def test_two_processes_at_once_both_end_with_the_whole_file(site: Any, tmp_path: Path) -> None:
    site.stall_after = site.half
    with start_child(site, tmp_path) as one, start_child(site, tmp_path) as two:
        assert said(one) == said(two) == "ready\n"
        site.stall.set()
    assert one.returncode == two.returncode == 0
    assert (tmp_path / "data.bin").read_bytes() == site.content
    assert len(site.requests) == 1


def test_without_file_locks_each_process_has_a_part_of_its_own(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(handle: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(_record, "_wait_for_lock", unsupported)
    with DownloadRecord(tmp_path / "x") as one, DownloadRecord(tmp_path / "x") as two:
        assert one.suffix != two.suffix
    assert site.download(tmp_path).read_bytes() == site.content


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


@pytest.mark.parametrize("announce", [True, False])
def test_a_file_that_is_too_large_is_an_error_and_leaves_nothing(site: Any, tmp_path: Path, announce: bool) -> None:
    site.announce = announce
    most = len(site.content) - 1
    with pytest.raises(
        DownloadError, match=rf"Expected at most {most} bytes at http://.*/data\.bin, but there are more"
    ):
        site.download(tmp_path, max_bytes=most)
    assert len(site.requests) == 1
    assert list(tmp_path.iterdir()) == []
    assert site.download(tmp_path, max_bytes=len(site.content)).read_bytes() == site.content


def test_a_part_counts_to_the_size_of_a_file(site: Any, tmp_path: Path) -> None:
    site.interrupt(tmp_path)
    with pytest.raises(DownloadError, match=f"Expected at most {site.half - 1} bytes"):
        site.download(tmp_path, max_bytes=site.half - 1)
    assert visible(tmp_path) == []
    site.interrupt(tmp_path)
    assert site.download(tmp_path, max_bytes=len(site.content)).read_bytes() == site.content
    assert site.requests[-1]["range"] == f"bytes={site.half}-"


@pytest.mark.parametrize("options", [{"timeout": 0}, {"retries": -1}, {"sha256": "abc"}, {"max_bytes": -1}])
def test_arguments_without_sense_are_refused_before_anything_is_sent(
    site: Any, tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match="Expected"):
        site.download(tmp_path, **options)
    assert site.requests == []


def test_all_errors_of_a_download_are_flash_errors_and_os_errors() -> None:
    assert issubclass(DownloadError, FlashError)
    assert issubclass(DownloadError, OSError)

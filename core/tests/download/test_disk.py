"""The local side of a download: full disks, and places that are taken."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import IO, Any

import pytest

from flash.download import fetch
from flash.errors import ConfigurationError, DownloadError


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

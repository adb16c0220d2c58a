from __future__ import annotations

import errno
import io
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import flash
from flash.download import download_data, fetch


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_file_lands_in_the_folder_under_the_name_from_its_url(site: Any, tmp_path: Path) -> None:
    file = site.download(tmp_path / "new" / "data")
    assert file == tmp_path / "new" / "data" / "data.bin"
    assert file.read_bytes() == site.content
    assert visible(file.parent) == ["data.bin"]


def test_fetch_writes_one_file_to_the_path_that_was_asked_for(site: Any, tmp_path: Path) -> None:
    file = fetch(site.url(), tmp_path / "cache" / "model.pt", sha256=site.sha256, progress=False)
    assert file == tmp_path / "cache" / "model.pt"
    assert file.read_bytes() == site.content


def test_fetch_leaves_an_archive_packed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("weights", "1 2 3")
    fetch((tmp_path / "model.zip").as_uri(), tmp_path / "here" / "model.zip", progress=False)
    assert visible(tmp_path / "here") == ["model.zip"]


def test_a_zip_is_unpacked_and_its_folder_returned(site: Any, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("hymenoptera_data/train/ants/1.txt", "ant")
    site.content = stream.getvalue()
    folder = download_data(site.url("/tutorial/hymenoptera_data.zip"), tmp_path, progress=False)
    assert folder == tmp_path
    assert (tmp_path / "hymenoptera_data" / "train" / "ants" / "1.txt").read_text() == "ant"
    assert visible(tmp_path) == ["hymenoptera_data", "hymenoptera_data.zip"]


def test_a_file_url_is_copied(tmp_path: Path) -> None:
    source = tmp_path / "källa och mål.bin"
    source.write_bytes(b"1 2 3")
    assert download_data(source.as_uri(), tmp_path / "data", progress=False).read_bytes() == b"1 2 3"


def test_an_empty_file_is_a_file(site: Any, tmp_path: Path) -> None:
    site.content = b""
    assert site.download(tmp_path).read_bytes() == b""


def test_an_answer_without_a_length_is_read_to_its_end(site: Any, tmp_path: Path) -> None:
    site.announce = False
    assert site.download(tmp_path).read_bytes() == site.content


def test_the_server_learns_which_program_asks(site: Any, tmp_path: Path) -> None:
    site.download(tmp_path)
    assert site.requests[0]["user-agent"] == f"flash-core/{flash.__version__}"


def test_a_file_that_is_there_is_not_asked_for_again(site: Any, tmp_path: Path) -> None:
    site.download(tmp_path)
    site.download(tmp_path)
    assert len(site.requests) == 1


def test_a_file_that_is_there_with_another_checksum_is_replaced(site: Any, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"older")
    assert site.download(tmp_path, sha256=site.sha256.upper()).read_bytes() == site.content


def test_a_file_with_the_right_checksum_is_kept_wherever_it_came_from(site: Any, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(site.content)
    site.download(tmp_path, sha256=site.sha256)
    assert site.requests == []


def test_data_in_a_folder_without_write_permission_can_be_used(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.download(tmp_path)

    def refuse(path: Path, flags: int, mode: int) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("flash.download._record.os.open", refuse)
    assert site.download(tmp_path).read_bytes() == site.content
    assert len(site.requests) == 1


@pytest.mark.process
def test_the_module_imports_neither_torch_nor_a_progress_bar() -> None:
    code = "import sys, flash.download; print({'torch', 'tqdm', 'pytorch_lightning'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert told == "set()\n"

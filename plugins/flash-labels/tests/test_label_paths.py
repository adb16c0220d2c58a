"""The files that tasks refer to: under one folder, whatever a task says."""

from __future__ import annotations

from pathlib import Path

import pytest

from flash.errors import ConfigurationError, DataError
from flash.labels.paths import file_of, reference_to


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("/data/local-files/?d=cats/1.jpg", "cats/1.jpg"),
        ("/data/local-files?d=cats/1.jpg", "cats/1.jpg"),
        ("/data/local-files/?d=cats/my%20cat%2B1.jpg&x=2", "cats/my cat+1.jpg"),
        ("http://localhost:8080/data/local-files/?d=cats/1.jpg", "cats/1.jpg"),
        ("/data/local-files/?d=cats%5C1.jpg", "cats/1.jpg"),
        ("cats/1.jpg", "cats/1.jpg"),
        ("/data/upload/3/a1b2c3d4-1.jpg", "a1b2c3d4-1.jpg"),
    ],
)
def test_a_reference_is_a_file_in_the_folder(tmp_path: Path, reference: str, path: str) -> None:
    assert file_of(reference, tmp_path, "task 1") == tmp_path / path


@pytest.mark.parametrize("place", ["upload/3/1.jpg", "3/1.jpg", "1.jpg"])
def test_an_uploaded_file_is_found_where_it_was_copied_to(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).touch()
    assert file_of("/data/upload/3/1.jpg", tmp_path, "task 1") == tmp_path / place


def test_an_absolute_path_in_the_folder_is_one(tmp_path: Path) -> None:
    assert file_of(f"{tmp_path}/a/1.jpg", tmp_path, "task 1") == tmp_path / "a" / "1.jpg"


@pytest.mark.parametrize(
    "reference",
    [
        "/etc/passwd",
        "../secret.jpg",
        "a/../../secret.jpg",
        "/data/local-files/?d=../secret.jpg",
        "/data/local-files/?d=%2E%2E/secret.jpg",
        "/data/local-files/?d=..%5Csecret.jpg",
        "/data/local-files/?d=/etc/passwd",
        "/data/local-files/?d=",
        "/data/upload/../../secret.jpg",
        "C:/secret.jpg",
        "C:\\secret.jpg",
    ],
)
def test_no_reference_leads_out_of_the_folder(tmp_path: Path, reference: str) -> None:
    with pytest.raises(DataError, match="Expected the files of tasks to lie in .*, but task 1 refers to"):
        file_of(reference, tmp_path, "task 1")


def test_a_file_on_the_web_has_to_be_allowed(tmp_path: Path) -> None:
    url = "https://host.invalid/1.jpg"
    with pytest.raises(DataError, match="task 1 refers to 'https://host.invalid/1.jpg'. Pass urls=True"):
        file_of(url, tmp_path, "task 1")
    assert file_of(url, tmp_path, "task 1", urls=True) == url


@pytest.mark.parametrize(
    "reference", ["s3://bucket/1.jpg", "gs://bucket/1.jpg", "file:///etc/passwd", "data:image/png,x"]
)
def test_other_urls_are_refused(tmp_path: Path, reference: str) -> None:
    with pytest.raises(DataError, match="Expected a file in .*, or a URL of http or https, but task 1 refers to"):
        file_of(reference, tmp_path, "task 1", urls=True)


@pytest.mark.parametrize("reference", [None, 3, "", " ", "a\0b", {"url": "1.jpg"}])
def test_what_is_no_reference_is_an_error(tmp_path: Path, reference: object) -> None:
    with pytest.raises(DataError, match="Expected task 1 to refer to a file, but got"):
        file_of(reference, tmp_path, "task 1")


def test_a_reference_that_is_written_is_read_as_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "a b" / "c+d%20?.jpg"
    assert file_of(reference_to(file, tmp_path), tmp_path, "task 1") == file
    assert reference_to(tmp_path / "1.jpg", tmp_path, "https://host/") == "https://host/1.jpg"
    assert reference_to("https://host/1.jpg", None) == "https://host/1.jpg"


def test_a_file_outside_of_the_folder_has_no_reference(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Expected files in data_folder="):
        reference_to(tmp_path / "in" / ".." / "1.jpg", tmp_path / "in")
    with pytest.raises(
        ConfigurationError, match="Expected data_folder, the folder that Label Studio serves files from"
    ):
        reference_to(tmp_path / "1.jpg", None)

"""Files in folders, whose names are the classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flash.data.folders import check_files_exist, list_class_files, list_files
from flash.errors import DataError


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def test_a_folder_names_the_class_of_all_files_inside() -> None:
    touch("f/b/2.wav", "f/b/deep/1.wav", "f/a/3.wav", "f/.ipynb_checkpoints/4.wav")
    files, classes = list_class_files(Path("f"))
    assert [str(file) for file in files] == ["f/a/3.wav", "f/b/2.wav", "f/b/deep/1.wav"]
    assert classes == ["a", "b", "b"]


def test_empty_classes_and_stray_files_are_said(caplog: pytest.LogCaptureFixture) -> None:
    touch("f/a/3.wav", "f/readme.wav", "f/b/x.mp3")
    Path("f/c").mkdir()
    assert list_class_files("f", [".wav"], "image")[1] == ["a"]
    assert caplog.messages == [
        "Skipped 2 of 3 files in f (no image by its name, or not in a class folder): b/x.mp3, readme.wav.",
        "Left out 2 of 3 classes in f, without an image: b, c.",
    ]


@pytest.mark.parametrize("listing", [list_files, list_class_files])
def test_missing_and_empty_folders_are_errors(listing: Any) -> None:
    with pytest.raises(DataError, match="Expected a folder of files at nowhere, but there is no such folder"):
        listing("nowhere")
    touch("file.wav")
    with pytest.raises(DataError, match=r"Expected a folder of files at file\.wav, but there is a file"):
        listing("file.wav")
    Path("empty").mkdir()
    with pytest.raises(DataError, match="Expected .* in empty"):
        listing("empty")


def test_files_beside_class_folders_alone_are_an_error() -> None:
    touch("f/1.wav", "f/2.wav")
    with pytest.raises(DataError, match=r"with files \(\.wav\) for each class in f, but found 0 folders and 2 files"):
        list_class_files("f", [".wav"])


def test_a_folder_among_files_and_a_single_missing_file_are_said() -> None:
    touch("f/a.wav", "f/deep/b.wav")
    with pytest.raises(DataError, match=r"Expected image files in the predict data, but f/deep is a folder\. Pass its"):
        check_files_exist(["f/a.wav", "f/deep"], "predict", "image")
    with pytest.raises(DataError, match=r"Expected the image file nowhere in the predict data, but it does not exist"):
        check_files_exist(["nowhere"], "predict", "image")

"""Files in folders, whose names are the classes."""

from __future__ import annotations

import os
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from flash.data.damaged import without_damaged
from flash.data.folders import FileList, check_files_exist, list_class_files, list_files, local_path
from flash.data.inputs import SampleInputs
from flash.errors import DataError, DownloadError


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


NAMES = ["a/1.wav", "a/ü.wav", "b.wav"]


def test_a_list_of_files_is_a_sequence_of_paths() -> None:
    files = FileList(Path("f"), NAMES)
    assert files == [Path("f", name) for name in NAMES] == list(files)
    assert files[-1] == Path("f/b.wav")
    assert files[1:] == [Path("f/a/ü.wav"), Path("f/b.wav")]
    assert files != NAMES
    assert files != files[:2]
    assert pickle.loads(pickle.dumps(files)) == files
    with pytest.raises(IndexError):
        files[3]


def test_a_name_that_is_no_text_is_the_same_file() -> None:
    name = os.fsdecode(b"\xff.wav")
    Path("f").mkdir()
    Path("f", name).write_text("here")
    (found,) = list_files("f")
    assert found.read_text() == "here"


def test_files_are_sorted_by_folder_and_name_and_a_cycle_of_links_ends() -> None:
    for name in ("f/a-b/1.wav", "f/a/2.wav", "f/a.wav", "f/B/3.wav"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    Path("f/a/again").symlink_to(Path("f").resolve())
    files = list_files("f")
    assert [file.relative_to("f").as_posix() for file in files] == ["B/3.wav", "a/2.wav", "a-b/1.wav", "a.wav"]
    assert files == sorted(files)


def test_rows_are_taken_as_of_any_inputs_and_damaged_files_left_out() -> None:
    inputs = SampleInputs(FileList("f", NAMES), [0, 1, 2])
    taken = inputs.take([2, 0])
    assert isinstance(taken.sources, FileList)
    assert taken.sources == [Path("f/b.wav"), Path("f/a/1.wav")]

    def attempt(source: Path, name: str) -> None:
        if source.name == "1.wav":
            raise ValueError("no sound")

    kept, bad, rows = without_damaged(inputs, attempt, "recording", "val")
    assert (kept.sources, bad, rows) == (FileList("f", NAMES[1:]), [("f/a/1.wav", "no sound")], [1, 2])


def test_a_path_takes_no_more_than_its_name_and_some_ten_bytes() -> None:
    names = [f"class_{row % 10}/image_{row:06}.png" for row in range(20_000)]
    tracemalloc.start()
    files = FileList("/a/long/path/to/a/folder/of/images", names)
    needed = tracemalloc.get_traced_memory()[0] / len(files)
    tracemalloc.stop()
    assert files.nbytes / len(files) == pytest.approx(len(names[0]) + 8, abs=0.1)
    assert needed < 1.3 * (len(names[0]) + 8)


def test_a_sample_at_a_url_may_not_be_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(bytes(9))
    url = (tmp_path / "a.png").as_uri()
    monkeypatch.setattr("flash.data.folders._MAX_BYTES_OF_SAMPLE", 8)
    with pytest.raises(DownloadError, match=r"Expected at most 8 bytes at file://.*/a\.png, .*download_data\(url, max"):
        local_path(url)
    monkeypatch.setattr("flash.data.folders._MAX_BYTES_OF_SAMPLE", 9)
    assert local_path(url).read_bytes() == bytes(9)

"""Listings of image files: sorted, without what is no image, and that is said."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from flash.data.files import list_class_files
from flash.errors import DataError
from flash.image.files import IMAGE_EXTENSIONS, image_files


def images_by_class(folder: str | Path) -> tuple[Sequence[Path], list[str]]:
    return list_class_files(folder, IMAGE_EXTENSIONS, "image")


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def test_files_are_sorted_and_found_at_any_depth() -> None:
    touch("f/b.jpg", "f/a.PNG", "f/sub/0.webp", "f/.hidden/1.jpg", "f/.2.jpg")
    assert [str(file) for file in image_files("f")] == ["f/a.PNG", "f/b.jpg", "f/sub/0.webp"]


def test_files_that_are_no_images_are_counted_and_named(caplog: pytest.LogCaptureFixture) -> None:
    touch("f/a.jpg", "f/b.gif", "f/notes.txt")
    with caplog.at_level(logging.WARNING, "flash.image"):
        assert [file.name for file in image_files("f")] == ["a.jpg"]
    assert caplog.messages == ["Skipped 2 of 3 files in f (no image by its name): b.gif, notes.txt."]


def test_nothing_is_said_where_nothing_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    touch("f/ants/a.jpg", "f/bees/b.jpg", "f/.DS_Store")
    images_by_class("f")
    assert caplog.messages == []


def test_a_folder_names_the_class_of_all_images_inside() -> None:
    touch("f/bees/2.jpg", "f/bees/deep/1.jpg", "f/ants/3.jpg", "f/.ipynb_checkpoints/4.jpg")
    files, classes = images_by_class(Path("f"))
    assert [str(file) for file in files] == ["f/ants/3.jpg", "f/bees/2.jpg", "f/bees/deep/1.jpg"]
    assert classes == ["ants", "bees", "bees"]


def test_empty_classes_and_stray_files_are_said(caplog: pytest.LogCaptureFixture) -> None:
    touch("f/ants/3.jpg", "f/readme.jpg", "f/bees/x.gif")
    Path("f/wasps").mkdir()
    assert images_by_class("f")[1] == ["ants"]
    assert caplog.messages == [
        "Skipped 2 of 3 files in f (no image by its name, or not in a class folder): bees/x.gif, readme.jpg.",
        "Left out 2 of 3 classes in f, without an image: bees, wasps.",
    ]


def test_links_that_lead_in_a_circle_end() -> None:
    touch("f/ants/1.jpg", "f/bees/2.jpg")
    Path("f/ants/again").symlink_to(Path("f").absolute(), target_is_directory=True)
    files, _ = images_by_class("f")
    assert len([file for file in files if file.name == "2.jpg"]) >= 1
    assert len(files) < 10


@pytest.mark.parametrize("list_files", [image_files, images_by_class])
def test_missing_and_empty_folders_are_errors(list_files: object) -> None:
    assert callable(list_files)
    with pytest.raises(DataError, match="Expected a folder of images at nowhere, but there is no such folder"):
        list_files("nowhere")
    touch("file.jpg")
    with pytest.raises(DataError, match=r"Expected a folder of images at file\.jpg, but there is a file"):
        list_files("file.jpg")
    Path("empty").mkdir()
    with pytest.raises(DataError, match=r"Expected .* in empty"):
        list_files("empty")


def test_images_without_class_folders_are_an_error_that_says_what_was_found() -> None:
    touch("f/1.jpg", "f/2.jpg")
    with pytest.raises(DataError, match="for each class in f, but found 0 folders and 2 files in it"):
        images_by_class("f")

"""COCO files: what is read of them, and what is refused."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flash.errors import DataError
from flash.image.detection.coco import read_coco


@pytest.fixture
def written(tmp_path: Path, draw: Callable[..., Any]) -> tuple[Path, Path, Any]:
    """A folder of images, its annotation file, and what was drawn."""
    drawn = draw(4, sizes=((64, 64), (80, 50)))
    names = [path.name for path in drawn.save(tmp_path / "images")]
    return tmp_path / "images", drawn.coco(tmp_path / "boxes.json", names), drawn


def changed(file: Path, change: Callable[[Any], Any]) -> Path:
    content = json.loads(file.read_text())
    result = change(content)
    file.write_text(json.dumps(content if result is None else result))
    return file


def test_images_boxes_labels_and_sizes_come_in_the_order_of_the_file(written: Any) -> None:
    folder, file, drawn = written
    images, labels = read_coco(folder, file)
    assert [image.source for image in images] == sorted(folder.iterdir())
    assert [image.boxes.tolist() for image in images] == drawn.boxes
    assert [list(image.labels) for image in images] == drawn.labels
    assert [image.size for image in images] == [(64, 64), (80, 50)] * 2
    assert labels == ["blue", "red"], "in the order of their ids, 3 and 70"


def test_images_without_boxes_are_kept(written: Any) -> None:
    folder, file, _ = written
    changed(file, lambda content: content["annotations"].pop(0) and None)
    images, _ = read_coco(folder, file)
    assert [len(image.boxes) for image in images] == [0, 1, 1, 1]


def test_crowds_are_marked(written: Any) -> None:
    folder, file, _ = written
    changed(file, lambda content: content["annotations"][1].update(iscrowd=1, segmentation={"counts": [1]}))
    images, _ = read_coco(folder, file)
    assert [image.ignored(training=True).tolist() for image in images] == [[False], [True], [False], [False]]


def test_images_without_noted_sizes_are_taken(written: Any) -> None:
    folder, file, _ = written
    changed(file, lambda content: [image.pop("width") for image in content["images"]] and None)
    assert read_coco(folder, file)[0][0].size is None


def _remove(key: str) -> Callable[[Any], Any]:
    return lambda content: content.pop(key) and None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_remove("annotations"), "lists images, annotations and categories, .* but annotations is missing"),
        (lambda content: [1, 2], "but images and annotations and categories are missing"),
        (lambda content: content["annotations"][0].pop("bbox") and None, "each annotation in .* to have 'bbox', but"),
        (lambda content: content["images"][0].pop("file_name") and None, "each image in .* to have 'file_name', but"),
        (lambda content: content["annotations"][0].update(category_id=4), "the category_id 4 of image_id 7 is not"),
        (lambda content: content["annotations"][0].update(image_id=99), "image_id 99 is not among them"),
        (lambda content: content["annotations"][0].update(bbox=[1, 2, 3]), "four numbers in pixels"),
        (lambda content: content["annotations"][0].update(bbox=[1, 2, -3, 4]), "ends before it starts"),
        (lambda content: content["categories"].append({"id": 5, "name": "red"}), "'red' is there 2 times"),
        (lambda content: content["categories"].append({"id": 3, "name": "blau"}), "an id is there twice"),
        (
            lambda content: content["images"][0].update(file_name="gone.png"),
            "1 of 4 are missing, such as .*gone.png",
        ),
        (lambda content: content["images"][0].update(file_name="../boxes.json"), "inside .*, but got '../boxes.json'"),
        (lambda content: content["images"][0].update(file_name="/etc/passwd"), "inside .*, but got '/etc/passwd'"),
        (lambda content: content["images"][0].update(file_name="C:\\x.png"), "inside .*, but got"),
        (lambda content: content.update(images=[], annotations=[]), "at least one image"),
    ],
)
def test_a_broken_file_is_an_error_that_says_what_is_wrong(
    written: Any, change: Callable[[Any], Any], sentence: str
) -> None:
    folder, file, _ = written
    changed(file, change)
    with pytest.raises(DataError, match=sentence):
        read_coco(folder, file)


def _first(part: str, **values: Any) -> Callable[[Any], Any]:
    return lambda content: content[part][0].update(values)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_first("images", id=[7]), r"the id of the images in .* to be numbers or texts, but got \[7\]. Number them"),
        (_first("images", id=True), "the id of the images in .* but got True"),
        (_first("images", id=math.nan), "the id of the images in .* but got nan"),
        (_first("images", id="a"), "the id of the images in .* all numbers or all texts, but got both"),
        (_first("images", id=8), "the images in .* to have different ids, but 8 is there twice"),
        (_first("annotations", image_id={}), "the image_id of the annotations in .* but got {}"),
        (_first("annotations", category_id=[]), r"the category_id of the annotations in .* but got \[\]"),
        (_first("annotations", category_id=math.inf), "the category_id inf of image_id 7 is not"),
        (_first("categories", id="b"), "the id of the categories in .* all numbers or all texts, but got both"),
        (_first("categories", id=None), "the id of the categories in .* but got None"),
        (_first("categories", name=["red"]), r"the names of the categories in .* to be texts, but got \['red'\]"),
        (_first("categories", name="\ud800"), r"UTF-8 can encode in the names of the categories in .*'\\ud800'"),
        (_first("images", width="x"), "the width and height of the images in .* pixels, but got 'x' and 64. Correct"),
        (_first("images", width=math.inf), "the width and height of the images in .* but got inf and 64"),
        (_first("images", height=math.nan), "the width and height of the images in .* but got 64 and nan"),
        (_first("images", height=[1]), r"the width and height of the images in .* but got 64 and \[1\]"),
        (_first("annotations", iscrowd="2"), "iscrowd in .* to be 0 or 1, but got '2'"),
        (_first("annotations", bbox=[1, 1, math.inf, 5]), "the edges of boxes to be finite numbers"),
        (_first("annotations", bbox=[1, 1, 1e300, 5]), "the edges of boxes to be finite numbers"),
        (_first("annotations", bbox=[1, 1, 10**400, 5]), "each box to be four numbers in pixels"),
        (_first("annotations", bbox="abcd"), "each box to be four numbers in pixels"),
        (_first("images", file_name="x" * 5000), "1 of 4 are missing"),
        (_first("images", file_name="a\0b"), "1 of 4 are missing"),
        (_first("images", file_name="\ud800.png"), "1 of 4 are missing"),
    ],
)
def test_an_odd_value_is_an_error_of_one_sentence(written: Any, change: Callable[[Any], Any], sentence: str) -> None:
    folder, file, _ = written
    changed(file, change)
    with pytest.raises(DataError, match=sentence) as raised:
        read_coco(folder, file)
    assert len(str(raised.value).replace(str(folder), "").replace(str(file), "")) < 500
    str(raised.value).encode()


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"images":' * 100_000, "{}".encode("utf-16"), b"\xff", b""])
def test_endless_brackets_and_other_encodings_are_errors(written: Any, content: bytes) -> None:
    folder, file, _ = written
    file.write_bytes(content)
    with pytest.raises(DataError, match="COCO annotation file in JSON, but it is not: .* Export it again"):
        read_coco(folder, file)


def test_a_byte_order_mark_is_read_over(written: Any) -> None:
    folder, file, drawn = written
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert [image.boxes.tolist() for image in read_coco(folder, file)[0]] == drawn.boxes


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_not_waited_for(written: Any) -> None:
    folder, file, _ = written
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(DataError, match="but it cannot be read: there is no such file. Check the path"):
        read_coco(folder, file)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_a_path_that_no_file_can_have_is_an_error(written: Any, tmp_path: Path, name: str) -> None:
    folder, file, _ = written
    with pytest.raises(DataError, match="to be the folder with the images, but there is no such folder"):
        read_coco(tmp_path / name, file)
    with pytest.raises(DataError, match="but it cannot be read: there is no such file"):
        read_coco(folder, tmp_path / name)


def test_what_is_no_json_is_an_error(written: Any) -> None:
    folder, file, _ = written
    file.write_text("{")
    with pytest.raises(DataError, match="COCO annotation file in JSON, but it is not"):
        read_coco(folder, file)


def test_a_missing_folder_or_file_is_an_error(written: Any, tmp_path: Path) -> None:
    folder, file, _ = written
    with pytest.raises(DataError, match="to be the folder with the images, but there is no such folder"):
        read_coco(tmp_path / "gone", file)
    with pytest.raises(DataError, match="but it cannot be read"):
        read_coco(folder, tmp_path / "gone.json")


def test_images_may_lie_in_folders_inside_the_folder(written: Any) -> None:
    folder, file, _ = written
    (folder / "inner").mkdir()
    (folder / "000.png").rename(folder / "inner" / "000.png")
    changed(file, lambda content: content["images"][0].update(file_name="inner\\000.png"))
    assert read_coco(folder, file)[0][0].source == folder / "inner" / "000.png"


# ---------------------------------------------------------------------- as tools write them


def _as_texts(content: Any) -> None:
    for part, key in (("images", "id"), ("annotations", "image_id"), ("annotations", "category_id")):
        for record in content[part]:
            record[key] = str(record[key])


def _with_extras(content: Any) -> None:
    content |= {"info": {"year": 2024}, "licenses": []}
    for number, annotation in enumerate(content["annotations"]):
        annotation.pop("area", None)
        annotation |= {"id": number, "attributes": {"occluded": False}, "iscrowd": "0", "score": None}
        annotation["segmentation"] = [{"counts": "PZ", "size": [64, 64]}, [[1, 2, 3, 4]], []][number % 3]
        annotation["bbox"] = [float(value) for value in annotation["bbox"]]


def _with_project(content: Any) -> None:
    content["categories"].insert(0, {"id": 0, "name": "red", "supercategory": "none"})
    for category in content["categories"][1:]:
        category["supercategory"] = "red"


def _with_folders(start: str) -> Callable[[Any], Any]:
    return lambda content: [image.update(file_name=start + image["file_name"]) for image in content["images"]] and None


@pytest.mark.parametrize(
    "change",
    [
        _as_texts,
        _with_extras,
        _with_project,
        _with_folders("images\\"),
        _with_folders("/data/upload/1/"),
        _with_folders("../../label-studio/data/"),
        _with_folders("C:\\labels\\"),
    ],
    ids=["numbers as texts", "extras", "project", "backslash", "absolute", "above", "drive"],
)
def test_what_tools_write_is_read_as_it_is_meant(written: Any, change: Callable[[Any], Any]) -> None:
    folder, file, drawn = written
    changed(file, change)
    images, labels = read_coco(folder, file)
    assert [image.source for image in images] == sorted(folder.iterdir())
    assert [image.boxes.tolist() for image in images] == drawn.boxes
    assert [list(image.labels) for image in images] == drawn.labels
    assert labels == ["blue", "red"]


def test_images_of_one_name_in_several_folders_are_not_taken_for_each_other(written: Any) -> None:
    folder, file, _ = written

    def same_name(content: Any) -> None:
        for image, place in zip(content["images"][:2], ("a", "b"), strict=True):
            image["file_name"] = f"{place}/{sorted(folder.iterdir())[0].name}"

    changed(file, same_name)
    with pytest.raises(DataError, match="2 of 4 are missing"):
        read_coco(folder, file)


def test_a_category_above_others_that_has_boxes_is_a_class(written: Any) -> None:
    folder, file, _ = written
    changed(file, lambda content: [each.update(supercategory="none") for each in content["categories"]] and None)
    assert read_coco(folder, file)[1] == ["blue", "red"]

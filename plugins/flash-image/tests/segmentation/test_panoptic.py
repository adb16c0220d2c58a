"""Panoptic COCO files: segments of images, whose ids are the colors of a mask, become classes of pixels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flash.errors import DataError
from flash.image import InstanceSegmentationData, ObjectDetectionData, SemanticSegmentationData

Draw = Callable[..., Any]
CONFIG = {"input_size": (3, 64, 64), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
CATEGORIES = [
    {"id": 30, "name": "square", "isthing": 1},
    {"id": 10, "name": "ground", "isthing": 0},
    {"id": 20, "name": "circle", "isthing": 1},
]
# Of each class of the drawn masks the id of its segment, which needs all three channels, and its category.
SEGMENTS = {0: (70_000, 10), 1: (300, 20), 2: (5, 30)}


def write(folder: Path, drawn: Any, name: str = "panoptic", **changes: Any) -> Path:
    """Write images, the JSON file, and the PNG files in the folder of its name; the first row of pixels is of none."""
    masks = folder / name
    masks.mkdir(parents=True, exist_ok=True)
    annotations = []
    for row, mask in enumerate(drawn.masks):
        ids = np.vectorize({index: each[0] for index, each in SEGMENTS.items()}.get)(mask)
        ids[0] = 0
        Image.fromarray(np.stack([ids % 256, ids // 256 % 256, ids // 65536], 2).astype(np.uint8)).save(
            masks / f"{row:03}.png"
        )
        found = [{"id": key, "category_id": category, "iscrowd": 0} for key, category in SEGMENTS.values()]
        annotations.append({"image_id": row, "file_name": f"{row:03}.png", "segments_info": found})
    images = [{"id": row, "file_name": f"{row:03}.png", "width": 48, "height": 48} for row in range(len(drawn.images))]
    file = folder / f"{name}.json"
    content = {"images": images, "annotations": annotations, "categories": CATEGORIES, **changes}
    file.write_text(json.dumps(content))
    return file


@pytest.fixture
def drawn(draw: Draw, tmp_path: Path) -> Any:
    found = draw(3)
    found.save(tmp_path)
    return found


def make(*arguments: Any, **options: Any) -> SemanticSegmentationData:
    known: dict[str, Any] = options if "preprocess" in options else {"data_config": CONFIG, **options}
    return SemanticSegmentationData.from_coco(*arguments, **known)


def test_segments_are_classes_and_pixels_without_one_do_not_count(drawn: Any, tmp_path: Path) -> None:
    file, images = write(tmp_path, drawn), tmp_path / "images"
    data = make(images, file, images, file)
    assert data.labels == ["ground", "circle", "square"]
    for row, mask in enumerate(drawn.masks):
        expected = mask.copy()
        expected[0] = 255
        assert np.array_equal(data.val_dataset[row][1].numpy(), expected)
    counted = np.stack(drawn.masks)[:, 1:]
    assert data.facts["class_counts"] == np.bincount(counted.ravel()).tolist()


def test_masks_are_in_the_folder_that_is_named_and_classes_in_the_order_that_is(drawn: Any, tmp_path: Path) -> None:
    file, images = write(tmp_path, drawn), tmp_path / "images"
    (tmp_path / "panoptic").rename(tmp_path / "elsewhere")
    with pytest.raises(
        DataError, match=r"masks of .*panoptic.json in .*panoptic, but 3 of 3 are missing.*_folder=\.\.\."
    ):
        make(images, file)
    data = make(images, file, train_target_folder=tmp_path / "elsewhere", labels=["square", "circle", "ground"])
    again = make(None, None, images, file, val_target_folder=tmp_path / "elsewhere", preprocess=data.preprocess)
    order = np.array([2, 1, 0])
    assert np.array_equal(again.val_dataset[0][1].numpy()[1:], order[drawn.masks[0]][1:])
    assert data.labels == ["square", "circle", "ground"]


def changed(drawn: Any, folder: Path, **changes: Any) -> Path:
    """Write a file whose first annotation is changed."""
    file = write(folder, drawn)
    content = json.loads(file.read_text())
    content["annotations"][0] |= changes
    file.write_text(json.dumps(content))
    return file


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"segments_info": [{"id": 70_000, "category_id": 99}]}, "category_id 99 of image_id 0 is not"),
        ({"segments_info": [{"category_id": 10}]}, "Expected each segment in .* to have 'id'"),
        ({"segments_info": "none"}, "to be a list of segments, but that of image_id 0 is 'none'"),
        ({"segments_info": [{"id": "7", "category_id": 10}]}, "different whole numbers from 1 to 16777215.*got '7'"),
        ({"segments_info": [{"id": 1 << 24, "category_id": 10}]}, "got 16777216"),
        ({"segments_info": [{"id": 7, "category_id": 10}] * 2}, r"\[7, 7\] has one twice"),
        ({"file_name": "none.png"}, r"1 of 3 are missing, such as .*none\.png"),
        ({"file_name": "../secret.png"}, "to lie inside .*panoptic, but got '../secret.png'"),
        ({"image_id": 1}, "one annotation with segments_info for each image in .*image_id 1 has several"),
        ({"image_id": 9}, "image_id 9 is not among them"),
    ],
)
def test_a_panoptic_file_that_does_not_fit_is_an_error(
    drawn: Any, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        make(tmp_path / "images", changed(drawn, tmp_path, **changes))


def test_an_image_without_segments_info_is_an_error(drawn: Any, tmp_path: Path) -> None:
    file = write(tmp_path, drawn)
    content = json.loads(file.read_text())
    content["annotations"].pop()
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"for each image in .*1 of 3 have none, such as .*002\.png"):
        make(tmp_path / "images", file)


def test_a_pixel_of_no_segment_is_an_error_with_its_place(drawn: Any, tmp_path: Path) -> None:
    file = changed(drawn, tmp_path, segments_info=[{"id": 70_000, "category_id": 10}, {"id": 300, "category_id": 20}])
    row, column = np.argwhere(drawn.masks[0][1:] == 2)[0]
    with pytest.raises(
        DataError, match=rf"300, 70000, or 0, but that of row {row + 1} and column {column} has the id 5 "
    ):
        make(tmp_path / "images", file)


def test_masks_of_another_size_and_damaged_ones_are_errors(drawn: Any, tmp_path: Path) -> None:
    file, images = write(tmp_path, drawn), tmp_path / "images"
    mask = tmp_path / "panoptic" / "000.png"
    Image.open(mask).resize((24, 48), Image.Resampling.NEAREST).save(mask)
    with pytest.raises(DataError, match=r"size of its image, 48 x 48 pixels, but that of .*000.png is 24 x 48"):
        _ = make(images, file, images, file).val_dataset[0]
    mask.write_bytes(b"no image")
    with pytest.raises(DataError, match="Expected a mask, but .*000.png is of no format"):
        make(images, file)


def test_files_of_objects_and_of_segments_are_not_mixed(drawn: Any, tmp_path: Path) -> None:
    file, images = write(tmp_path, drawn), tmp_path / "images"
    objects = tmp_path / "objects.json"
    annotations = [{"image_id": 0, "category_id": 20, "segmentation": [[1, 1, 9, 1, 9, 9]]}]
    objects.write_text(json.dumps({**json.loads(file.read_text()), "annotations": annotations}))
    with pytest.raises(DataError, match=r"of one kind, .* but .*objects.json of the val data is not"):
        make(images, file, images, objects)
    with pytest.raises(DataError, match="train_target_folder together with a panoptic file"):
        make(images, objects, train_target_folder=tmp_path / "panoptic")
    data = make(images, file)
    with pytest.raises(DataError, match="of one kind"):
        make(None, None, images, objects, preprocess=data.preprocess)


@pytest.mark.parametrize(("data", "key"), [(ObjectDetectionData, "bbox"), (InstanceSegmentationData, "segmentation")])
def test_readers_of_objects_say_who_reads_segments(drawn: Any, tmp_path: Path, data: Any, key: str) -> None:
    with pytest.raises(DataError, match=rf"{key}.* panoptic file.*SemanticSegmentationData.from_coco reads it"):
        data.from_coco(tmp_path / "images", write(tmp_path, drawn))

"""Folders of images with annotations are recognized by what the annotations have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flash.data.recognition import RawData
from flash.image import (
    InstanceSegmentationData,
    KeypointDetectionData,
    ObjectDetectionData,
    SemanticSegmentationData,
)

DATA: dict[str, Any] = {
    "boxes": ObjectDetectionData,
    "objects": InstanceSegmentationData,
    "points": KeypointDetectionData,
    "pixels": SemanticSegmentationData,
}
BOX = {"image_id": 0, "category_id": 1, "bbox": [1, 1, 8, 8]}
VOC = """<annotation><filename>0.png</filename><object><name>cat</name>
<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>8</xmax><ymax>8</ymax></bndbox></object></annotation>"""


def write(folder: Path, *annotations: dict[str, Any], images: str = ".") -> Path:
    """Write an image, and its annotations as a COCO file."""
    (folder / images).mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(folder / images / "0.png")
    content = {
        "images": [{"id": 0, "file_name": "0.png"}],
        "categories": [{"id": 1, "name": "cat", "keypoints": ["head"]}],
        "annotations": list(annotations),
    }
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


def voc(folder: Path, annotations: str = "Annotations", images: str = "JPEGImages") -> Path:
    for name in (annotations, images):
        (folder / name).mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(folder / images / "0.png")
    (folder / annotations / "0.xml").write_text(VOC)
    return folder


def recognized(folder: Path) -> dict[str, Any]:
    found = {name: data.recognize(RawData(folder, folder=folder)) for name, data in DATA.items()}
    return {name: each for name, each in found.items() if each is not None}


@pytest.mark.parametrize(
    ("annotation", "names"),
    [
        (BOX, {"boxes"}),
        ({**BOX, "segmentation": []}, {"boxes"}),
        ({**BOX, "segmentation": [[1, 1, 9, 1, 9, 9]]}, {"boxes", "objects", "pixels"}),
        ({**BOX, "segmentation": {"size": [20, 20], "counts": [10, 390]}}, {"boxes", "objects", "pixels"}),
        ({**BOX, "keypoints": [3, 3, 2]}, {"boxes", "points"}),
        ({"image_id": 0, "file_name": "0.png", "segments_info": [{"id": 1, "category_id": 1}]}, {"pixels"}),
    ],
)
def test_a_folder_with_one_coco_file_is_of_the_tasks_whose_annotations_it_has(
    tmp_path: Path, annotation: dict[str, Any], names: set[str]
) -> None:
    found = recognized(write(tmp_path, annotation))
    assert {*found} == names
    arguments = {"train_folder": str(tmp_path), "train_ann_file": str(tmp_path / "annotations.json")}
    for each in found.values():
        assert (each.constructor, each.arguments, each.certainty) == ("from_coco", arguments, 0.6)
    if "boxes" in found:
        made = ObjectDetectionData.from_coco(**found["boxes"].arguments)
        assert made.train_dataset[0][1]["boxes"].tolist() == [[1, 1, 9, 9]]


def test_a_coco_file_without_annotations_may_be_of_any_task(tmp_path: Path) -> None:
    assert {*recognized(write(tmp_path))} == {*DATA}
    (tmp_path / "annotations.json").write_text("")
    assert {*recognized(tmp_path)} == {*DATA}


def test_parts_and_folders_of_images_are_found(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        write(tmp_path / part, BOX, images="images")
    (found,) = recognized(tmp_path).values()
    assert found.arguments == {
        "train_folder": str(tmp_path / "train/images"),
        "val_folder": str(tmp_path / "valid/images"),
        "train_ann_file": str(tmp_path / "train/annotations.json"),
        "val_ann_file": str(tmp_path / "valid/annotations.json"),
    }
    (tmp_path / "valid/more.json").write_text("{}")
    assert not recognized(tmp_path)


def test_a_folder_of_pascal_voc_is_one_of_boxes(tmp_path: Path) -> None:
    (found,) = recognized(voc(tmp_path)).values()
    assert found.constructor == "from_voc"
    assert found.arguments == {"train_folder": str(tmp_path)}
    assert ObjectDetectionData.from_voc(**found.arguments).labels == ["cat"]
    sets = tmp_path / "ImageSets/Main"
    sets.mkdir(parents=True)
    for part in ("train", "val"):
        (sets / f"{part}.txt").write_text("0\n")
    (found,) = recognized(tmp_path).values()
    assert found.arguments == {
        **{f"{part}_folder": str(tmp_path) for part in ("train", "val")},
        **{f"{part}_image_set": part for part in ("train", "val")},
    }
    assert ObjectDetectionData.from_voc(**found.arguments).val_dataset is not None


def test_xml_files_beside_images_are_recognized_if_they_are_annotations(tmp_path: Path) -> None:
    for part in ("train", "test"):
        voc(tmp_path / part, ".", ".")
    (found,) = recognized(tmp_path).values()
    assert found.arguments == {f"{part}_folder": str(tmp_path / part) for part in ("train", "test")}
    (tmp_path / "test/0.xml").write_text("<note/>")
    assert not recognized(tmp_path)


def test_tables_and_plain_folders_are_none_of_these(tmp_path: Path) -> None:
    assert not recognized(tmp_path)
    table = RawData.of({"file": ["a.png"], "label": ["x"]})
    assert all(data.recognize(table, "label") is None for data in DATA.values())

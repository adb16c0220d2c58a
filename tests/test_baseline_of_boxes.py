"""Baselines of images with boxes, masks or points of objects: folders and data modules are raced and reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detectors import SIDE, small_detector, squares, tiny_pose, tiny_segmenter
from PIL import Image

from flash import Task, Trainer
from flash.baseline import run
from flash.errors import ConfigurationError
from flash.image import (
    InstanceSegmentation,
    InstanceSegmentationData,
    KeypointDetectionData,
    KeypointDetector,
    ObjectDetectionData,
    ObjectDetector,
)


def ignore(line: str) -> None:
    """Say nothing."""


def coco(folder: Path, **others: Any) -> Path:
    """Write squares with a COCO file; further parts of each annotation are given."""
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": []}
    content["categories"] = [{"id": place, "name": name} for place, name in enumerate(("blue", "red"))]
    for row, (image, labels, boxes) in enumerate(zip(*squares(), strict=True)):
        Image.fromarray(image).save(folder / f"{row:02}.png")
        content["images"].append({"id": row, "file_name": f"{row:02}.png", "width": SIDE, "height": SIDE})
        for label, (left, top, right, bottom) in zip(labels, boxes, strict=True):
            box = {"image_id": row, "category_id": int(label == "red"), "bbox": [left, top, right - left, bottom - top]}
            content["annotations"].append({"id": len(content["annotations"]) + 1, **box, **others})
    (folder / "boxes.json").write_text(json.dumps(content))
    return folder


def small(data: Any) -> Task:
    network = small_detector(data.num_classes + 1)
    return ObjectDetector.from_data(data, backbone=network, learning_rate=0.01, optimizer="adamw")


@pytest.mark.train
def test_a_folder_of_images_with_boxes_is_raced_and_its_report_shows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flash.image.detection.recipes.scratch", small)
    said: list[str] = []
    options: Any = {"time_limit": 30, "recipes": ["scratch"], "say": said.append}
    found = run(coco(tmp_path / "data"), output=tmp_path / "out", **options)
    results = found.results
    assert (results.task, results.kind, results.metric) == ("image/detection", "structured", "map")
    assert any("has images and one COCO file" in line for line in said)
    entries = {entry.name: entry for entry in found.leaderboard}
    assert {name: entry.kind for name, entry in entries.items()} == {"constant": "trivial", "scratch": "network"}
    assert {entry.status for entry in entries.values()} == {"done"}
    assert entries["scratch"].scores["map_50"] > entries["constant"].scores["map_50"] + 0.2
    assert results.classes["train"].keys() == {"blue", "red"}
    # Its own metric is that of the comparison.
    assert isinstance(found.task, ObjectDetector)
    data = ObjectDetectionData.from_coco(
        str(tmp_path / "data"), str(tmp_path / "data/boxes.json"), val_split=0.2, test_split=0.2, seed=0
    )
    (tested,) = Trainer(logger=False, enable_progress_bar=False).test(found.task, data, verbose=False)
    for name in ("map", "map_50"):
        assert entries["scratch"].test_scores[name] == pytest.approx(tested[f"test_{name}"], abs=1e-6)
    rows = json.loads((tmp_path / "out/results.json").read_text())["evaluation"]["per_class"]
    assert np.mean([row["map"] for row in rows if row["map"] is not None]) == pytest.approx(tested["test_map"])
    page = (tmp_path / "out/report.html").read_text()
    assert page.count("data:image/jpeg") == len(results.mistakes) > 0
    assert "truth left, prediction right" in page
    assert {sample.truth for sample in results.mistakes} <= {"1 blue", "1 red"}


def masks_and_points() -> dict[str, tuple[Any, Callable[[Any], Task]]]:
    images, labels, boxes = squares(12)
    masks = [np.zeros((len(each), SIDE, SIDE), np.uint8) for each in boxes]
    points = [np.array(each, dtype=float).reshape(-1, 2, 2) for each in boxes]
    for of_image, each in zip(masks, boxes, strict=True):
        for mask, (left, top, right, bottom) in zip(of_image, each, strict=True):
            mask[top:bottom, left:right] = 1
    options: Any = {"val_split": 0.3, "seed": 0, "batch_size": 4}
    return {
        "masks": (
            InstanceSegmentationData.from_images(images, labels, masks, **options),
            lambda data: InstanceSegmentation.from_data(data, backbone=tiny_segmenter(3)),
        ),
        "points": (
            KeypointDetectionData.from_images(images, labels, points, **options),
            lambda data: KeypointDetector.from_data(data, backbone=tiny_pose(3, 2)),
        ),
    }


@pytest.mark.train
@pytest.mark.parametrize(("kind", "module"), [("masks", "instances"), ("points", "keypoints")])
def test_data_of_masks_and_of_points_is_raced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, module: str
) -> None:
    data, make = masks_and_points()[kind]
    monkeypatch.setattr(f"flash.image.{module}.recipes.scratch", make)
    found = run(data, output=tmp_path / "out", recipes=["scratch"], time_limit=8, say=ignore)
    assert {entry.name: entry.status for entry in found.leaderboard} == {"constant": "done", "scratch": "done"}
    assert {*found.leaderboard[0].scores} == {"map", "map_50"}
    assert found.results.mistakes
    assert found.results.mistakes[0].truth in ("1 blue", "1 red")


def test_a_coco_file_of_several_tasks_asks_for_one(tmp_path: Path) -> None:
    folder = coco(tmp_path / "data", segmentation=[[1, 1, 9, 1, 9, 9]])
    with pytest.raises(
        ConfigurationError, match=r"it may be for 3: image/detection, .* Choose one, as in --task image"
    ):
        run(folder, output=tmp_path / "out", say=ignore)

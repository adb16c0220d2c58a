"""COCO files of polygons and run lengths become masks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from flash.errors import DataError
from flash.image import SemanticSegmentationData
from flash.image.segmentation.coco import CocoMask

Draw = Callable[..., Any]
CONFIG = {"input_size": (3, 64, 64), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}


def run_lengths(bits: np.ndarray[Any, Any], compressed: bool) -> dict[str, Any]:
    if compressed:
        found = coco_mask.encode(np.asfortranarray(bits.astype(np.uint8)))
        return {"size": list(found["size"]), "counts": found["counts"].decode()}
    flat = bits.T.ravel()
    edges = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), len(flat)]
    lengths = np.diff(edges).tolist()
    return {"size": list(bits.shape), "counts": [0, *lengths] if flat[0] else lengths}


def write(folder: Path, drawn: Any, compressed: bool = True, **changes: Any) -> Path:
    images = [{"id": row, "file_name": f"{row:03}.png", "width": 48, "height": 48} for row in range(len(drawn.images))]
    annotations = [
        {"image_id": row, "category_id": 10 * index, "segmentation": run_lengths(mask == index, compressed)}
        for row, mask in enumerate(drawn.masks)
        for index in (1, 2)
    ]
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 20, "name": "square"}, {"id": 10, "name": "circle"}],
        **changes,
    }
    file = folder / "objects.json"
    file.write_text(json.dumps(content))
    return file


@pytest.mark.parametrize("compressed", [True, False])
def test_run_lengths_are_the_masks_that_they_were_made_of(draw: Draw, compressed: bool, tmp_path: Path) -> None:
    drawn = draw(4)
    drawn.save(tmp_path)
    file = write(tmp_path, drawn, compressed)
    data = SemanticSegmentationData.from_coco(
        *(tmp_path / "images", file) * 2, predict_folder=tmp_path / "images", data_config=CONFIG
    )
    assert data.labels == ["background", "circle", "square"]
    assert data.facts["class_counts"] == np.bincount(np.stack(drawn.masks).ravel()).tolist()
    for row, mask in enumerate(drawn.masks):
        assert np.array_equal(data.val_dataset[row][1].numpy(), mask)
    assert len(data.predict_dataset) == 4


def test_polygons_are_drawn_as_pycocotools_does_and_the_smaller_one_counts() -> None:
    large, small = [2.0, 1, 18, 1, 18, 9, 2, 9], [5.5, 3.0, 9.0, 3.0, 7.0, 8.5]
    mask = CocoMask((20, 10), (2, 1), ([small], [large]), "photo").draw()
    (one,), (other,) = (coco_mask.frPyObjects([each], 10, 20) for each in (large, small))
    expected = np.where(coco_mask.decode(other) == 1, 2, coco_mask.decode(one))
    assert np.array_equal(mask, expected)
    assert CocoMask((20, 10), (1,), ([large, [1.0, 1.0]],), "photo").draw().sum() == 16 * 8


@pytest.mark.parametrize(
    "shape",
    [
        "a polygon",
        [[1, 2, 3, 4, 5, "6"]],
        [[1, 2, 3, 4, 5]],
        [[1, 2, 3, 4, 5, float("inf")]],
        {"size": [10, 20], "counts": [199]},
        {"size": [20, 10], "counts": [200]},
        {"size": [10, 20], "counts": [-1, 201]},
        {"size": [10, 20], "counts": "\x00"},
        {"size": [10, 20], "counts": "o" * 40},
        {"counts": None},
    ],
)
def test_a_shape_that_is_none_is_an_error(shape: Any) -> None:
    with pytest.raises(DataError, match=r"20 x 10 pixels, but photo has .*Export it again as COCO"):
        CocoMask((20, 10), (1,), (shape,), "photo").draw()


def test_files_that_do_not_fit_are_errors(draw: Draw, tmp_path: Path) -> None:
    drawn = draw(2)
    drawn.save(tmp_path)
    file, images = write(tmp_path, drawn), tmp_path / "images"
    with pytest.raises(DataError, match="train_ann_file is missing"):
        SemanticSegmentationData.from_coco(images)
    with pytest.raises(DataError, match=r"among 'circle', but .*000.png has 'square'"):
        SemanticSegmentationData.from_coco(images, file, labels=["circle"])
    annotations = [{"image_id": 0, "category_id": 10, "bbox": [1, 2, 3, 4]}]
    with pytest.raises(DataError, match="to have 'segmentation', but this has none"):
        SemanticSegmentationData.from_coco(images, write(tmp_path, drawn, annotations=annotations))

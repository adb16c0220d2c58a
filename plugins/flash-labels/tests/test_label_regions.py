"""Boxes, masks and entities from the regions of annotations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_studio_tasks import annotated, local, region
from PIL import Image

from flash.errors import DataError
from flash.image import ObjectDetectionData
from flash.image.segmentation import SemanticSegmentationData
from flash.labels.rle import encode_mask
from flash.text import TokenClassificationData

Export = Callable[..., Path]


def boxes_of(data: Any, row: int = 0) -> tuple[list[list[float]], list[str]]:
    image = data.indexed_dataset("train").raw(row).image
    return image.boxes.tolist(), list(image.labels)


def read_boxes(file: Path, photos: Path, **options: Any) -> ObjectDetectionData:
    return ObjectDetectionData.from_source("label_studio", train_file=file, data_folder=photos, **options)


def rectangle(label: str | list[str] = "cat", **value: Any) -> dict[str, Any]:
    corners = {"x": 25, "y": 50, "width": 50, "height": 25, "rotation": 0, **value}
    return region("rectanglelabels", label, **corners)


def test_rectangles_are_boxes_in_pixels(export: Export, photos: Path) -> None:
    tasks = [
        annotated({"image": local("0.png")}, rectangle(), rectangle("dog", x=0, y=0)),
        annotated({"image": local("1.png")}, number=2),
    ]
    data = read_boxes(export(tasks), photos)
    assert data.labels == ["cat", "dog"]
    assert boxes_of(data) == ([[10, 10, 30, 15], [0, 0, 20, 5]], ["cat", "dog"])
    assert boxes_of(data, 1) == ([], [])


def test_rectangles_of_json_min_are_the_same(export: Export, photos: Path) -> None:
    value = {"x": 25, "y": 50, "width": 50, "height": 25, "rotation": 0, "original_width": 40, "original_height": 20}
    records = [{"image": local("0.png"), "id": 1, "label": [{**value, "rectanglelabels": ["cat"]}], "annotator": 1}]
    assert boxes_of(read_boxes(export(records), photos)) == ([[10, 10, 30, 15]], ["cat"])


def test_a_rotated_rectangle_becomes_the_box_around_it(export: Export, photos: Path) -> None:
    # By 90 degrees around its top left corner: it then lies to the left of that corner.
    tasks = [annotated({"image": local("0.png")}, rectangle(x=50, y=0, width=25, height=50, rotation=90))]
    (box,), _ = boxes_of(read_boxes(export(tasks), photos))
    assert box == pytest.approx([10, 0, 20, 10], abs=1e-4)


def test_boxes_fit_a_larger_copy_of_the_image(export: Export, photos: Path) -> None:
    Image.new("RGB", (80, 40)).save(photos / "large.png")
    assert boxes_of(read_boxes(export([annotated({"image": local("large.png")}, rectangle())]), photos)) == (
        [[20, 20, 60, 30]],
        ["cat"],
    )


def test_a_rectangle_with_two_labels_is_a_box_of_each(export: Export, photos: Path) -> None:
    tasks = [annotated({"image": local("0.png")}, rectangle(["cat", "pet"]))]
    assert boxes_of(read_boxes(export(tasks), photos))[1] == ["cat", "pet"]


def test_a_shape_whose_label_is_a_result_of_its_own_is_one_box(export: Export, photos: Path) -> None:
    corners: dict[str, Any] = {"x": 25, "y": 50, "width": 50, "height": 25, "rotation": 0}
    bare = {**region("rectangle", [], control="box", **corners), "id": "r"}
    del bare["value"]["rectangle"]
    labeled = {**region("labels", "cat", **corners), "id": "r", "original_width": 40, "original_height": 20}
    data = read_boxes(export([annotated({"image": local("0.png")}, bare, labeled)]), photos)
    assert boxes_of(data) == ([[10, 10, 30, 15]], ["cat"])


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (rectangle([]), "Expected each region to have a label, but one of task 1"),
        (rectangle(x="ten"), r"Expected x, y, width, height, rotation to be percentages, but task 1 of .*'ten'"),
        (
            {**rectangle(), "image_rotation": 90},
            "Expected regions of an upright image, but that of task 1 .* by 90 deg",
        ),
        ({**rectangle(), "image_rotation": "x"}, "Expected image_rotation to be a number, but task 1 of .* has 'x'"),
        ({**rectangle(), "original_width": 20, "original_height": 40}, "of the form 20 x 40, as it was annotated, but"),
        ({**rectangle(), "original_width": "x"}, "Expected original_width and original_height to be numbers of pixels"),
    ],
)
def test_a_malformed_rectangle_is_an_error(export: Export, photos: Path, result: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_boxes(export([annotated({"image": local("0.png")}, result)]), photos)


def test_a_missing_file_is_an_error_that_names_it(export: Export, photos: Path) -> None:
    tasks = [annotated({"image": local("missing.png")}, rectangle())]
    with pytest.raises(DataError, match=r"under data_folder, but 1 of 1 do not exist, such as .*missing\.png"):
        read_boxes(export(tasks), photos)


# ---------------------------------------------------------------------- masks


def read_masks(file: Path, photos: Path, **options: Any) -> SemanticSegmentationData:
    return SemanticSegmentationData.from_source("label_studio", train_file=file, data_folder=photos, **options)


def mask_of(data: Any, row: int = 0, stage: str = "train") -> np.ndarray:
    return data.indexed_dataset(stage).raw(row).target.draw()


def stroke(mask: np.ndarray, label: str) -> dict[str, Any]:
    return region("brushlabels", label, format="rle", rle=encode_mask(mask))


def test_strokes_polygons_and_rectangles_are_one_mask(export: Export, photos: Path) -> None:
    sky = np.zeros((20, 40), bool)
    sky[:6, 3:] = True
    road = region("polygonlabels", "road", points=[[0, 50], [50, 50], [50, 100], [0, 100]], closed=True)
    tasks = [
        annotated({"image": local("0.png")}, stroke(sky, "sky"), road, rectangle("car", x=75, y=75)),
        annotated({"image": local("1.png")}, number=2),
    ]
    data = read_masks(export(tasks), photos)
    assert data.labels == ["background", "car", "road", "sky"]
    expected = np.zeros((20, 40), int)
    expected[:6, 3:] = 3
    expected[10:, :20] = 2
    expected[15:, 30:] = 1
    assert np.array_equal(mask_of(data), expected)
    assert not mask_of(data, 1).any()


def test_labels_can_have_another_order(export: Export, photos: Path) -> None:
    tasks = [annotated({"image": local("0.png")}, rectangle("car"), rectangle("bus", x=0, y=0))]
    assert read_masks(export(tasks), photos, labels=["car", "bus"]).labels == ["background", "car", "bus"]
    with pytest.raises(DataError, match="Expected the labels in the train data to be among 'car', but got 'bus'"):
        read_masks(export(tasks), photos, labels=["car"])


def test_validation_has_the_classes_of_the_train_data(export: Export, photos: Path) -> None:
    train = export([annotated({"image": local("0.png")}, rectangle("a"), rectangle("b", x=0, y=0))], "train.json")
    val = export([annotated({"image": local("1.png")}, rectangle("b"))], "val.json")
    data = read_masks(train, photos, val_file=val)
    assert set(np.unique(mask_of(data, stage="val"))) == {0, 2}


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (
            region("polygonlabels", "a", points=[[1, "x"]]),
            "Expected the corners of a polygon to be pairs of percentages",
        ),
        (
            region("ellipselabels", "a", x=1, y=2, radiusX=3, radiusY=4),
            "Expected brush strokes, polygons or rectangles",
        ),
        (
            region("brushlabels", "a", rle=[1, 2]),
            "Expected a brush stroke to be the run lengths of an image of 40 x 20",
        ),
        (
            {**region("brushlabels", "a", rle=[]), "original_width": 80, "original_height": 40},
            "to be 80 x 40 pixels, as it was when it was drawn on, but it is 40 x 20",
        ),
    ],
)
def test_a_malformed_shape_is_an_error(export: Export, photos: Path, result: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_masks(export([annotated({"image": local("0.png")}, result)]), photos)


# ---------------------------------------------------------------------- entities


def span(start: Any, end: Any, label: str = "PER", **value: Any) -> dict[str, Any]:
    return region("labels", label, start=start, end=end, **value)


def read_entities(file: Path, **options: Any) -> TokenClassificationData:
    return TokenClassificationData.from_source("label_studio", train_file=file, **options)


def tags_of(data: Any, row: int = 0) -> list[str]:
    _, tags = data.indexed_dataset("train").raw(row)
    return [data.labels[tag] for tag in tags]


def test_spans_are_the_tags_of_words(export: Export) -> None:
    tasks = [
        annotated({"text": "Ada Lovelace, London"}, span(14, 20, "LOC", text="London"), span(0, 12)),
        annotated({"text": "Nobody here"}, number=2),
    ]
    data = read_entities(export(tasks))
    assert tags_of(data) == ["B-PER", "I-PER", "O", "B-LOC"]
    assert tags_of(data, 1) == ["O", "O"]


def test_spans_of_json_min_are_the_same(export: Export) -> None:
    records = [{"text": "Ada slept", "id": 1, "label": [{"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]}]}]
    assert tags_of(read_entities(export(records))) == ["B-PER", "O"]


@pytest.mark.parametrize("start", [2, 3])
def test_places_are_of_characters_or_of_units_of_a_browser(export: Export, start: int) -> None:
    tasks = [annotated({"text": "\U0001f600 Ada slept"}, span(start, start + 3, text="Ada"))]
    assert tags_of(read_entities(export(tasks))) == ["O", "B-PER", "O"]


def test_the_end_of_a_line_may_be_written_as_two_characters(export: Export) -> None:
    tasks = [annotated({"text": "Ada\nLovelace"}, span(0, 12, text="Ada\\nLovelace"))]
    assert tags_of(read_entities(export(tasks))) == ["B-PER", "I-PER"]


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (span(0, 3, text="Bob"), "Expected the text of a span to be at its place, but task 1 of .* has 'Bob' .* 'Ada'"),
        (span("0", "0", startOffset=1), "Expected the start and the end of a span to be places of characters, but"),
        (span(0, 99), "Expected entities inside of the text"),
    ],
)
def test_a_malformed_span_is_an_error(export: Export, result: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_entities(export([annotated({"text": "Ada slept"}, result)]))

"""Boxes: formats, checks, the edges of images, and cameras that were held on their side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from flash.errors import ConfigurationError, DataError
from flash.image.detection.boxes import AnnotatedImage, fit_boxes, read_boxes, upright_boxes
from flash.image.detection.exif import orientation_of, upright_size
from flash.image.read import open_image


@pytest.mark.parametrize(
    ("boxes", "bbox_format"),
    [
        ([[1, 2, 5, 9]], "xyxy"),
        ([(1, 2, 4, 7)], "xywh"),
        (np.array([[1, 2, 5, 9]]), "xyxy"),
        (torch.tensor([[1.0, 2, 4, 7]]), "xywh"),
        ([{"xmin": 1, "ymin": 2, "xmax": 5, "ymax": 9}], "xyxy"),
        ([{"xmin": 1, "ymin": 2, "width": 4, "height": 7}], "xyxy"),
    ],
)
def test_all_ways_to_write_a_box_give_its_corners(boxes: Any, bbox_format: Any) -> None:
    assert read_boxes(boxes, bbox_format).tolist() == [[1, 2, 5, 9]]


@pytest.mark.parametrize("boxes", [[], np.zeros((0, 4)), torch.zeros(0, 4)])
def test_no_boxes_are_a_tensor_of_four_columns(boxes: Any) -> None:
    assert read_boxes(boxes).shape == (0, 4)


@pytest.mark.parametrize(
    ("boxes", "sentence"),
    [
        ([[1, 2, 3]], r"Expected each box to be four numbers in pixels, .* but cat.jpg has the box \[1, 2, 3\]"),
        ([[1, 2, 3, 4, 5]], "four numbers"),
        ([["a", 2, 3, 4]], "four numbers"),
        ([1, 2, 3, 4], "four numbers"),
        ([{"xmin": 1, "ymin": 2}], "four numbers"),
        ([[1, 2, float("nan"), 4]], "finite numbers, but cat.jpg"),
        ([[1, 2, float("inf"), 4]], "finite numbers, but cat.jpg"),
        ([[10, 20, 5, 30]], "of cat.jpg ends before it starts. Pass bbox_format='xywh' if"),
        (7, "Expected a list of boxes of four numbers each for cat.jpg, but got 7"),
    ],
)
def test_a_malformed_box_is_an_error_that_names_the_image(boxes: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_boxes(boxes, name="cat.jpg")


def test_a_negative_width_is_an_error_without_the_hint_to_the_format_that_it_has() -> None:
    with pytest.raises(DataError, match=r"ends before it starts\.$"):
        read_boxes([[10, 20, -5, 30]], "xywh")


def test_an_unknown_format_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="'xyxy' or 'xywh', but got 'cxcywh'"):
        read_boxes([[1, 2, 3, 4]], "cxcywh")  # type: ignore[arg-type]  # the mistake that is tested


def test_a_label_is_missing() -> None:
    with pytest.raises(DataError, match="one label per box, but cat.jpg has 2 boxes and 1 labels"):
        AnnotatedImage(None, torch.zeros(2, 4), ("cat",), name="cat.jpg")


def test_boxes_are_cut_at_the_edges_and_left_out_where_nothing_remains() -> None:
    boxes = torch.tensor([[0.0, 0, 20, 10], [-3, 2, 25, 8], [30, 2, 40, 8], [4, 4, 4, 8], [-9, -9, 0, 0]])
    fitted, kept, cut = fit_boxes(boxes, (20, 10))
    assert fitted.tolist() == [[0, 0, 20, 10], [0, 2, 20, 8]]
    assert kept.tolist() == [True, True, False, False, False]
    assert cut == 1


def test_a_rounding_error_is_cut_without_being_counted() -> None:
    fitted, _, cut = fit_boxes(torch.tensor([[-0.5, 0, 20.7, 10]]), (20, 10))
    assert fitted.tolist() == [[0, 0, 20, 10]]
    assert cut == 0


def test_labels_and_flags_go_with_their_boxes() -> None:
    boxes = torch.tensor([[30.0, 0, 40, 5], [0, 0, 5, 5]])
    image = AnnotatedImage(
        None, boxes, ("out", "in"), torch.tensor([False, True]), torch.tensor([True, False]), size=(20, 10)
    )
    fitted, cut, left_out = image.fitted()
    assert (fitted.labels, cut, left_out) == (("in",), 0, 1)
    assert fitted.ignored(training=True).tolist() == [True]


def test_difficult_boxes_are_learned_from_but_need_not_be_found() -> None:
    image = AnnotatedImage(None, torch.ones(1, 4), ("cat",), difficult=torch.tensor([True]))
    assert not image.ignored(training=True).any()
    assert image.ignored(training=False).all()


# ---------------------------------------------------------------------- orientation


def stored(path: Path, orientation: int) -> list[float]:
    """Write a lying image with a white rectangle and return where the stored pixels have it."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[5:15, 8:30] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return [8.0, 5.0, 30.0, 15.0]


def white_box(image: Image.Image) -> list[float]:
    rows, columns = np.nonzero(np.asarray(image)[..., 0] > 128)
    return [float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_drawn_on_the_stored_image_are_turned_with_it(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "photo.png"
    box = stored(path, orientation)
    picture = open_image(path)
    turned = upright_boxes(torch.tensor([box]), (60, 40), picture.size, orientation_of(path), "photo")
    assert turned.tolist() == [white_box(picture)]


@pytest.mark.parametrize("annotated_size", [None, (40, 60)])
def test_boxes_drawn_on_the_upright_image_stay(tmp_path: Path, annotated_size: Any) -> None:
    stored(tmp_path / "photo.png", 6)
    box = torch.tensor([[1.0, 2, 3, 4]])
    assert upright_boxes(box, annotated_size, (40, 60), 6, "photo").equal(box)


def test_width_and_height_in_the_wrong_order_change_nothing_where_no_camera_turned_the_image() -> None:
    box = torch.tensor([[1.0, 2, 3, 4]])
    assert upright_boxes(box, (60, 40), (40, 60), 1, "photo").equal(box)


def test_boxes_of_an_image_of_another_size_are_an_error() -> None:
    with pytest.raises(DataError, match="photo.jpg to be 120 x 80 pixels, as its annotation says, but it is 60 x 40"):
        upright_boxes(torch.ones(1, 4), (120, 80), (60, 40), 1, "photo.jpg")


def test_the_header_tells_size_and_orientation(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    stored(path, 6)
    assert (orientation_of(path), upright_size(path)) == (6, (40, 60))


def test_a_header_that_cannot_be_read_tells_nothing(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_text("no image")
    assert (orientation_of(path), upright_size(path)) == (1, None)
    assert upright_size(b"no image") is None


def test_arrays_and_tensors_tell_their_size() -> None:
    assert upright_size(np.zeros((4, 6, 3))) == upright_size(np.zeros((4, 6))) == (6, 4)
    assert upright_size(torch.zeros(3, 4, 6)) == (6, 4)

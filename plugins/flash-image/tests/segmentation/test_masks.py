"""Masks: what their values mean, and what is no mask."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from flash.errors import ConfigurationError, DataError
from flash.image import BadImageError
from flash.image.segmentation.masks import IGNORED, MaskTargets, read_mask, upright_mask

VALUES = np.array([[0, 1, 2], [2, 255, 1]], np.uint8)


def paletted(values: np.ndarray[Any, Any]) -> Image.Image:
    image = Image.fromarray(values)
    image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200, *[9] * 759])
    return image


@pytest.mark.parametrize(
    "make",
    [
        lambda: VALUES,
        lambda: VALUES.astype(np.int64)[..., None],
        lambda: torch.from_numpy(VALUES)[None],
        lambda: Image.fromarray(VALUES),
        lambda: paletted(VALUES),
        lambda: Image.fromarray(VALUES).convert("RGB"),
        lambda: Image.fromarray(VALUES).convert("LA"),
        lambda: Image.fromarray(VALUES.astype(np.uint16)),
    ],
    ids=["array", "channel", "tensor", "gray", "palette", "gray in three channels", "alpha", "16 bits"],
)
def test_a_mask_of_indices_is_read_from_every_source(make: Callable[[], Any], tmp_path: Path) -> None:
    source = make()
    assert read_mask(source, "a mask").tolist() == VALUES.tolist()
    if isinstance(source, Image.Image):
        source.save(tmp_path / "mask.png")
        assert read_mask(tmp_path / "mask.png", "a mask").tolist() == VALUES.tolist()
        assert read_mask((tmp_path / "mask.png").read_bytes(), "a mask").tolist() == VALUES.tolist()


def test_colors_are_those_of_the_palette_if_classes_are_colors() -> None:
    targets = MaskTargets.of_map({"blue": (0, 0, 200), "red": (200, 0, 0), "green": (0, 200, 0)}, None)
    values = read_mask(paletted(np.array([[0, 1], [2, 2]], np.uint8)), "a mask", targets.are_colors)
    assert targets.encode(values, "a mask", "train").tolist() == [[1, 2], [0, 0]]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (np.zeros((2, 2)), r"Expected masks of whole numbers, .* a mask holds float64"),
        (np.zeros((2, 2, 2), int), r"Expected masks of shape \(height, width\), .* shape \(2, 2, 2\)"),
        (np.zeros(3, int), r"shape \(3,\)"),
        (np.array([[[1, 2, 3]]]), r"a mask has colors, such as \(1, 2, 3\). Name them: labels_map="),
        (object(), r"Expected a mask: a path, .* but a mask is object"),
        ("none.png", r"Expected a mask at a mask, but there is no such file"),
    ],
)
def test_what_is_no_mask_is_an_error(source: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_mask(source, "a mask")


def test_a_file_that_cannot_be_read_or_is_lossy_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no mask")
    with pytest.raises(BadImageError, match=r"bad.png is of no format that can be read"):
        read_mask(tmp_path / "bad.png", str(tmp_path / "bad.png"))
    Image.new("L", (8, 8)).save(tmp_path / "lossy.jpg")
    with pytest.raises(DataError, match=r"format without loss, such as PNG, but lossy.jpg is a JPEG"):
        read_mask(tmp_path / "lossy.jpg", "lossy.jpg")


def test_classes_are_learned_from_the_pixels_that_count() -> None:
    targets = MaskTargets.learn([VALUES, np.array([[2, 2]])], 255)
    assert targets.facts() == {"num_classes": 3, "labels": [0, 1, 2], "class_counts": [1, 2, 4]}
    assert targets.encode(VALUES, "a mask", "val").tolist() == [[0, 1, 2], [2, IGNORED, 1]]
    restored = MaskTargets.from_serializable(targets.to_serializable())
    assert restored == targets


@pytest.mark.parametrize("ignore", [-1, 100000])
def test_pixels_to_ignore_may_have_any_value(ignore: int) -> None:
    mask = np.array([[0, 1, ignore]])
    targets = MaskTargets.learn([mask], ignore)
    assert targets.counts == [1, 1]
    assert targets.encode(mask, "a mask", "val").tolist() == [[0, 1, IGNORED]]


def test_a_color_can_be_ignored_too() -> None:
    targets = MaskTargets.of_map({"a": (1, 2, 3), "b": (3, 2, 1)}, (0, 0, 0))
    assert targets.encode(np.array([[[1, 2, 3], [0, 0, 0], [3, 2, 1]]]), "a mask", "val").tolist() == [[0, IGNORED, 1]]


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.array([[0, 255]]), r"at least two classes .* are 0. 255 is ignored: pass ignore_index=None"),
        (np.array([[0, 254]]), r"at most 254 classes, .* highest value is 254, of 2 different ones. Name the values"),
        (np.array([[0, 1, -1]]), r"one has the value -1. Pass ignore_index=-1"),
    ],
)
def test_masks_of_too_few_or_too_many_classes_are_errors(mask: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        MaskTargets.learn([mask], 255)


def test_classes_without_pixels_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        targets = MaskTargets.learn([np.array([[0, 3]])], 255)
    assert len(targets.labels) == 4
    assert "4 classes, of which 1, 2 have no pixel" in caplog.text


@pytest.mark.parametrize(
    ("targets", "mask", "said"),
    [
        (MaskTargets.of_labels(["a", "b"], 255), np.array([[0, 7]]), r"classes, 0, 1, but x.png has 7 in 1 pixels"),
        (MaskTargets.of_labels(["a", "b"], 255), np.array([[0, -7]]), r"has -7 in 1 pixels"),
        (MaskTargets.of_labels(["a", "b"], 255), np.array([[0, 70000]]), r"has 70000 in 1 pixels"),
        (
            MaskTargets.of_map({"a": (0, 0, 0), "b": (1, 1, 1)}, None),
            np.array([[[0, 0, 0], [0, 0, 9]]]),
            r"the colors of masks in the val data .* has \(0, 0, 9\) in 1 pixels, such as that of row 0 and column 1",
        ),
    ],
)
def test_a_value_that_is_no_class_is_an_error_with_its_place(targets: MaskTargets, mask: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        targets.encode(mask, "x.png", "val")


@pytest.mark.parametrize(
    ("labels_map", "said"),
    [
        ({"a": 0, "b": (1, 2, 3)}, "to hold colors or numbers, but got both"),
        ({"a": 3, "b": 3}, "3 is there twice"),
        ({"a": 3}, "to name 2 to 254 classes, but got 1"),
        ({"a": 0, "b": "red"}, r"labels_map\['b'\] to be a number, or a color"),
        ({"a": 0, "b": (1, 2, 300)}, r"integers from 0 to 255"),
    ],
)
def test_a_map_that_is_none_is_an_error(labels_map: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        MaskTargets.of_map(labels_map, None)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_of_the_stored_image_is_turned_as_its_image_is(orientation: int, tmp_path: Path) -> None:
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    from flash.image import open_image

    upright = np.asarray(open_image(tmp_path / "photo.png"))[..., 0]
    size = (upright.shape[1], upright.shape[0])
    if orientation > 4:
        assert np.array_equal(upright_mask(pixels, size, orientation, "photo"), upright)
    assert np.array_equal(upright_mask(upright, size, orientation, "photo"), upright)


def test_a_mask_of_another_size_is_an_error() -> None:
    with pytest.raises(DataError, match=r"of the size of its image, 3 x 2 pixels, but that of photo is 4 x 2"):
        upright_mask(np.zeros((2, 4), np.uint8), (3, 2), 1, "photo")

"""Damaged images and annotations, at each door that takes them."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flash.image import ImageClassificationData, ImageClassifier, ObjectDetectionData, open_image

from .corpus import OTHERS, Damaged, damaged_bytes, damaged_json, other_formats, outcome

pytestmark = [pytest.mark.unit, pytest.mark.slow]

#: How many damaged files there are of each format; docs/promises.md has the sums.
BYTES, VALUES = 42, 80
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
SIDES = (1 << 16, 1 << 20, (1 << 31) - 1)
COUNT = len(FORMATS) * BYTES + OTHERS + 2 * len(SIDES)
COUNT_OF_ANNOTATIONS = 2 * (BYTES + OTHERS) + VALUES + 1
CONFIG: dict[str, Any] = {"input_size": (3, 16, 16), "mean": (0.5,) * 3, "std": (0.5,) * 3}
VOC = """<annotation><folder>VOC</folder><filename>a.png</filename><size><width>24</width><height>20</height>
<depth>3</depth></size><segmented>0</segmented><object><name>cat</name><pose>Left</pose><truncated>0</truncated>
<difficult>0</difficult><bndbox><xmin>2</xmin><ymin>3</ymin><xmax>12</xmax><ymax>14</ymax></bndbox></object>
</annotation>"""
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 24, "height": 20}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 2, 10, 11], "area": 110, "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 9, "bbox": [3, 2, 5, 6], "segmentation": [[3, 2, 8, 2, 8, 8]]},
    ],
    "categories": [{"id": 7, "name": "cat", "supercategory": "pet"}, {"id": 9, "name": "dog"}],
}


def picture(format: str) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (20, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


def huge_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header says that it is huge."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def task() -> ImageClassifier:
    task = ImageClassifier(2, backbone="test_resnet", pretrained=False, labels=["a", "b"])
    return task


def doors(task: ImageClassifier) -> dict[str, Callable[[Path], Any]]:
    def batch(file: Path) -> Any:
        data = ImageClassificationData.from_files([file, file], ["a", "b"], data_config=CONFIG, num_workers=0)
        inputs, _ = next(iter(data.train_dataloader()))
        return tuple(inputs.shape[1:])

    def boxes(file: Path) -> Any:
        data = ObjectDetectionData.from_files([file], [["cat"]], [[[1, 1, 9, 9]]])
        data.setup("fit")
        inputs, _ = next(iter(data.train_dataloader()))
        return inputs["images"][0].shape[0]

    return {
        "open_image": lambda file: open_image(file).mode,
        "from_files": batch,
        "from_files with boxes": boxes,
        "predict": lambda file: len(task.predict([file])),
    }


RIGHT = {"open_image": "RGB", "from_files": (3, 16, 16), "from_files with boxes": 3, "predict": 1}


def damaged(format: str, marker: Path) -> Iterator[Damaged]:
    yield from damaged_bytes(picture(format), 14, BYTES)
    if format == "PNG":
        yield from other_formats(marker)
        for side in SIDES:
            yield Damaged(f"a header of {side} pixels a side", huge_header(side, side))
            yield Damaged(f"a header of one row of {side} pixels", huge_header(side, 1))


@pytest.mark.parametrize("format", FORMATS)
def test_a_damaged_image_is_shown_as_it_is_or_an_error(format: str, tmp_path: Path, task: ImageClassifier) -> None:
    marker, file = tmp_path / "code ran", tmp_path / f"image.{format.lower()}"
    wrong = []
    damages = list(damaged(format, marker))
    assert len(damages) == BYTES + (OTHERS + 2 * len(SIDES) if format == "PNG" else 0)
    for damage in damages:
        file.write_bytes(damage.content)
        for name, door in doors(task).items():
            result = outcome(
                lambda door=door: door(file),  # type: ignore[misc]  # called at once
                lambda found, name=name: found == RIGHT[name],  # type: ignore[misc]  # as above
            )
            wrong += [f"{name}: {damage.name}: {result.wrong}"] if result.wrong else []
        assert not marker.exists(), damage.name
    assert not wrong, "\n".join(wrong)


def test_damaged_annotations_of_coco_are_read_or_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture("PNG"))
    file, marker = tmp_path / "instances.json", tmp_path / "code ran"
    content = json.dumps(COCO).encode()
    wrong = []
    damages = [*damaged_bytes(content, 15, BYTES), *damaged_json(content, 16, VALUES), *other_formats(marker)]
    assert len(damages) == BYTES + VALUES + 1 + OTHERS
    for damage in damages:
        file.write_bytes(damage.content)
        result = outcome(lambda: _boxes(ObjectDetectionData.from_coco(tmp_path, file)), lambda count: count in (1, 2))
        wrong += [f"{damage.name}: {result.wrong}"] if result.wrong else []
    assert not wrong, "\n".join(wrong)
    assert not marker.exists()


def test_damaged_annotations_of_voc_are_read_or_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture("PNG"))
    file, marker = tmp_path / "a.xml", tmp_path / "code ran"
    wrong = []
    for damage in (*damaged_bytes(VOC.encode(), 17, BYTES), *other_formats(marker)):
        file.write_bytes(damage.content)
        result = outcome(lambda: _boxes(ObjectDetectionData.from_voc(tmp_path)), lambda count: count == 1)
        wrong += [f"{damage.name}: {result.wrong}"] if result.wrong else []
    assert not wrong, "\n".join(wrong)
    assert not marker.exists()


def _boxes(data: ObjectDetectionData) -> int:
    _, (target,) = next(iter(data.train_dataloader()))
    return len(target["boxes"])

"""Annotations of COCO and VOC: as json and another parser of XML read them, or an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.dom import minidom
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from flash.errors import FlashError
from flash.image.detection.coco import read_coco
from flash.image.detection.voc import read_voc

NUMBERS = st.floats(0, 60, width=32) | st.integers(0, 60)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=6).filter(str.strip)
ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just([]) | st.just({})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("images")
    Image.new("RGB", (64, 64)).save(place / "a.png")
    return place


@st.composite
def coco(draw: st.DrawFn) -> dict[str, Any]:
    ids = draw(st.lists(st.integers(0, 1000), min_size=1, max_size=3, unique=True))
    names = draw(st.lists(NAMES, min_size=len(ids), max_size=len(ids), unique=True))
    boxes = draw(st.lists(st.tuples(st.sampled_from(ids), st.lists(NUMBERS, min_size=4, max_size=4)), max_size=4))
    extra = draw(st.dictionaries(st.sampled_from(["area", "segmentation", "attributes", "score"]), ANY, max_size=2))
    return {
        "info": draw(ANY),
        "images": [{"id": 3, "file_name": "a.png", **draw(st.sampled_from([{}, {"width": 64, "height": 64}]))}],
        "categories": [{"id": key, "name": name} for key, name in zip(ids, names, strict=True)],
        "annotations": [{"image_id": 3, "category_id": key, "bbox": box, **extra} for key, box in boxes],
    }


@given(content=coco())
def test_coco_keeps_boxes_and_names(content: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(content))
    (image,), names = read_coco(folder, file)
    known = {each["id"]: each["name"] for each in content["categories"]}
    assert names == [known[key] for key in sorted(known)]
    assert list(image.labels) == [known[each["category_id"]] for each in content["annotations"]]
    wanted = [[x, y, x + w, y + h] for x, y, w, h in (each["bbox"] for each in content["annotations"])]
    assert image.boxes.tolist() == [pytest.approx(box, abs=1e-4) for box in wanted]


@given(content=coco(), part=st.sampled_from(["images", "annotations", "categories"]), value=ANY, data=st.data())
def test_coco_with_anything_inside_is_read_or_an_error(
    content: dict[str, Any], part: str, value: Any, data: st.DataObject, folder: Path, tmp_path: Path
) -> None:
    records: list[dict[str, Any]] = content[part]
    if records and data.draw(st.booleans()):
        record = data.draw(st.sampled_from(records))
        record[data.draw(st.sampled_from([*record, "iscrowd"]))] = value
    else:
        content[part] = value
    file = tmp_path / "a.json"
    file.write_text(json.dumps(content))
    try:
        images, _ = read_coco(folder, file)
    except FlashError:
        return
    assert all(len(image.boxes) == len(image.labels) for image in images)


@st.composite
def voc(draw: st.DrawFn) -> str:
    def tag(name: str, text: str) -> str:
        space = draw(st.sampled_from(["", " ", "\n\t"]))
        attribute = draw(st.sampled_from(["", ' verified="yes"', f" note={quoteattr(text[:3])}"]))
        return f"<{name}{attribute}>{space}{escape(text)}{space}</{name}>"

    objects = []
    boxes = st.tuples(NUMBERS, NUMBERS, st.integers(1, 60), st.floats(1, 60, width=32))
    for name, (left, top, width, height) in draw(st.lists(st.tuples(NAMES, boxes), max_size=3)):
        edges = {"xmin": left + 1, "ymin": top + 1, "xmax": left + width, "ymax": top + height}
        inner = [tag("name", name), f"<bndbox>{''.join(tag(key, str(edge)) for key, edge in edges.items())}</bndbox>"]
        others = [
            "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>",
            tag("occluded", "0"),
            tag("pose", "x"),
        ]
        inner += draw(st.lists(st.sampled_from(others), max_size=2))
        objects.append(f"<object>{''.join(draw(st.permutations(inner)))}</object>")
    parts = [tag("folder", "x"), tag("filename", "a.png"), *objects]
    return f"<annotation>{''.join(draw(st.permutations(parts)))}</annotation>"


@given(text=voc(), encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_voc_keeps_boxes_and_names(text: str, encoding: str, folder: Path) -> None:
    (folder / "a.xml").write_bytes(text.encode(encoding))
    try:
        (image,) = read_voc(folder)
    finally:
        (folder / "a.xml").unlink()

    def text_of(element: Any, name: str) -> str:
        (found,) = (child for child in element.childNodes if child.nodeName == name)
        return "".join(node.data for node in found.childNodes).strip()

    objects = minidom.parseString(text.encode()).getElementsByTagName("object")
    assert list(image.labels) == [text_of(each, "name") for each in objects]
    boxes = [next(child for child in each.childNodes if child.nodeName == "bndbox") for each in objects]
    wanted = [[float(text_of(box, edge)) for edge in ("xmin", "ymin", "xmax", "ymax")] for box in boxes]
    assert image.boxes.tolist() == [pytest.approx([x - 1, y - 1, r, b], abs=1e-4) for x, y, r, b in wanted]


@given(
    text=voc(), where=st.integers(0, 400), put=st.sampled_from(["", "<", "&", "]]>", "<!--", "<!DOCTYPE a>", "\0", "9"])
)
def test_voc_with_anything_inside_is_read_or_an_error(text: str, where: int, put: str, folder: Path) -> None:
    (folder / "a.xml").write_text(text[:where] + put + text[where + 1 :], encoding="utf-8")
    try:
        images = read_voc(folder)
    except FlashError:
        return
    finally:
        (folder / "a.xml").unlink()
    assert all(len(image.boxes) == len(image.labels) for image in images)

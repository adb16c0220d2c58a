"""Pascal VOC: folders, image sets, and XML files that are refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from flash.errors import DataError
from flash.image.detection.voc import read_voc


def xml(
    name: str, objects: Sequence[tuple[str, Sequence[float]]], size: tuple[int, int] = (64, 64), more: str = ""
) -> str:
    """An annotation as the challenges have them: pixels count from 1, and the last one belongs to the box."""
    parts = "".join(
        f"<object><name>{label}</name>{more}<bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox>"
        "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
        "</object>"
        for label, (left, top, right, bottom) in objects
    )
    width, height = size
    return (
        f"<annotation><filename>{name}</filename><size><width>{width}</width><height>{height}</height>"
        f"<depth>3</depth></size>{parts}</annotation>"
    )


@pytest.fixture
def written(tmp_path: Path, draw: Callable[..., Any]) -> tuple[Path, Any]:
    """A folder as in the challenges, and what was drawn."""
    drawn = draw(4)
    root = tmp_path / "VOC2012"
    paths = drawn.save(root / "JPEGImages", ".jpg")
    (root / "Annotations").mkdir()
    for path, labels, boxes in zip(paths, drawn.labels, drawn.boxes, strict=True):
        text = xml(path.name, list(zip(labels, boxes, strict=True)))
        (root / "Annotations" / f"{path.stem}.xml").write_text(text)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "train.txt").write_text("002\n000\n")
    (root / "ImageSets" / "Main" / "red_val.txt").write_text("001  1\n003 -1\n")
    return root, drawn


def first(root: Path) -> Path:
    return root / "Annotations" / "000.xml"


def test_images_boxes_labels_and_sizes_are_read(written: Any) -> None:
    root, drawn = written
    images = read_voc(root)
    assert [image.source for image in images] == sorted((root / "JPEGImages").iterdir())
    assert [image.boxes.tolist() for image in images] == drawn.boxes
    assert [list(image.labels) for image in images] == drawn.labels
    assert {image.size for image in images} == {(64, 64)}


def test_an_image_set_chooses_images_in_its_order(written: Any) -> None:
    root, _ = written
    assert [image.source.stem for image in read_voc(root, "train")] == ["002", "000"]
    assert [image.source.stem for image in read_voc(root, "red_val")] == ["001", "003"]


def test_an_unknown_image_set_is_an_error_that_lists_those_there_are(written: Any) -> None:
    with pytest.raises(DataError, match="the image set 'val' in .*, but there is 'red_val', 'train'"):
        read_voc(written[0], "val")


def test_an_image_set_with_an_image_that_has_no_annotation_is_an_error(written: Any) -> None:
    root, _ = written
    first(root).unlink()
    with pytest.raises(DataError, match="each image of the set 'train', but 1 of 2 have none, such as '000'"):
        read_voc(root, "train")


def test_files_may_lie_side_by_side(written: Any) -> None:
    root, drawn = written
    for file in [*(root / "Annotations").iterdir(), *(root / "JPEGImages").iterdir()]:
        file.rename(root / file.name)
    (root / "Annotations").rmdir()
    (root / "JPEGImages").rmdir()
    assert [image.boxes.tolist() for image in read_voc(root)] == drawn.boxes


@pytest.mark.parametrize("filename", ["000", "C:\\photos\\000.jpg", "/home/me/000.jpg", "", "renamed.jpg"])
def test_the_image_is_found_whatever_the_tool_wrote_as_its_name(written: Any, filename: str) -> None:
    root, drawn = written
    first(root).write_text(xml(filename, [("red", drawn.boxes[0][0])]))
    assert read_voc(root)[0].source.name == "000.jpg"


def test_difficult_objects_are_marked_and_empty_annotations_kept(written: Any) -> None:
    root, _ = written
    first(root).write_text(xml("000.jpg", [("red", [1, 2, 9, 9])], more="<difficult>1</difficult>"))
    (root / "Annotations" / "001.xml").write_text(xml("001.jpg", []))
    images = read_voc(root)
    assert images[0].ignored(training=False).tolist() == [True]
    assert images[0].ignored(training=True).tolist() == [False]
    assert len(images[1].boxes) == 0


@pytest.mark.parametrize("size", [(0, 0), (-1, 5)])
def test_a_size_that_cannot_be_is_not_believed(written: Any, size: tuple[int, int]) -> None:
    root, _ = written
    first(root).write_text(xml("000.jpg", [], size))
    assert read_voc(root)[0].size is None


BOMB = '<!DOCTYPE a [<!ENTITY b "lol"><!ENTITY c "&b;&b;&b;&b;">]>'
FETCH = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("start", [BOMB, FETCH, '<!DOCTYPE annotation SYSTEM "http://localhost/x.dtd">'])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_document_types_and_entities_are_refused_in_any_encoding(written: Any, start: str, encoding: str) -> None:
    root, _ = written
    text = f'<?xml version="1.0" encoding="{encoding}"?>{start}' + xml("000.jpg", [])
    first(root).write_bytes(text.encode(encoding))
    with pytest.raises(DataError, match="plain XML, but it declares a document type, which could hide other content"):
        read_voc(root)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("no xml", "to be a Pascal VOC annotation in XML, but it is not"),
        ("", "to be a Pascal VOC annotation in XML, but it is not"),
        ("<html></html>", "to be a Pascal VOC annotation, but it starts with <html>"),
        (xml("000.jpg", [("", [1, 2, 3, 4])]), "each object in .* to have a name, but one has none"),
        (xml("000.jpg", [("red", [1, 2, 3, 4])]).replace("<xmax>3</xmax>", ""), "a bndbox with xmax, but one has none"),
        (xml("000.jpg", [("red", [1, 2, 3, 4])]).replace("<xmax>3<", "<xmax>x<"), "bndbox to be numbers, but"),
        (xml("000.jpg", [("red", [30, 2, 3, 4])]), "ends before it starts"),
        (xml("000.jpg", [("red", [1, 2, 3, 4])]).replace("<xmax>3<", "<xmax>1e999<"), "to be finite numbers"),
        (xml("000.jpg", [("red", [1, 2, 3, 4])]).replace("<xmax>3<", f"<xmax>{'9' * 5000}<"), "to be finite numbers"),
        (
            xml("000.jpg", []).replace(">64<", ">1e999<"),
            "width and height in .* of pixels, but got '1e999' and '1e999'",
        ),
        ('<?xml version="1.0" encoding="xyz"?>' + xml("000.jpg", []), "in XML, but it is not: unknown encoding: xyz"),
        ('<?xml version="1.0" encoding="rot13"?>' + xml("000.jpg", []), "in XML, but it is not: .* Export it again"),
        ('<?xml version="1.0" encoding="utf-7"?>' + xml("000.jpg", []), "in XML, but it is not: "),
        ("<annotation>" + "<a>" * 500_000 + "</a>" * 500_000 + "</annotation>", "nested more than 100 deep. Export it"),
    ],
)
def test_a_broken_file_is_an_error_that_names_it(written: Any, text: str, sentence: str) -> None:
    root, _ = written
    first(root).write_text(text)
    with pytest.raises(DataError, match=sentence) as raised:
        read_voc(root)
    assert "000.xml" in str(raised.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_not_waited_for(written: Any) -> None:
    root, _ = written
    first(root).unlink()
    os.mkfifo(first(root))
    with pytest.raises(DataError, match="000.xml to be a Pascal VOC annotation, but it is no file. Move it away"):
        read_voc(root)


def test_a_folder_with_the_name_of_an_image_is_no_image(written: Any) -> None:
    root, _ = written
    (root / "JPEGImages" / "000.jpg").unlink()
    (root / "JPEGImages" / "000.jpg").mkdir()
    with pytest.raises(DataError, match="but there is neither '000.jpg' nor an image named"):
        read_voc(root)


@pytest.mark.parametrize("content", [b"\xff\xfe0", b"00\xe4\n"])
def test_an_image_set_in_another_encoding_is_an_error(written: Any, content: bytes) -> None:
    root, _ = written
    (root / "ImageSets" / "Main" / "train.txt").write_bytes(content)
    with pytest.raises(DataError, match=r"train.txt to list images in UTF-8, but it cannot be read.* Save it again"):
        read_voc(root, "train")


def test_a_missing_image_is_an_error(written: Any) -> None:
    root, _ = written
    (root / "JPEGImages" / "000.jpg").unlink()
    with pytest.raises(DataError, match="image of .*000.xml in .*, but there is neither '000.jpg' nor an image named"):
        read_voc(root)


def test_a_folder_without_annotations_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Expected XML files in .*, one per image, but there are none"):
        read_voc(tmp_path)
    with pytest.raises(DataError, match="but there is no such folder"):
        read_voc(tmp_path / "gone")


# ---------------------------------------------------------------------- as tools write them

BOX = "<bndbox><xmin>2.5</xmin><ymin>3.25</ymin><xmax>12.0</xmax><ymax>14.75</ymax></bndbox>"
LABELIMG = (
    '<annotation verified="yes"><folder>x</folder><filename>000.jpg</filename><path>/home/me/x/000.jpg</path>'
    "<source><database>Unknown</database></source><object><name>cat</name><pose>Unspecified</pose>"
    f"<truncated>0</truncated><difficult>0</difficult>{BOX}</object></annotation>"
)
CVAT = (
    '<?xml version="1.0" encoding="utf-8"?>\n<annotation><folder/><filename>000.jpg</filename><segmented>0</segmented>'
    f"<object><name>cat</name><occluded>1</occluded>{BOX}<attributes><attribute><name>color</name><value>red</value>"
    "</attribute></attributes></object></annotation>"
)
POLYGON = (
    "<annotation><filename>000.jpg</filename><object><polygon><x1>1</x1><y1>2</y1></polygon>"
    f"<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>{BOX}<name> cat\n</name></object></annotation>"
)
PREFIXED = (LABELIMG.replace("</", "\0").replace("<", "<v:").replace("\0", "</v:")).replace(
    "<v:annotation", '<v:annotation xmlns:v="http://example.org/voc"'
)


@pytest.mark.parametrize(
    "content",
    [
        LABELIMG.encode(),
        LABELIMG.encode("utf-8-sig"),
        LABELIMG.encode("utf-16"),
        LABELIMG.replace("<annotation", '<annotation xmlns="http://example.org/voc"').encode(),
        CVAT.encode(),
        b"\r\n" + CVAT.encode(),
        POLYGON.encode(),
        PREFIXED.encode(),
    ],
    ids=["labelimg", "mark", "utf-16", "namespace", "cvat", "line before", "polygon", "prefix"],
)
def test_what_tools_write_is_read_as_it_is_meant(written: Any, content: bytes) -> None:
    root, _ = written
    first(root).write_bytes(content)
    image = next(each for each in read_voc(root) if Path(str(each.source)).stem == "000")
    # Pixels count from 1, and the last one belongs to the box.
    assert (image.boxes.tolist(), image.labels) == ([[1.5, 2.25, 12.0, 14.75]], ("cat",))
    assert image.size is None

"""Pascal VOC: one XML file per image, with the class and the box of each object."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import torch

from flash.data.messages import show
from flash.errors import DataError

from .boxes import AnnotatedImage, read_boxes

__all__ = ["read_voc"]

# Elements are nested 4 deep; deeper ones, such as parts of parts, are not read.
_MAX_DEPTH = 100
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")


def read_voc(folder: str | Path, image_set: str | None = None) -> list[AnnotatedImage]:
    """Read a folder in the format of the Pascal VOC challenges.

    Edges in VOC files count pixels from 1, and the last pixel belongs to the box. Objects that are marked as
    difficult are used in training, but ignored in metrics.

    Args:
        folder: A folder with ``Annotations/*.xml`` and ``JPEGImages/``; or one in which XML files and images lie
            side by side.
        image_set: The name of a file in ``ImageSets/Main`` that lists the images, such as ``"train"``. ``None``
            reads all images that have an XML file.

    Raises:
        DataError: If an XML file cannot be parsed or declares a document type or entities, an image is missing,
            or there is no such image set.
    """
    folder = Path(folder)
    if not os.path.isdir(folder):
        raise DataError(
            f"Expected {folder} to be a folder with Annotations and JPEGImages, but there is no such folder."
        )
    annotations = folder / "Annotations" if (folder / "Annotations").is_dir() else folder
    images = folder / "JPEGImages" if (folder / "JPEGImages").is_dir() else folder
    files = sorted(file for file in annotations.glob("*.xml") if not file.name.startswith("."))
    if image_set is not None:
        files = _in_set(files, folder, image_set)
    if not files:
        raise DataError(f"Expected XML files in {annotations}, one per image, but there are none.")
    known = {file.name: file for file in sorted(images.iterdir()) if file.suffix.lower() in _SUFFIXES}
    return [_read_image(file, known, images) for file in files]


def _in_set(files: Sequence[Path], folder: Path, image_set: str) -> list[Path]:
    folder = folder / "ImageSets" / "Main"
    sets = sorted(file.stem for file in folder.glob("*.txt"))
    if image_set not in sets:
        raise DataError(
            f"Expected the image set {image_set!r} in {folder}, but there is {', '.join(map(repr, sets)) or 'none'}."
        )
    # The sets of a single class have a second column: whether the class is in the image.
    try:
        lines = (folder / f"{image_set}.txt").read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(
            f"Expected {folder / image_set}.txt to list images in UTF-8, but it cannot be read: {error}. "
            "Save it again as text."
        ) from error
    names = [line.split()[0] for line in lines if line.strip()]
    by_name = {file.stem: file for file in files}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise DataError(
            f"Expected an XML file for each image of the set {image_set!r}, but {len(missing)} of {len(names)} have "
            f"none, such as {missing[0]!r}."
        )
    return [by_name[name] for name in names]


def _read_image(file: Path, images: dict[str, Path], folder: Path) -> AnnotatedImage:
    root = _parse(file)
    # Some tools write an absolute path of another machine, or no suffix.
    written = PureWindowsPath(root.findtext("filename") or "").name
    candidates = [written, *(stem + suffix for stem in (file.stem, written) for suffix in (*_SUFFIXES, *_UPPER))]
    path = next((images[name] for name in candidates if name in images), None)
    if path is None or not os.path.isfile(path):
        raise DataError(
            f"Expected the image of {file} in {folder}, but there is neither {show(written)} nor an image named "
            f"{file.stem!r}."
        )
    objects = root.findall("object")
    return AnnotatedImage(
        path,
        read_boxes([_box(each, file) for each in objects], "xyxy", str(file)),
        tuple(_text(each, "name", file) for each in objects),
        difficult=torch.tensor(
            [(each.findtext("difficult") or "").strip() == "1" for each in objects], dtype=torch.bool
        ),
        size=_size(root, file),
        name=str(path),
    )


_UPPER = tuple(suffix.upper() for suffix in _SUFFIXES)


def _box(element: Element, file: Path) -> list[float]:
    edges = [_text(element, f"bndbox/{edge}", file) for edge in ("xmin", "ymin", "xmax", "ymax")]
    try:
        left, top, right, bottom = map(float, edges)
    except ValueError as error:
        raise DataError(f"Expected the edges in bndbox to be numbers, but {file} has {show(edges)}.") from error
    return [left - 1, top - 1, right, bottom]


def _text(element: Element, path: str, file: Path) -> str:
    text = (element.findtext(path) or "").strip()
    if not text:
        raise DataError(f"Expected each object in {file} to have a {path.replace('/', ' with ')}, but one has none.")
    return text


def _size(root: Element, file: Path) -> tuple[int, int] | None:
    written = [root.findtext(f"size/{side}") or "0" for side in ("width", "height")]
    try:
        width, height = (int(float(side)) for side in written)
    except ValueError:
        return None
    except OverflowError as error:
        sides = " and ".join(map(show, written))
        raise DataError(
            f"Expected the width and height in {file} to be numbers of pixels, but got {sides}. Correct them, or "
            "leave out the size."
        ) from error
    return (width, height) if width > 0 and height > 0 else None


def _parse(file: Path) -> Element:
    """Parse XML; raise an error for entities and document types, which could expand exponentially or read files."""

    def refuse(*_: object) -> NoReturn:
        raise DataError(
            f"Expected {file} to be plain XML, but it declares a document type, which could hide other content. "
            "Remove the <!DOCTYPE ...> from it."
        )

    builder, parser = TreeBuilder(), expat.ParserCreate()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise DataError(
                f"Expected {file} to be a Pascal VOC annotation, but its elements are nested more than {_MAX_DEPTH} "
                "deep. Export it again."
            )
        builder.start(_without_prefix(tag), attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_without_prefix(tag))

    if not os.path.isfile(file):  # reading a pipe would wait for ever
        raise DataError(f"Expected {file} to be a Pascal VOC annotation, but it is no file. Move it away.")
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    try:
        # Some tools leave a line before the declaration, where XML allows none.
        parser.Parse(file.read_bytes().lstrip(b" \t\r\n"), True)
    except DataError:
        raise
    # LookupError and TypeError: a declared encoding that Python does not know, or that is not one of text.
    except (expat.ExpatError, OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"Expected {file} to be a Pascal VOC annotation in XML, but it is not: {error}. Export it again, in UTF-8."
        ) from error
    root = builder.close()
    if root.tag != "annotation":
        raise DataError(f"Expected {file} to be a Pascal VOC annotation, but it starts with <{root.tag}>.")
    return root


def _without_prefix(tag: str) -> str:
    """Return a tag without the prefix of its namespace."""
    return tag.rpartition(":")[2]

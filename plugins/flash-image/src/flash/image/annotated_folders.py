"""Recognize folders of images with annotations: one COCO file, or the XML files of Pascal VOC."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

from flash.data.recognition import RawData, Recognition, part_folders

__all__ = ["coco_in", "recognize_coco", "recognize_voc", "subfolder"]

_IMAGE_FOLDERS = ("images", "image", "imgs", "img", "photos")
# What annotates something has content: exports of boxes have empty lists of the others.
_CONTENT = {
    "bbox": re.compile(rb'"bbox"\s*:\s*\[\s*[-\d"]'),
    "segmentation": re.compile(rb'"segmentation"\s*:\s*[\[{]\s*[^\]}\s]'),
    "keypoints": re.compile(rb'"keypoints"\s*:\s*\[\s*[-\d]'),
    "segments_info": re.compile(rb'"segments_info"\s*:'),
}
# More than that of two classes of images.
_CERTAINTY_OF_VOC = 0.95


def subfolder(folder: Path, *names: str) -> Path | None:
    """Return the first folder inside a folder that has one of some names, however they are capitalized.

    Args:
        folder: The folder.
        names: The names in small letters, in the order to look for them; by default the usual ones of images.
    """
    inside = {each.name.lower(): each for each in sorted(folder.iterdir()) if each.is_dir()}
    return next((inside[name] for name in names or _IMAGE_FOLDERS if name in inside), None)


def coco_in(folder: Path) -> tuple[Path, Path] | None:
    """Return the folder of images in a folder, by default itself, with the one JSON file of it; ``None`` without one.

    Args:
        folder: The folder.
    """
    files = [each for each in sorted(folder.iterdir()) if each.suffix.lower() == ".json"]
    return (subfolder(folder) or folder, files[0]) if len(files) == 1 else None


def recognize_coco(raw: RawData, *contents: str) -> Recognition | None:
    """Recognize a folder, or folders named ``train``, ``val`` and ``test``, with images and one COCO file each.

    Args:
        raw: The data.
        contents: What the train file has to have one of, such as ``"bbox"``; a file without annotations may be of any.
    """
    if raw.folder is None:
        return None
    parts = part_folders(raw.folder)
    found = {part: coco_in(folder) for part, folder in parts.items()}
    pairs = {part: pair for part, pair in found.items() if pair is not None}
    if len(pairs) < len(found):
        return None
    known = _contents_of(pairs["train"][1])
    if known and not known.intersection(contents):
        return None
    arguments = {f"{part}_folder": str(images) for part, (images, _) in pairs.items()}
    arguments |= {f"{part}_ann_file": str(file) for part, (_, file) in pairs.items()}
    return Recognition("from_coco", arguments, f"{parts['train']} has images and one COCO file", 0.6)


def _contents_of(file: Path) -> set[str]:
    """Return what the annotations of a COCO file have, without parsing it, which takes a minute for a large one."""
    if not file.is_file() or not file.stat().st_size:
        return set()
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return {name for name, pattern in _CONTENT.items() if pattern.search(content)}


def recognize_voc(raw: RawData) -> Recognition | None:
    """Recognize a folder in Pascal VOC format, with its image sets, or folders of its parts.

    Args:
        raw: The data.
    """
    if raw.folder is None:
        return None
    parts = part_folders(raw.folder)
    if not all(_has_voc(folder) for folder in parts.values()):
        return None
    arguments = {f"{part}_folder": str(folder) for part, folder in parts.items()}
    lists = raw.folder / "ImageSets" / "Main"
    sets = [part for part in ("train", "val", "test") if len(parts) == 1 and (lists / f"{part}.txt").is_file()]
    if "train" in sets:
        arguments |= {f"{part}_folder": str(raw.folder) for part in sets} | {f"{part}_image_set": part for part in sets}
    return Recognition("from_voc", arguments, f"{parts['train']} has XML files of Pascal VOC", _CERTAINTY_OF_VOC)


def _has_voc(folder: Path) -> bool:
    if (folder / "Annotations").is_dir() and (folder / "JPEGImages").is_dir():
        return any((folder / "Annotations").glob("*.xml"))
    first = next(folder.glob("*.xml"), None)
    if first is None:
        return False
    with first.open("rb") as file:
        return b"<annotation" in file.read(2048)

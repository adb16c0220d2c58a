"""COCO: one JSON file that lists images, categories, and the boxes of all images."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import torch

from flash.errors import DataError

from .boxes import AnnotatedImage, read_boxes

__all__ = ["read_coco"]


def read_coco(folder: str | Path, ann_file: str | Path) -> tuple[list[AnnotatedImage], list[str]]:
    """Read the images of a folder with the boxes in a COCO file (https://cocodataset.org/#format-data).

    Args:
        folder: The folder that the file names of the images are relative to.
        ann_file: The JSON file with ``images``, ``annotations`` and ``categories``.

    Returns:
        The images in the order of the file, including those without boxes, and the names of the categories in the
        order of their ids.

    Raises:
        DataError: If the file is not a COCO file, or refers to a missing image or category.
    """
    folder, ann_file = Path(folder), Path(ann_file)
    content = _read_json(folder, ann_file)
    names = _category_names(content, ann_file)
    boxes_of = _annotations_by_image(content, names, ann_file)
    images = []
    for image in content["images"]:
        path = _path_of(image, folder, ann_file)
        found = boxes_of.pop(image["id"], [])
        images.append(
            AnnotatedImage(
                path,
                read_boxes([each["bbox"] for each in found], "xywh", str(path)),
                tuple(names[each["category_id"]] for each in found),
                crowd=torch.tensor([bool(each.get("iscrowd", 0)) for each in found], dtype=torch.bool),
                size=_size_of(image),
                name=str(path),
            )
        )
    if boxes_of:
        raise DataError(
            f"Expected each annotation in {ann_file} to belong to one of its images, but the image_id "
            f"{next(iter(boxes_of))!r} is not among them ({len(boxes_of)} such ids)."
        )
    _check_files(images, folder, ann_file)
    return images, [names[key] for key in sorted(names)]


def _read_json(folder: Path, ann_file: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise DataError(f"Expected {folder} to be the folder with the images, but there is no such folder.")
    try:
        content = json.loads(ann_file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"Expected {ann_file} to be a COCO annotation file, but it cannot be read: {error}.") from error
    except ValueError as error:
        raise DataError(f"Expected {ann_file} to be a COCO annotation file in JSON, but it is not: {error}.") from error
    parts = ("images", "annotations", "categories")
    missing = [part for part in parts if not isinstance(content, Mapping) or not isinstance(content.get(part), list)]
    if missing:
        raise DataError(
            f"Expected {ann_file} to have the lists images, annotations and categories, as COCO's instances_*.json, "
            f"but {' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} missing."
        )
    _check_keys(content["images"], "image", ("id", "file_name"), ann_file)
    _check_keys(content["annotations"], "annotation", ("image_id", "category_id", "bbox"), ann_file)
    _check_keys(content["categories"], "category", ("id", "name"), ann_file)
    return dict(content)


def _check_keys(records: list[Any], what: str, keys: tuple[str, ...], ann_file: Path) -> None:
    for record in records:
        missing = [key for key in keys if not isinstance(record, Mapping) or key not in record]
        if missing:
            raise DataError(
                f"Expected each {what} in {ann_file} to have {missing[0]!r}, but this has none: {record!r}."
            )


def _category_names(content: dict[str, Any], ann_file: Path) -> dict[int, str]:
    names = {each["id"]: str(each["name"]) for each in content["categories"]}
    name, count = max(Counter(names.values()).items(), key=lambda item: item[1], default=("", 0))
    if not names or count > 1 or len(names) < len(content["categories"]):
        problem = f"{name!r} is there {count} times" if count > 1 else "an id is there twice" if names else "has none"
        raise DataError(f"Expected {ann_file} to have categories with different ids and names, but {problem}.")
    return names


def _annotations_by_image(
    content: dict[str, Any], names: dict[int, str], ann_file: Path
) -> dict[Any, list[dict[str, Any]]]:
    boxes_of: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for annotation in content["annotations"]:
        if annotation["category_id"] not in names:
            raise DataError(
                f"Expected the category of each annotation to be among the categories of {ann_file}, but the "
                f"category_id {annotation['category_id']!r} of image_id {annotation['image_id']!r} is not."
            )
        boxes_of[annotation["image_id"]].append(annotation)
    return boxes_of


def _path_of(image: dict[str, Any], folder: Path, ann_file: Path) -> Path:
    # Windows tools write backslashes. An untrusted file must not make other files of this disk be read.
    relative = PurePosixPath(str(image["file_name"]).replace("\\", "/"))
    if relative.is_absolute() or ".." in relative.parts or PureWindowsPath(relative).drive:
        raise DataError(
            f"Expected the file names in {ann_file} to lie inside {folder}, but got {image['file_name']!r}. "
            "Write them relative to the folder of the images."
        )
    return folder / relative


def _size_of(image: dict[str, Any]) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    return (int(width), int(height)) if width and height else None


def _check_files(images: list[AnnotatedImage], folder: Path, ann_file: Path) -> None:
    if not images:
        raise DataError(f"Expected at least one image in {ann_file}, but it lists none.")
    missing = [image.name for image in images if not image.source.is_file()]
    if missing:
        raise DataError(
            f"Expected the images of {ann_file} in {folder}, but {len(missing)} of {len(images)} are missing, such as "
            f"{missing[0]}. Check the folder."
        )

"""COCO: one JSON file that lists images, categories, and the boxes of all images."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

import torch

from flash.data.messages import show
from flash.data.tables import check_encodable
from flash.errors import DataError

from .boxes import AnnotatedImage, read_boxes, show_path

__all__ = ["CocoImage", "crowds_of", "is_pair", "read_annotations", "read_coco"]


# The ids of segments are colors of 24 bits.
_MOST_SEGMENTS = 1 << 24


def is_pair(stage: str, folder: str | Path | None, ann_file: str | Path | None) -> bool:
    """Return whether a stage has a folder of images with its file of annotations; it may have neither.

    Raises:
        DataError: If there is one without the other.
    """
    if (folder is None) != (ann_file is None):
        missing = f"{stage}_ann_file" if ann_file is None else f"{stage}_folder"
        raise DataError(f"Expected {stage}_folder together with {stage}_ann_file, but {missing} is missing.")
    return folder is not None


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
    found, names, _ = read_annotations(folder, ann_file)
    images = [
        AnnotatedImage(
            image.path,
            read_boxes([each["bbox"] for each in image.annotations], "xywh", str(image.path)),
            image.labels,
            crowd=crowds_of(image, ann_file),
            size=image.size,
            name=str(image.path),
        )
        for image in found
    ]
    return images, names


def crowds_of(image: CocoImage, ann_file: str | Path) -> torch.Tensor:
    """Return the mask of the annotations of an image that stand for an unknown number of objects.

    Args:
        image: The image.
        ann_file: Its file, for messages.

    Raises:
        DataError: If ``iscrowd`` of one is neither 0 nor 1.
    """
    return torch.tensor([_is_crowd(each, Path(ann_file)) for each in image.annotations], dtype=torch.bool)


class CocoImage(NamedTuple):
    """An image of a COCO file.

    Args:
        path: The file of the image.
        size: Its width and height in pixels, if they are annotated.
        annotations: The annotations of its objects, as they are in the file.
        labels: The name of the category of each annotation.
        mask: The file of the ids of its segments, if the COCO file is a panoptic one, whose segments are annotations.
    """

    path: Path
    size: tuple[int, int] | None
    annotations: list[dict[str, Any]]
    labels: tuple[str, ...]
    mask: Path | None = None


def read_annotations(
    folder: str | Path,
    ann_file: str | Path,
    key: str = "bbox",
    *,
    panoptic: bool = False,
    mask_folder: str | Path | None = None,
) -> tuple[list[CocoImage], list[str], list[dict[str, Any]]]:
    """Read the images of a folder with their annotations in a COCO file, whatever these annotate.

    Args:
        folder: The folder that the file names of the images are relative to.
        ann_file: The JSON file with ``images``, ``annotations`` and ``categories``.
        key: What each annotation has to have, such as ``"segmentation"``.
        panoptic: Whether the file may also be a panoptic one, with ``segments_info`` and a mask of ids for each image.
        mask_folder: The folder of these masks; by default the one beside the file that has its name, as COCO's.

    Returns:
        The images in the order of the file, the names of the categories in the order of their ids, and the categories
        as they are in the file.

    Raises:
        DataError: If the file is not a COCO file, is a panoptic one that is not asked for, or refers to a missing
            image, mask or category.
    """
    folder, ann_file = Path(folder), Path(ann_file)
    content = _read_json(folder, ann_file)
    mask_names = _split_segments(content, ann_file) if panoptic and _is_panoptic(content) else None
    _check_content(content, ann_file, key if mask_names is None else "id")
    names = _category_names(content, ann_file)
    annotations_of = _annotations_by_image(content, names, ann_file)
    known = Counter(_relative(image).name for image in content["images"])
    images = []
    for image in content["images"]:
        path = _path_of(image, folder, ann_file, known)
        found = annotations_of.pop(image["id"], [])
        labels = tuple(names[each["category_id"]] for each in found)
        images.append(CocoImage(path, _size_of(image, ann_file), found, labels))
    if annotations_of:
        raise DataError(
            f"Expected each annotation in {ann_file} to belong to one of its images, but the image_id "
            f"{show(next(iter(annotations_of)))} is not among them ({len(annotations_of)} such ids)."
        )
    _check_files([image.path for image in images], folder, ann_file)
    if mask_names is not None:
        images = _with_masks(images, content, mask_names, Path(mask_folder or ann_file.with_suffix("")), ann_file)
    return images, [names[key] for key in sorted(names)], content["categories"]


def _is_panoptic(content: Mapping[str, Any]) -> bool:
    return any(isinstance(each, Mapping) and "segments_info" in each for each in content["annotations"])


def _split_segments(content: dict[str, Any], ann_file: Path) -> dict[Any, str]:
    """Replace the annotations of a panoptic file, one per image, by its segments; return the mask of each image."""
    records = content["annotations"]
    _check_keys(records, "annotation", ("image_id", "file_name", "segments_info"), ann_file)
    _check_ids(records, "annotations", "image_id", ann_file)
    names: dict[Any, str] = {}
    segments: list[dict[str, Any]] = []
    for record in records:
        image, found = record["image_id"], record["segments_info"]
        if image in names:
            raise DataError(
                f"Expected one annotation with segments_info for each image in {ann_file}, but the image_id "
                f"{show(image)} has several. Join them."
            )
        if not isinstance(found, list):
            raise DataError(
                f"Expected segments_info in {ann_file} to be a list of segments, but that of image_id {show(image)} is "
                f"{show(found)}. Export it again as COCO."
            )
        _check_keys(found, "segment", ("id", "category_id"), ann_file)
        ids = [each["id"] for each in found]
        wrong = next((each for each in ids if type(each) is not int or not 0 < each < _MOST_SEGMENTS), None)
        if wrong is not None or len(set(ids)) < len(ids):
            got = f"{ids} has one twice" if wrong is None else f"got {show(wrong)}"
            raise DataError(
                f"Expected the ids of the segments of image_id {show(image)} in {ann_file} to be different whole "
                f"numbers from 1 to {_MOST_SEGMENTS - 1}, the colors of its mask, but {got}. Export it again as COCO."
            )
        names[image] = str(record["file_name"])
        segments += [{**each, "image_id": image} for each in found]
    content["annotations"] = segments
    return names


def _with_masks(
    images: list[CocoImage], content: dict[str, Any], names: dict[Any, str], folder: Path, ann_file: Path
) -> list[CocoImage]:
    """Return the images of a panoptic file with the files of their masks."""
    ids = [each["id"] for each in content["images"]]
    known = Counter(_relative({"file_name": name}).name for name in names.values())
    without = [image for key, image in zip(ids, images, strict=True) if key not in names]
    if without:
        raise DataError(
            f"Expected an annotation with segments_info for each image in {ann_file}, but {len(without)} of "
            f"{len(images)} have none, such as {show_path(without[0].path)}. Leave these images out."
        )
    found = [
        image._replace(mask=_path_of({"file_name": names[key]}, folder, ann_file, known))
        for key, image in zip(ids, images, strict=True)
    ]
    missing = [image.mask for image in found if image.mask is not None and not os.path.isfile(image.mask)]
    if missing:
        raise DataError(
            f"Expected the masks of {ann_file} in {folder}, but {len(missing)} of {len(found)} are missing, such as "
            f"{show_path(missing[0])}. Pass their folder: train_target_folder=..., val_target_folder=..."
        )
    return found


def _read_json(folder: Path, ann_file: Path) -> dict[str, Any]:
    if not os.path.isdir(folder):
        raise DataError(f"Expected {folder} to be the folder with the images, but there is no such folder.")
    if not os.path.isfile(ann_file):  # reading a pipe would wait for ever
        raise DataError(
            f"Expected {ann_file} to be a COCO annotation file, but it cannot be read: there is no such file. "
            "Check the path."
        )
    try:
        content = json.loads(ann_file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"Expected {ann_file} to be a COCO annotation file, but it cannot be read: {error}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"Expected {ann_file} to be a COCO annotation file in JSON, but it is not: {error}. Export it again "
            "as COCO, in UTF-8."
        ) from error
    parts = ("images", "annotations", "categories")
    missing = [part for part in parts if not isinstance(content, Mapping) or not isinstance(content.get(part), list)]
    if missing:
        raise DataError(
            f"Expected {ann_file} to have the lists images, annotations and categories, as COCO's instances_*.json, "
            f"but {' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} missing."
        )
    return dict(content)


def _check_content(content: dict[str, Any], ann_file: Path, key: str) -> None:
    if key != "id" and _is_panoptic(content):
        raise DataError(
            f"Expected each annotation in {ann_file} to have {key!r}, but it is a panoptic file, whose segments_info "
            "are colors of masks. SemanticSegmentationData.from_coco reads it; for objects take COCO's "
            "instances_*.json."
        )
    _check_keys(content["images"], "image", ("id", "file_name"), ann_file)
    _check_keys(content["annotations"], "annotation", ("image_id", "category_id", key), ann_file)
    _check_keys(content["categories"], "category", ("id", "name"), ann_file)
    for part, key in (("images", "id"), ("categories", "id"), ("annotations", "image_id")):
        _check_ids(content[part], part, key, ann_file)
    _check_ids(content["annotations"], "annotations", "category_id", ann_file)


def _check_keys(records: list[Any], what: str, keys: tuple[str, ...], ann_file: Path) -> None:
    for record in records:
        missing = [key for key in keys if not isinstance(record, Mapping) or key not in record]
        if missing:
            raise DataError(
                f"Expected each {what} in {ann_file} to have {missing[0]!r}, but this has none: {show(record)}. Add "
                "it, or remove the record."
            )


def _check_ids(records: list[Any], part: str, key: str, ann_file: Path) -> None:
    kinds: set[bool] = set()
    for record in records:
        value = record[key]
        if isinstance(value, bool) or not isinstance(value, int | float | str) or value != value:
            raise DataError(
                f"Expected the {key} of the {part} in {ann_file} to be numbers or texts, but got {show(value)}. Number "
                "them, as COCO does."
            )
        # Some tools write numbers as texts, in one part of the file or in all.
        if isinstance(value, str) and value.isdecimal() and str(int(value[:18])) == value:
            record[key] = value = int(value)
        kinds.add(isinstance(value, str))
    if len(kinds) > 1:
        raise DataError(
            f"Expected the {key} of the {part} in {ann_file} to be all numbers or all texts, but got both. Number "
            "them, as COCO does."
        )
    if key == "id" and part == "images" and len({record[key] for record in records}) < len(records):
        twice = Counter(record[key] for record in records).most_common(1)[0][0]
        raise DataError(
            f"Expected the images in {ann_file} to have different ids, but {show(twice)} is there twice. Number "
            "them, as COCO does."
        )


def _category_names(content: dict[str, Any], ann_file: Path) -> dict[int, str]:
    for each in content["categories"]:
        if isinstance(each["name"], bool) or not isinstance(each["name"], str | int | float):
            raise DataError(
                f"Expected the names of the categories in {ann_file} to be texts, but got "
                f"{show(each['name'])}. Name it."
            )
    # Roboflow lists the project as a category, which no box has, and of which the classes are subcategories.
    used = {each["category_id"] for each in content["annotations"]}
    above = {str(each.get("supercategory")) for each in content["categories"]}
    content["categories"] = [
        each
        for each in content["categories"]
        if each["id"] in used or each.get("supercategory") != "none" or str(each["name"]) not in above
    ]
    names = {each["id"]: str(each["name"]) for each in content["categories"]}
    check_encodable(names.values(), f"the names of the categories in {ann_file}")
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
                f"category_id {show(annotation['category_id'])} of image_id {show(annotation['image_id'])} is not."
            )
        boxes_of[annotation["image_id"]].append(annotation)
    return boxes_of


def _relative(image: dict[str, Any]) -> PurePosixPath:
    return PurePosixPath(str(image["file_name"]).replace("\\", "/"))  # which Windows tools write


def _path_of(image: dict[str, Any], folder: Path, ann_file: Path, known: Mapping[str, int]) -> Path:
    relative = _relative(image)
    # Some tools write the folders of another machine. An image of the same name in another folder is another one.
    beside = folder / relative.name
    if relative.name and known[relative.name] == 1 and os.path.isfile(beside):
        inside = folder / relative.relative_to(relative.anchor) if relative.anchor else folder / relative
        if ".." in relative.parts or not os.path.isfile(inside):
            return beside
    # An untrusted file must not make other files of this disk be read.
    if relative.is_absolute() or ".." in relative.parts or PureWindowsPath(relative).drive:
        raise DataError(
            f"Expected the file names in {ann_file} to lie inside {folder}, but got {show(image['file_name'])}. "
            "Write them relative to the folder of the images."
        )
    return folder / relative


def _is_crowd(annotation: dict[str, Any], ann_file: Path) -> bool:
    value = annotation.get("iscrowd") or 0
    value = {"0": 0, "1": 1}.get(value, value) if isinstance(value, str) else value
    if value not in (0, 1):
        raise DataError(
            f"Expected iscrowd in {ann_file} to be 0 or 1, but got {show(value)}. Correct it, or leave it out."
        )
    return bool(value)


def _size_of(image: dict[str, Any], ann_file: Path) -> tuple[int, int] | None:
    sides: tuple[Any, Any] = (image.get("width"), image.get("height"))
    if not all(sides):
        return None
    try:
        width, height = (int(side) for side in sides)
    except (TypeError, ValueError, OverflowError) as error:  # infinity overflows
        raise DataError(
            f"Expected the width and height of the images in {ann_file} to be numbers of pixels, but got "
            f"{' and '.join(map(show, sides))}. Correct them, or leave them out."
        ) from error
    return (width, height)


def _check_files(images: list[Path], folder: Path, ann_file: Path) -> None:
    if not images:
        raise DataError(f"Expected at least one image in {ann_file}, but it lists none.")
    missing = [image for image in images if not os.path.isfile(image)]
    if missing:
        raise DataError(
            f"Expected the images of {ann_file} in {folder}, but {len(missing)} of {len(images)} are missing, such as "
            f"{show_path(missing[0])}. Check the folder."
        )

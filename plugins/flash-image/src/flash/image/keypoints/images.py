"""Images with the points of each object: from COCO files, and from arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flash.data.messages import show
from flash.errors import ConfigurationError, DataError

from ..detection.boxes import AnnotatedImage, BoxFormat, read_boxes
from ..detection.coco import CocoImage, crowds_of, read_annotations
from ..detection.exif import upright_size
from .names import read_keypoints, read_skeleton

__all__ = ["KeypointImage", "boxes_around", "read_coco_keypoints", "read_objects", "read_points"]

# A box around points is larger than they span by this share of its longer side, and by a pixel at least.
_MARGIN = 0.1


@dataclass(frozen=True)
class KeypointImage(AnnotatedImage):
    """An image with boxes, and the points of the object in each.

    Args:
        points: x, y and visibility of the points, shape ``(boxes, points, 3)``: x and y in pixels, as the edges of
            boxes; 0 for a point that is not annotated, 1 for one that is hidden, and 2 for one that can be seen.
        areas: The area of each object in pixels, shape ``(boxes,)``; by default that of its box.
    """

    points: Tensor | None = None
    areas: Tensor | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.points is None or len(self.points) != len(self.boxes):
            raise DataError(
                f"Expected the points of each object, but {self.name} has {len(self.labels)} objects and the points "
                f"of {0 if self.points is None else len(self.points)}."
            )
        if self.areas is None:
            object.__setattr__(self, "areas", (self.boxes[:, 2:] - self.boxes[:, :2]).prod(1))

    def of_objects(self, kept: Tensor) -> dict[str, Any]:
        """Return what belongs to some of the objects, by the names of the fields."""
        assert self.points is not None
        assert self.areas is not None
        return {**super().of_objects(kept), "points": self.points[kept], "areas": self.areas[kept]}


def read_coco_keypoints(
    folder: str | Path, ann_file: str | Path
) -> tuple[list[KeypointImage], list[str], list[str] | None, list[Any]]:
    """Read the images of a folder with the points in a COCO file (https://cocodataset.org/#format-data).

    Args:
        folder: The folder that the file names of the images are relative to.
        ann_file: The JSON file with ``images``, ``annotations`` and ``categories``.

    Returns:
        The images, the names of the categories, the names of the points, ``None`` if the file has none, and the pairs
        of points that are connected, by their numbers from 0.

    Raises:
        DataError: If the file is not a COCO file, refers to a missing image or category, its categories have different
            points, or points are malformed.
    """
    found, names, categories = read_annotations(folder, ann_file, "keypoints")
    named = [each for each in categories if each.get("keypoints")]
    for each in named:
        if each["keypoints"] != named[0]["keypoints"]:
            raise DataError(
                f"Expected the categories in {ann_file} to have the same keypoints, since the network finds as many "
                f"for each object, but {show(named[0]['name'])} has {show(named[0]['keypoints'])} and "
                f"{show(each['name'])} has {show(each['keypoints'])}. Train a task for each of them."
            )
    points, skeleton = _structure_of(named[0], ann_file) if named else (None, [])
    images = [_of_coco(image, ann_file, None if points is None else len(points)) for image in found]
    return images, names, points, skeleton


def _structure_of(category: dict[str, Any], ann_file: str | Path) -> tuple[list[str], list[list[int]]]:
    """Return the names of the points of a category, and the pairs that are connected, by their numbers from 0."""
    try:
        points = read_keypoints(category["keypoints"])
        if isinstance(points, int):
            raise TypeError(f"got the number {points}")
        pairs = [[end - 1 for end in pair] for pair in (category.get("skeleton") or [])]
        return points, read_skeleton(pairs, points)
    except (ConfigurationError, TypeError) as error:
        raise DataError(
            f"Expected the categories in {ann_file} to have the names of keypoints, and a skeleton of pairs of their "
            f"numbers from 1, but they are malformed: {error}. Correct them, as in COCO's person_keypoints_*.json."
        ) from error


def _of_coco(image: CocoImage, ann_file: str | Path, count: int | None) -> KeypointImage:
    name = str(image.path)
    rows = []
    for each in image.annotations:
        values = each["keypoints"]
        expected = count if count is not None else len(values) // 3 if isinstance(values, list) else 0
        # A crowd, or an object whose points nobody looked for, may have none.
        values = [0] * 3 * expected if values in ([], None) else values
        if not isinstance(values, list) or len(values) != 3 * expected:
            raise DataError(
                f"Expected x, y and visibility of {expected} keypoints for each object of {name} in {ann_file}, but "
                f"got {show(each['keypoints'])}. Correct it."
            )
        rows.append([values[start : start + 3] for start in range(0, len(values), 3)])
    points = read_points(rows, name)
    if all("bbox" in each for each in image.annotations):
        boxes = read_boxes([each["bbox"] for each in image.annotations], "xywh", name)
    else:
        boxes = boxes_around(points, name)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    for row, each in enumerate(image.annotations):
        area = each.get("area")
        if isinstance(area, int | float) and not isinstance(area, bool) and 0 < area < float("inf"):
            areas[row] = area
    return KeypointImage(
        image.path,
        boxes,
        image.labels,
        crowd=crowds_of(image, ann_file),
        size=image.size,
        name=name,
        points=points,
        areas=areas,
    )


def read_objects(
    source: Any, labels: Sequence[Any], points: Any, boxes: Any, name: str, bbox_format: BoxFormat = "xyxy"
) -> KeypointImage:
    """Return an image with the points of its objects.

    Args:
        source: The image, as for :func:`flash.image.read.open_image`.
        labels: The class of each object.
        points: The points of the objects, as for :func:`read_points`.
        boxes: The box of each object, as for :func:`flash.image.detection.boxes.read_boxes`; ``None`` for boxes around
            the points.
        name: The name of the image in messages.
        bbox_format: The meaning of the four numbers of a box.

    Raises:
        DataError: If there are not as many labels, points and boxes, or they are malformed.

    Example:
        >>> image = torch.zeros(3, 40, 40, dtype=torch.uint8)
        >>> read_objects(image, ["cat"], [[[10, 20], [30, 24]]], None, "photo").boxes
        tensor([[ 8., 18., 32., 26.]])
    """
    read = read_points(points, name)
    if len(read) != len(labels):
        raise DataError(
            f"Expected the points of each object, but {name} has {len(labels)} labels and the points of {len(read)} "
            "objects. Pass an empty list of both for an image without objects."
        )
    own = boxes_around(read, name) if boxes is None else read_boxes(boxes, bbox_format, name)
    return KeypointImage(source, own, tuple(labels), size=upright_size(source), name=name, points=read)


def read_points(points: Any, name: str) -> Tensor:
    """Return x, y and visibility of the points of objects, shape ``(objects, points, 3)``.

    Args:
        points: An array of shape ``(objects, points, 2)``, x and y in pixels, or ``(objects, points, 3)`` with a
            visibility: 0 for a point that is not annotated, 1 for one that is hidden, 2 for one that can be seen.
            Points with NaN are not annotated.
        name: The name of the image in messages.

    Raises:
        DataError: If it is of another shape, or has another visibility or infinite numbers.

    Example:
        >>> read_points([[[10, 20], [float("nan"), 0]]], "photo")
        tensor([[[10., 20.,  2.],
                 [ 0.,  0.,  0.]]])
    """
    try:
        given = torch.as_tensor(points, dtype=torch.float32, device="cpu")
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise DataError(
            f"Expected x and y of as many points for each object of {name}, but got {show(points)}."
        ) from error
    if not given.numel():
        return torch.zeros(len(given) if given.ndim == 3 else 0, given.shape[1] if given.ndim == 3 else 0, 3)
    if given.ndim != 3 or given.shape[2] not in (2, 3):
        raise DataError(
            f"Expected the points of {name} to be of shape (objects, points, 2), x and y, or (objects, points, 3), "
            f"with visibility, but got {tuple(given.shape)}."
        )
    missing = given.isnan().any(-1)
    seen = given[..., 2] if given.shape[2] == 3 else torch.full(missing.shape, 2.0)
    seen = seen.masked_fill(missing, 0)
    if not torch.isin(seen, torch.tensor([0.0, 1.0, 2.0])).all():
        wrong = seen[~torch.isin(seen, torch.tensor([0.0, 1.0, 2.0]))][0].item()
        raise DataError(
            f"Expected the visibility of points to be 0 (not annotated), 1 (hidden) or 2 (seen), but {name} has "
            f"{wrong}. Correct it, or leave visibilities out."
        )
    places = given[..., :2].masked_fill((seen == 0)[..., None], 0)
    if not places.isfinite().all():
        raise DataError(f"Expected the points of {name} to be finite numbers. Write NaN for a point that is missing.")
    return torch.cat([places, seen[..., None]], dim=-1)


def boxes_around(points: Tensor, name: str) -> Tensor:
    """Return a box around the annotated points of each object, with a margin, shape ``(objects, 4)``.

    Args:
        points: x, y and visibility, shape ``(objects, points, 3)``.
        name: The name of the image in messages.

    Raises:
        DataError: If an object has no annotated point.
    """
    boxes = torch.zeros(len(points), 4)
    for row, of_object in enumerate(points):
        places = of_object[of_object[:, 2] > 0, :2]
        if not len(places):
            raise DataError(
                f"Expected a point, or a box, for each object, but object {row} of {name} has neither. Add its box, or "
                "leave it out."
            )
        low, high = places.amin(0), places.amax(0)
        margin = max(1.0, _MARGIN * float((high - low).max()))
        boxes[row] = torch.cat([low - margin, high + margin])
    return boxes

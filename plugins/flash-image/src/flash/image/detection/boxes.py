"""Boxes: parse annotations to tensors of corners, check them, and clip them to the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from flash.data.messages import show
from flash.errors import ConfigurationError, DataError

__all__ = [
    "AnnotatedImage",
    "BoxFormat",
    "fit_boxes",
    "read_boxes",
    "show_path",
    "upright_boxes",
]

BoxFormat = Literal["xyxy", "xywh"]
Size = tuple[int, int]

# In pixels. Annotation tools round differently: boxes that exceed the image by less are clipped without being counted.
_TOLERANCE = 1.0
# The largest edge, as of a tensor.
_MAX_EDGE = torch.finfo(torch.float32).max


@dataclass(frozen=True)
class AnnotatedImage:
    """An image that is not decoded yet, with its annotations.

    Args:
        source: The image, as for :func:`flash.image.read.open_image`.
        boxes: Left, top, right and bottom edge in pixels, shape ``(boxes, 4)``.
        labels: The class of each box.
        crowd: Mask of the boxes that contain an unknown number of objects, shape ``(boxes,)``; by default none. They
            are ignored in training and in metrics.
        difficult: Mask of the boxes that are used in training, but ignored in metrics, shape ``(boxes,)``; by default
            none.
        size: Width and height, in pixels, of the image that was annotated; ``None`` if unknown.
        name: The name of the image in messages.
    """

    source: Any
    boxes: Tensor
    labels: tuple[Any, ...]
    crowd: Tensor | None = None
    difficult: Tensor | None = None
    size: tuple[int, int] | None = None
    name: str = "an image"

    def __post_init__(self) -> None:
        for flags in ("crowd", "difficult"):
            if getattr(self, flags) is None:
                object.__setattr__(self, flags, torch.zeros(len(self.boxes), dtype=torch.bool))
        if len(self.labels) != len(self.boxes):
            raise DataError(
                f"Expected one label per box, but {self.name} has {len(self.boxes)} boxes and {len(self.labels)} "
                "labels."
            )

    def ignored(self, training: bool) -> Tensor:
        """Return the mask of boxes ignored in training, or with ``training=False`` in metrics, shape ``(boxes,)``."""
        assert self.crowd is not None
        assert self.difficult is not None
        return self.crowd if training else self.crowd | self.difficult

    def fitted(self) -> tuple[AnnotatedImage, int, int]:
        """Clip the boxes to the image, if its size is known; return it with the counts of clipped and dropped ones."""
        if self.size is None:
            return self, 0, 0
        boxes, kept, clipped = fit_boxes(self.boxes, self.size)
        return replace(self, boxes=boxes, **self.of_objects(kept)), clipped, len(kept) - len(boxes)

    def of_objects(self, kept: Tensor) -> dict[str, Any]:
        """Return what belongs to some of the objects besides their boxes, by the names of the fields.

        Args:
            kept: The mask of these objects, shape ``(boxes,)``.
        """
        assert self.crowd is not None
        assert self.difficult is not None
        labels = tuple(label for label, keep in zip(self.labels, kept.tolist(), strict=True) if keep)
        return {"labels": labels, "crowd": self.crowd[kept], "difficult": self.difficult[kept]}


def read_boxes(boxes: Any, bbox_format: BoxFormat = "xyxy", name: str = "an image") -> Tensor:
    """Return boxes as left, top, right and bottom edge in pixels, shape ``(boxes, 4)``.

    Args:
        boxes: An array or tensor of shape ``(boxes, 4)``, or a list of four numbers each, or of dicts with ``xmin``,
            ``ymin`` and either ``xmax`` and ``ymax`` or ``width`` and ``height``; may be empty.
        bbox_format: The meaning of four numbers: ``"xyxy"`` (left, top, right, bottom) or ``"xywh"`` (left, top,
            width, height).
        name: The name of the image in messages.

    Raises:
        ConfigurationError: If there is no such format.
        DataError: If a box does not have four finite numbers, or its right or bottom edge comes first.

    Example:
        >>> read_boxes([[10, 20, 30, 40]], "xywh")
        tensor([[10., 20., 40., 60.]])
        >>> read_boxes([{"xmin": 10, "ymin": 20, "width": 30, "height": 40}])
        tensor([[10., 20., 40., 60.]])
    """
    if bbox_format not in ("xyxy", "xywh"):
        raise ConfigurationError(f"Expected bbox_format to be 'xyxy' or 'xywh', but got {bbox_format!r}.")
    rows = boxes.tolist() if isinstance(boxes, Tensor | np.ndarray) else boxes
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        raise DataError(f"Expected a list of boxes of four numbers each for {name}, but got {show(boxes)}.")
    corners = [_corners(row, bbox_format, name) for row in rows]
    return torch.tensor(corners, dtype=torch.float32).reshape(-1, 4)


def _corners(box: Any, bbox_format: BoxFormat, name: str) -> list[float]:
    if isinstance(box, Mapping):
        bbox_format = "xywh" if "width" in box else "xyxy"
        last = ("width", "height") if bbox_format == "xywh" else ("xmax", "ymax")
        box = [box.get(key) for key in ("xmin", "ymin", *last)]
    try:
        left, top, right, bottom = (float(number) for number in box)
    except (TypeError, ValueError, OverflowError) as error:  # an integer of hundreds of digits overflows
        raise DataError(
            f"Expected each box to be four numbers in pixels, {_MEANING[bbox_format]}, but {name} has the box "
            f"{show(box)}."
        ) from error
    if bbox_format == "xywh":
        right, bottom = left + right, top + bottom
    if not all(abs(edge) <= _MAX_EDGE for edge in (left, top, right, bottom)):
        raise DataError(f"Expected the edges of boxes to be finite numbers, but {name} has the box {show(box)}.")
    if right < left or bottom < top:
        hint = " Pass bbox_format='xywh' if these are left, top, width, height." if bbox_format == "xyxy" else ""
        raise DataError(
            f"Expected each box to be {_MEANING[bbox_format]}, but the box {show(box)} of {name} ends before it starts."
            f"{hint}"
        )
    return [left, top, right, bottom]


_MEANING = {"xyxy": "(left, top, right, bottom)", "xywh": "(left, top, width, height)"}


def fit_boxes(boxes: Tensor, size: Size) -> tuple[Tensor, Tensor, int]:
    """Clip boxes to the image, and drop those without an area inside it.

    Args:
        boxes: Corners in pixels, shape ``(boxes, 4)``.
        size: Width and height of the image, in pixels.

    Returns:
        The remaining boxes, the mask of these among ``boxes``, and how many were clipped by more than a pixel.

    Example:
        >>> fit_boxes(torch.tensor([[-5.0, 0, 5, 5], [20, 20, 30, 30], [3, 3, 3, 9]]), (10, 10))
        (tensor([[0., 0., 5., 5.]]), tensor([ True, False, False]), 1)
    """
    limit = torch.tensor([*size, *size], dtype=boxes.dtype)
    inside = boxes.clamp(min=0).minimum(limit)
    kept = (inside[:, 2] > inside[:, 0]) & (inside[:, 3] > inside[:, 1])
    clipped = ((inside - boxes).abs() > _TOLERANCE).any(dim=1) & kept
    return inside[kept], kept, int(clipped.sum())


def upright_boxes(boxes: Tensor, annotated_size: Size | None, size: Size, orientation: int, name: str) -> Tensor:
    """Return boxes in the coordinates of the upright image.

    A camera that is held sideways stores a rotated image, with its orientation in EXIF. Annotation tools draw boxes
    either on the upright image or on the stored one; the size in the annotation shows which.

    Args:
        boxes: Corners in pixels, shape ``(boxes, 4)``.
        annotated_size: Width and height in the annotation; if ``None``, the boxes are those of the upright image.
        size: Width and height of the upright image.
        orientation: The orientation in EXIF, 1 (upright) to 8.
        name: The name of the image in messages.

    Raises:
        DataError: If the annotated image had another size.

    Example:
        >>> upright_boxes(torch.tensor([[0.0, 0, 10, 20]]), (100, 50), (50, 100), 6, "photo.jpg")
        tensor([[30.,  0., 50., 10.]])
    """
    if annotated_size is None or annotated_size == size:
        return boxes
    if annotated_size != size[::-1]:
        raise DataError(
            f"Expected {name} to be {annotated_size[0]} x {annotated_size[1]} pixels, as its annotation says, but it "
            f"is {size[0]} x {size[1]}: the boxes would be in wrong places. Use the images that were annotated."
        )
    if orientation < 5:
        # The image is not rotated: the annotation has width and height in the wrong order.
        return boxes
    left, top, right, bottom = boxes.unbind(1)
    width, height = size
    rotated = {
        5: (top, left, bottom, right),
        6: (width - bottom, left, width - top, right),
        7: (width - bottom, height - right, width - top, height - left),
        8: (top, height - right, bottom, height - left),
    }
    return torch.stack(rotated[orientation], dim=1)


def show_path(path: object) -> str:
    """Return a path that an annotation names for messages: without control characters, and truncated.

    Example:
        >>> show_path("folder/photo.jpg")
        'folder/photo.jpg'
    """
    return show(str(path))[1:-1]

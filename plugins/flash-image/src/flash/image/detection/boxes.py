"""Boxes: what users write becomes a tensor of corners, which is checked and fitted to the image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from flash.errors import ConfigurationError, DataError

__all__ = ["AnnotatedImage", "BoxFormat", "fit_boxes", "read_boxes", "upright_boxes"]

BoxFormat = Literal["xyxy", "xywh"]
Size = tuple[int, int]

# Tools round differently: what sticks out by less is cut off without a word.
_TOLERANCE = 1.0


@dataclass(frozen=True)
class AnnotatedImage:
    """An image that is not decoded yet, with what is marked in it.

    Args:
        source: What :func:`flash.image.read.open_image` takes.
        boxes: Left, top, right and bottom edge in pixels, shape ``(boxes, 4)``.
        labels: The class of each box.
        crowd: Which boxes stand for many things that nobody counted: not to be learned from, and no mistake when
            something is found there, shape ``(boxes,)``; by default none.
        difficult: Which boxes are to be learned from, but need not be found, shape ``(boxes,)``; by default none.
        size: Width and height, in pixels, of the image that the boxes were drawn on; ``None`` where nobody says.
        name: What error messages call the image.
    """

    source: Any
    boxes: Tensor
    labels: tuple[Any, ...]
    crowd: Tensor | None = None
    difficult: Tensor | None = None
    size: Size | None = None
    name: str = "an image"

    def __post_init__(self) -> None:
        for flags in ("crowd", "difficult"):
            if getattr(self, flags) is None:
                object.__setattr__(self, flags, torch.zeros(len(self.boxes), dtype=torch.bool))
        if len(self.labels) != len(self.boxes):
            raise DataError(
                f"Expected one label a box, but {self.name} has {len(self.boxes)} boxes and {len(self.labels)} labels."
            )

    def not_counted(self, training: bool) -> Tensor:
        """Which boxes are left out of training, or with ``training=False`` of the score, shape ``(boxes,)``."""
        assert self.crowd is not None
        assert self.difficult is not None
        return self.crowd if training else self.crowd | self.difficult

    def fitted(self) -> tuple[AnnotatedImage, int, int]:
        """Fit the boxes to the size, if it is known; say how many were cut, and how many left out."""
        if self.size is None:
            return self, 0, 0
        boxes, kept, cut = fit_boxes(self.boxes, self.size)
        assert self.crowd is not None
        assert self.difficult is not None
        labels = tuple(label for label, keep in zip(self.labels, kept.tolist(), strict=True) if keep)
        fitted = replace(self, boxes=boxes, labels=labels, crowd=self.crowd[kept], difficult=self.difficult[kept])
        return fitted, cut, len(kept) - len(boxes)


def read_boxes(boxes: Any, bbox_format: BoxFormat = "xyxy", name: str = "an image") -> Tensor:
    """Return boxes as left, top, right and bottom edge in pixels, shape ``(boxes, 4)``.

    Args:
        boxes: An array or tensor of shape ``(boxes, 4)``, or a list of four numbers each, or of dicts with ``xmin``,
            ``ymin`` and either ``xmax`` and ``ymax`` or ``width`` and ``height``. An empty list has no boxes.
        bbox_format: What four numbers are: ``"xyxy"`` (left, top, right, bottom) or ``"xywh"`` (left, top, width,
            height).
        name: What error messages call the image.

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
        raise DataError(f"Expected a list of boxes of four numbers each for {name}, but got {boxes!r}.")
    corners = [_corners(row, bbox_format, name) for row in rows]
    return torch.tensor(corners, dtype=torch.float32).reshape(-1, 4)


def _corners(box: Any, bbox_format: BoxFormat, name: str) -> list[float]:
    if isinstance(box, Mapping):
        bbox_format = "xywh" if "width" in box else "xyxy"
        last = ("width", "height") if bbox_format == "xywh" else ("xmax", "ymax")
        box = [box.get(key) for key in ("xmin", "ymin", *last)]
    try:
        left, top, right, bottom = (float(number) for number in box)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"Expected each box to be four numbers in pixels, {_MEANING[bbox_format]}, but {name} has the box {box!r}."
        ) from error
    if bbox_format == "xywh":
        right, bottom = left + right, top + bottom
    if not all(map(math.isfinite, (left, top, right, bottom))):
        raise DataError(f"Expected the edges of boxes to be finite numbers, but {name} has the box {box!r}.")
    if right < left or bottom < top:
        hint = " Pass bbox_format='xywh' if these are left, top, width, height." if bbox_format == "xyxy" else ""
        raise DataError(
            f"Expected each box to be {_MEANING[bbox_format]}, but the box {box!r} of {name} ends before it starts."
            f"{hint}"
        )
    return [left, top, right, bottom]


_MEANING = {"xyxy": "(left, top, right, bottom)", "xywh": "(left, top, width, height)"}


def fit_boxes(boxes: Tensor, size: Size) -> tuple[Tensor, Tensor, int]:
    """Cut boxes at the edges of the image, and leave out what has no area inside it.

    Args:
        boxes: Corners in pixels, shape ``(boxes, 4)``.
        size: Width and height of the image, in pixels.

    Returns:
        The boxes that are left, which of the boxes these are, and how many were cut visibly.

    Example:
        >>> fit_boxes(torch.tensor([[-5.0, 0, 5, 5], [20, 20, 30, 30], [3, 3, 3, 9]]), (10, 10))
        (tensor([[0., 0., 5., 5.]]), tensor([ True, False, False]), 1)
    """
    limit = torch.tensor([*size, *size], dtype=boxes.dtype)
    inside = boxes.clamp(min=0).minimum(limit)
    kept = (inside[:, 2] > inside[:, 0]) & (inside[:, 3] > inside[:, 1])
    cut = ((inside - boxes).abs() > _TOLERANCE).any(dim=1) & kept
    return inside[kept], kept, int(cut.sum())


def upright_boxes(boxes: Tensor, drawn_on: Size | None, image: Size, orientation: int, name: str) -> Tensor:
    """Return boxes as they lie on the upright image.

    A camera that is held on its side stores a lying image and notes in EXIF how to turn it. Annotation tools draw
    boxes either on the upright image or on the stored one; the size that they note with the boxes tells which.

    Args:
        boxes: Corners in pixels, shape ``(boxes, 4)``.
        drawn_on: Width and height that were noted with the boxes; without them, boxes belong to the upright image.
        image: Width and height of the upright image.
        orientation: What EXIF says, 1 to 8; 1 is upright.
        name: What error messages call the image.

    Raises:
        DataError: If the boxes were drawn on an image of another size.

    Example:
        >>> upright_boxes(torch.tensor([[0.0, 0, 10, 20]]), (100, 50), (50, 100), 6, "photo.jpg")
        tensor([[30.,  0., 50., 10.]])
    """
    if drawn_on is None or drawn_on == image:
        return boxes
    if drawn_on != image[::-1]:
        raise DataError(
            f"Expected {name} to be {drawn_on[0]} x {drawn_on[1]} pixels, as its annotation says, but it is "
            f"{image[0]} x {image[1]}: the boxes would be in wrong places. Use the images that were annotated."
        )
    if orientation < 5:
        # Nothing turns this image: width and height were noted in the wrong order.
        return boxes
    left, top, right, bottom = boxes.unbind(1)
    width, height = image
    turned = {
        5: (top, left, bottom, right),
        6: (width - bottom, left, width - top, right),
        7: (width - bottom, height - right, width - top, height - left),
        8: (top, height - right, bottom, height - left),
    }
    return torch.stack(turned[orientation], dim=1)

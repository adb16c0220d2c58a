"""Masks of objects, each of the part of an image in a box, drawn in the size of the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from flash.errors import DataError

from .sizes import upright_size_of

__all__ = ["DrawnObjects"]


class DrawnObjects(Sequence[Any]):
    """The masks of the objects of each image, in its size, drawn when they are read: they are large.

    Args:
        images: For each image its file, the edges of each box in pixels, and the masks in the boxes, or their files.
    """

    def __init__(self, images: list[tuple[str, list[list[float]], list[Any]]]) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: Any) -> Any:
        file, boxes, parts = self._images[index]
        width, height = upright_size_of(Path(file)) if boxes else (1, 1)
        masks = np.zeros((len(boxes), height, width), np.bool_)
        for mask, box, part in zip(masks, boxes, parts, strict=True):
            _draw(mask, box, _pixels(part, file))
        return masks

    def __iter__(self) -> Iterator[Any]:
        return (self[row] for row in range(len(self)))


def _pixels(part: Any, file: str) -> npt.NDArray[np.bool_]:
    if isinstance(part, Path):
        try:
            with Image.open(part) as image:
                part = np.asarray(image)
        except (OSError, ValueError) as error:
            raise DataError(f"Expected an image as the mask of an object, but {part} is none: {error}.") from error
    found = np.asarray(part)
    if found.ndim != 2 or not found.size:
        raise DataError(
            f"Expected masks of objects of shape (height, width), but one in the sample of {file} has {found.shape}."
        )
    drawn: npt.NDArray[np.bool_] = found != 0
    return drawn


def _draw(mask: npt.NDArray[np.bool_], box: Sequence[float], part: npt.NDArray[np.bool_]) -> None:
    """Set the pixels of an object, whose part of the image is in a box of edges in pixels."""
    left, top, right, bottom = (round(edge) for edge in box)
    wide, tall = max(1, right - left), max(1, bottom - top)
    # An edge between two pixels is rounded here in another way than there.
    if max(abs(part.shape[1] - wide), abs(part.shape[0] - tall)) > 1:
        part = np.asarray(Image.fromarray(part).resize((wide, tall), Image.Resampling.NEAREST))
    inside = part[max(0, -top) : mask.shape[0] - top, max(0, -left) : mask.shape[1] - left]
    top, left = max(0, top), max(0, left)
    mask[top : top + inside.shape[0], left : left + inside.shape[1]] = inside

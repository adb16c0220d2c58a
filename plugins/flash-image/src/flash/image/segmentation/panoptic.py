"""Masks of COCO's panoptic files: images whose colors are the ids of segments, each of one class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flash.data.messages import show_some
from flash.errors import DataError

__all__ = ["PanopticMask"]


@dataclass(frozen=True)
class PanopticMask:
    """The segments of an image, which become a mask.

    Args:
        path: The PNG file, whose pixels are ids of segments: red + 256 green + 256² blue; 0 where there is none.
        classes: The class index of each segment, by its id.
        unlabeled: The value of pixels without a segment.
        name: The name of the image in messages.

    Example:
        >>> colors = np.array([[[7, 1, 0], [0, 0, 0]]], np.uint8)
        >>> PanopticMask("1.png", {7 + 256: 3}, 255, "1.jpg").decode(colors).tolist()
        [[3, 255]]
    """

    path: str | Path
    classes: Mapping[int, int] = field(repr=False)
    unlabeled: int
    name: str

    def decode(self, colors: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the class index of each pixel, shape ``(height, width)``.

        Args:
            colors: The pixels of the file, shape ``(height, width, 3)``.

        Raises:
            DataError: If a pixel has the id of no segment.
        """
        ids = colors.astype(np.int64) @ np.array([1, 256, 65536])
        pairs = sorted({**self.classes, 0: self.unlabeled}.items())
        known, values = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
        places = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        wrong = known[places] != ids
        if wrong.any():
            row, column = (int(each) for each in np.argwhere(wrong)[0])
            raise DataError(
                f"Expected the pixels of {self.path} to be the ids of segments of {self.name}, "
                f"{show_some(known[1:].tolist())}, or 0, but that of row {row} and column {column} has the id "
                f"{int(ids[row, column])} (red + 256 green + 256² blue), in {int(wrong.sum()):,} pixels. Add the "
                "segment to segments_info, or take the file that belongs to it."
            )
        smallest = np.uint8 if values.min() >= 0 and values.max() < 256 else np.int64
        return np.asarray(values.astype(smallest)[places])

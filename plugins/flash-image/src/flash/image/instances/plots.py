"""Masks of objects, drawn over an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgba

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_masks"]


def draw_masks(axis: Axes, masks: npt.NDArray[np.bool_], color: str) -> None:
    """Draw the pixels of objects over an image.

    Args:
        axis: The axis that the image is drawn on.
        masks: The pixels of each object, shape ``(objects, height, width)``.
        color: The color of the pixels.
    """
    drawn = masks.any(0)
    overlay = np.zeros((*drawn.shape, 4))
    overlay[drawn] = to_rgba(color, 0.45)
    axis.imshow(overlay)

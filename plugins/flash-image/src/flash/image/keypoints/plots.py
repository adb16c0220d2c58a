"""Points of objects, drawn over an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_points"]


def draw_points(axis: Axes, objects: Any, skeleton: Sequence[Sequence[int]], color: str, dashed: bool = False) -> None:
    """Draw the points of objects, and lines between those that are connected.

    Args:
        axis: The axis that the image is drawn on.
        objects: x and y of each point of each object, and optionally its visibility; points with 0 are left out.
        skeleton: The pairs of points that are connected.
        color: The color of points and lines.
        dashed: Whether to draw dashed lines and hollow points.
    """
    for points in np.asarray(objects, dtype=float):
        seen = points[:, 2] > 0 if points.shape[1] > 2 else np.ones(len(points), dtype=bool)
        # Matplotlib draws pixel 0 from -0.5 to 0.5.
        places = points[:, :2] - 0.5
        for pair in skeleton:
            if seen[list(pair)].all():
                axis.plot(*places[list(pair)].T, color=color, linewidth=1.2, linestyle="--" if dashed else "-")
        hollow: dict[str, Any] = {"markerfacecolor": "none"} if dashed else {}
        axis.plot(*places[seen].T, "o", color=color, markersize=4, **hollow)

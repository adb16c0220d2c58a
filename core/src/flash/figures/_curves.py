"""Learning curves: each metric per epoch, train beside validation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flash.errors import DataError
from flash.figures._style import COLORS, new_figure, shorten, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_curves"]

_COLUMNS, _MOST = 3, 12


def draw_curves(history: Sequence[Mapping[str, float]], heading: str = "") -> Figure:
    """Draw the metrics of a run per epoch, the loss first, train beside validation.

    Args:
        history: A dict for each epoch, with ``"epoch"``, counted from 0, and metrics such as ``"train_loss"`` and
            ``"val_accuracy"``. Epochs are drawn from 1.
        heading: A line above the figure.

    Returns:
        The figure, with one axes for each metric; of more than twelve, for the first twelve.

    Raises:
        DataError: If there are no metrics.

    Example:
        >>> history = [{"epoch": 0, "train_loss": 0.7, "val_loss": 0.6}, {"epoch": 1, "train_loss": 0.5}]
        >>> figure = draw_curves(history)
        >>> [line.get_xydata().tolist() for line in figure.axes[0].lines]
        [[[1.0, 0.7], [2.0, 0.5]], [[1.0, 0.6]]]
    """
    found = {name: None for epoch in history for name in epoch if name.startswith(("train_", "val_"))}
    names = sorted({name.partition("_")[2]: None for name in found}, key=lambda name: name != "loss")
    if not names:
        raise DataError("Expected metrics of at least one epoch to draw, but there are none. Train the task first.")
    if len(names) > _MOST:
        heading = f"{heading}{', ' if heading else ''}{_MOST} of {len(names)} metrics"
    shown = names[:_MOST]
    columns = min(_COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = new_figure(3.2 * columns, 2.5 * rows, heading)
    with style():
        from matplotlib.ticker import MaxNLocator

        for place, name in enumerate(shown):
            axes = figure.add_subplot(rows, columns, place + 1)
            for stage in ("train", "val"):
                points = [(each["epoch"] + 1, each[f"{stage}_{name}"]) for each in history if f"{stage}_{name}" in each]
                if points:
                    marker = "o" if len(points) < 3 else "None"
                    axes.plot(*zip(*points, strict=True), marker=marker, label=stage, color=COLORS[stage])
            axes.set_title(shorten(name, 36))
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            axes.grid(axis="y")
            axes.legend()
    return figure

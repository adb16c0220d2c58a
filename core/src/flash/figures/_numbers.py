"""Predicted numbers against the true ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flash.figures._style import COLORS, new_figure, shorten_name, style, write_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_numbers"]

# More points than this are counted in hexagons.
_MAX_POINTS = 3000
_COLUMNS, _MOST = 3, 9


def draw_numbers(targets: Any, predictions: Any, names: Sequence[str] | None = None, heading: str = "") -> Figure:
    """Draw predicted numbers against the true ones, with the line on which a perfect prediction is.

    Args:
        targets: The true numbers, shape ``(rows,)`` or ``(rows, numbers)``.
        predictions: The predicted numbers, of the same shape.
        names: The names of the numbers.
        heading: A line above the figure.

    Returns:
        The figure, with one axes for each number; of more than nine, for the first nine. A title says the RMSE, and R².

    Example:
        >>> figure = draw_numbers([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
        >>> figure.axes[0].get_title()
        'RMSE 0.5774, R² 0.500'
    """
    true = np.asarray(targets, dtype=float).reshape(len(targets), -1)
    predicted = np.asarray(predictions, dtype=float).reshape(true.shape)
    count = min(true.shape[1], _MOST)
    if count < true.shape[1]:
        heading = f"{heading}{', ' if heading else ''}{count} of {true.shape[1]} numbers"
    columns = min(_COLUMNS, count)
    rows = math.ceil(count / columns)
    figure = new_figure(3.4 * columns, 3.4 * rows, heading)
    with style():
        for place in range(count):
            axes = figure.add_subplot(rows, columns, place + 1)
            _draw_points(axes, true[:, place], predicted[:, place])
            name = "" if names is None else f"{shorten_name(names[place], 34)}\n"
            axes.set_title(f"{name}{_quality(true[:, place], predicted[:, place])}")
            axes.set(xlabel="true", ylabel="predicted")
    return figure


def _draw_points(axes: Any, true: Any, predicted: Any) -> None:
    known = np.isfinite(true) & np.isfinite(predicted)
    true, predicted = true[known], predicted[known]
    if not len(true):
        return
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if len(true) > _MAX_POINTS:
        axes.hexbin(true, predicted, gridsize=60, bins="log", mincnt=1, cmap="Blues", linewidths=0)
    else:
        alpha = min(1.0, max(0.25, 60 / len(true)))
        axes.plot(true, predicted, "o", color=COLORS["first"], alpha=alpha, markersize=3.5, markeredgewidth=0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4, prune="both"))
        axis.set_major_formatter(FuncFormatter(lambda value, _: write_number(value)))
    low, high = min(true.min(), predicted.min()), max(true.max(), predicted.max())
    axes.plot([low, high], [low, high], color=COLORS["note"], linewidth=0.8, linestyle="--")
    axes.grid()
    axes.set_aspect("equal", adjustable="datalim")


def _quality(true: Any, predicted: Any) -> str:
    errors = np.square(predicted - true)
    spread = np.square(true - true.mean()).sum()
    r2 = f", R² {1 - errors.sum() / spread:.3f}" if spread else ""
    return f"RMSE {write_number(math.sqrt(errors.mean()))}{r2}"

"""Confusion matrices: of classes, and of each of several labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flash.figures._style import COLORS, SMALL, new_figure, set_labels, shorten_name, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_confusion"]

# More classes than this have no room for their names and counts.
_MAX_CLASSES = 20
_MAX_LABELS = 16
_CELL = 0.42


def draw_confusion(counts: Any, names: Sequence[str], heading: str = "") -> Figure:
    """Draw how many rows of each class were predicted as each, colored by the share of the true class.

    Of more than twenty classes, those that are confused most are drawn; the shares are still those of all predictions.

    Args:
        counts: Counts, shape ``(classes, classes)``, true by predicted; or of labels, shape ``(labels, 2, 2)``.
        names: The names of the classes or labels.
        heading: A line above the figure.

    Returns:
        The figure, with one axes; for labels, with one for each.

    Example:
        >>> figure = draw_confusion([[8, 2], [1, 9]], ["ants", "bees"])
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['8', '2', '1', '9']
    """
    array = np.asarray(counts)
    if array.ndim == 3:
        return _draw_labels(array, list(names), heading)
    chosen = most_confused(array, _MAX_CLASSES)
    if len(chosen) < len(array):
        heading = f"{heading}{', ' if heading else ''}the {len(chosen)} most confused of {len(array)} classes"
    shares = array / np.maximum(array.sum(1, keepdims=True), 1)
    shown = [names[place] for place in chosen]
    longest = max(min(len(name), 24) for name in shown)
    size = max(_CELL * len(chosen), 1.6)
    figure = new_figure(size + 0.8 + 0.07 * longest, size + 0.8 + 0.06 * longest, heading)
    with style():
        axes = figure.add_subplot()
        _draw_matrix(axes, array[np.ix_(chosen, chosen)], shares[np.ix_(chosen, chosen)])
        rotation = 0 if max(map(len, shown)) <= 5 else 45
        options: Any = {"rotation": rotation, "ha": "right", "rotation_mode": "anchor"} if rotation else {}
        set_labels(axes.xaxis, shown, **options)
        set_labels(axes.yaxis, shown)
        axes.set(xlabel="predicted", ylabel="true")
    return figure


def most_confused(counts: Any, most: int) -> list[int]:
    """Return the classes with the most wrong predictions of or as them, in their order; all of them if they are few."""
    wrong = np.array(counts, dtype=float)
    if len(wrong) <= most:
        return list(range(len(wrong)))
    np.fill_diagonal(wrong, 0)
    chosen: list[int] = []
    # Pairs and not single classes: a matrix of classes that are confused with others that are not drawn is empty.
    pairs = wrong + wrong.T
    for place in np.argsort(-np.triu(pairs), axis=None, kind="stable"):
        for each in divmod(int(place), len(wrong)):
            if each not in chosen and len(chosen) < most:
                chosen.append(each)
        if len(chosen) == most:
            break
    return sorted(chosen)


def _draw_labels(counts: Any, names: list[str], heading: str) -> Figure:
    wrong = counts[:, 0, 1] + counts[:, 1, 0]
    chosen = sorted(np.argsort(-wrong, kind="stable")[:_MAX_LABELS].tolist())
    if len(chosen) < len(names):
        heading = f"{heading}{', ' if heading else ''}the {len(chosen)} labels of {len(names)} with most mistakes"
    columns = min(4, len(chosen))
    rows = math.ceil(len(chosen) / columns)
    figure = new_figure(1.75 * columns + 0.2, 1.75 * rows, heading)
    with style():
        for place, label in enumerate(chosen):
            axes = figure.add_subplot(rows, columns, place + 1)
            matrix = counts[label]
            _draw_matrix(axes, matrix, matrix / np.maximum(matrix.sum(1, keepdims=True), 1))
            axes.set_title(shorten_name(names[label], 20))
            set_labels(axes.xaxis, ["no", "yes"])
            set_labels(axes.yaxis, ["no", "yes"])
            if place // columns == (len(chosen) - 1 - place % columns) // columns:
                axes.set_xlabel("predicted")
            if not place % columns:
                axes.set_ylabel("true")
    return figure


def _draw_matrix(axes: Any, counts: Any, shares: Any) -> None:
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(len(counts) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(counts) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="minor", length=0)
    size = SMALL if len(counts) > 8 or counts.max() > 9999 else 9
    for row, column in np.ndindex(counts.shape):
        if counts[row, column] or len(counts) <= 8:
            color = "white" if shares[row, column] > 0.55 else COLORS["text"]
            axes.text(
                column, row, _count(int(counts[row, column])), ha="center", va="center", color=color, fontsize=size
            )


def _count(count: int) -> str:
    return str(count) if count < 10_000 else f"{count / 1000:.0f}k"

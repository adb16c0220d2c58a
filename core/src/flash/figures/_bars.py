"""Scores per class, and the importance of the columns or parts of the inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flash.figures._style import COLORS, SMALL, new_figure, set_labels, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_importance", "draw_scores"]

# Classes or columns.
_MOST = 30
_LINE = 0.24


def draw_scores(scores: Sequence[Any], heading: str = "") -> Figure:
    """Draw precision, recall and F1 of each class, lowest F1 first, with the number of its rows.

    Of more than thirty classes, those with the lowest F1 are drawn.

    Args:
        scores: Objects with ``label``, ``precision``, ``recall``, ``f1`` and ``support``, such as
            :class:`flash.core.evaluation.ClassScores`; a score that is NaN is not drawn.
        heading: A line above the figure.

    Returns:
        The figure, with one axes.
    """
    rows = sorted(scores, key=lambda each: (math.isnan(each.f1), each.f1))
    shown = rows[:_MOST]
    if len(shown) < len(rows):
        heading = f"{heading}{', ' if heading else ''}the {len(shown)} lowest F1 of {len(rows)} classes"
    figure = new_figure(6.5, _LINE * len(shown) + 0.9, heading)
    with style():
        axes = figure.add_subplot()
        places = np.arange(len(shown))
        marks = (("precision", "first", "<"), ("recall", "second", ">"), ("f1", "text", "o"))
        for name, color, marker in marks:
            values = [getattr(each, name) for each in shown]
            label = "F1" if name == "f1" else name
            axes.plot(values, places, marker, color=COLORS[color], label=label, markersize=5, clip_on=False)
        axes.hlines(places, 0, 1, color=COLORS["line"], linewidth=0.6, zorder=0)
        set_labels(axes.yaxis, [each.label for each in shown])
        axes.set(xlim=(0, 1), ylim=(len(shown) - 0.5, -0.5))
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        for place, each in enumerate(shown):
            axes.annotate(
                *(f"{each.support:,}", (1, place)),
                xytext=(12, 0),
                textcoords="offset points",
                va="center",
                fontsize=SMALL,
                color=COLORS["note"],
            )
        axes.annotate(
            *("rows", (1, -0.5)),
            xytext=(12, 4),
            textcoords="offset points",
            fontsize=SMALL,
            color=COLORS["note"],
        )
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def draw_importance(
    names: Sequence[str], means: Sequence[float], deviations: Sequence[float], score: str, heading: str = ""
) -> Figure:
    """Draw how much a score depends on each column or part of the inputs, the most important first.

    Args:
        names: The names of the columns.
        means: The mean importance of each.
        deviations: The standard deviation of each, over repetitions.
        score: What the numbers are, such as ``"drop of accuracy"``.
        heading: A line above the figure.

    Returns:
        The figure, with one axes.

    Example:
        >>> figure = draw_importance(["age", "city"], [0.01, 0.2], [0.01, 0.02], "drop of accuracy")
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['city', 'age']
    """
    order = sorted(range(len(names)), key=lambda place: -means[place])
    shown = order[:_MOST]
    if len(shown) < len(order):
        heading = f"{heading}{', ' if heading else ''}the {len(shown)} most important of {len(order)}"
    figure = new_figure(6.5, _LINE * len(shown) + 0.7, heading)
    with style():
        axes = figure.add_subplot()
        values, spread = [means[place] for place in shown], [deviations[place] for place in shown]
        axes.barh(
            *(range(len(shown)), values),
            xerr=spread,
            height=0.65,
            color=COLORS["first"],
            capsize=2,
            error_kw={"ecolor": COLORS["text"], "elinewidth": 0.8},
        )
        axes.axvline(0, color=COLORS["note"], linewidth=0.8)
        set_labels(axes.yaxis, [names[place] for place in shown])
        axes.set(ylim=(len(shown) - 0.5, -0.5), xlabel=score)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
    return figure

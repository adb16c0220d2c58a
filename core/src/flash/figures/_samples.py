"""Samples beside predictions and truth: images in a grid, texts below each other, rows of a table as columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from flash.errors import ConfigurationError
from flash.figures._style import (
    COLORS,
    SMALL,
    hide_axes,
    new_figure,
    shorten,
    shorten_name,
    style,
    width_of,
    wrap,
    write_number,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Panel", "draw_samples"]

# Inches.
_CELL, _LETTER, _LINE, _TITLE, _MARGIN = 2.2, 0.0785, 0.155, 0.19, 0.12
_TEXT_WIDTH = 7.0
_MAX_LINES = 5
# Letters.
_MAX_TITLE, _MAX_NOTE = 26, 34
_NAME, _VALUE = 24, 16
# More columns of a table than this are left out.
_MAX_ROWS = 30
# Longer texts of a row are not drawn in a table.
_LONG = 40


@dataclass(frozen=True)
class Panel:
    """A sample of a figure.

    Args:
        content: What a person looks at: text, values by name, or an image as a uint8 array ``(height, width, 3)``.
        title: What is above it, such as a target or a prediction; where there is room, in several lines.
        mark: Whether the title is right or wrong, which colors it; ``""`` is neither.
        note: What is in small letters, such as a loss and in a second line a file name.
    """

    content: str | Mapping[str, Any] | np.ndarray[Any, Any]
    title: str = ""
    mark: Literal["right", "wrong", ""] = ""
    note: str = ""

    @property
    def color(self) -> str:
        """The color of the title."""
        return COLORS[self.mark or "text"]


def draw_samples(panels: Sequence[Panel], heading: str = "", *, columns: int | None = None) -> Figure:
    """Draw samples, each with its title and note.

    Images are drawn in a grid; texts below each other, wrapped and cut after five lines; dicts of values as a table
    with a column for each sample, or as texts if they hold long ones.

    Args:
        panels: The samples.
        heading: A line above the figure.
        columns: The number of images in a row; by default about as many as rows.

    Returns:
        The figure; ``figure.axes`` has one entry per sample, in order.

    Raises:
        ConfigurationError: If there are no samples.

    Example:
        >>> figure = draw_samples([Panel({"age": 22}, "yes", "right"), Panel({"age": 5}, "no", "wrong")])
        >>> [axes.get_title() for axes in figure.axes]
        ['yes', 'no']
    """
    if not panels:
        raise ConfigurationError("Expected at least one sample to draw, but got none.")
    contents = [panel.content for panel in panels]
    if all(isinstance(content, np.ndarray) for content in contents):
        return _draw_images(panels, heading, columns)
    if all(isinstance(content, Mapping) and not _has_long_text(content) for content in contents):
        return _draw_table(panels, heading)
    return _draw_texts(panels, heading)


def _has_long_text(content: Any) -> bool:
    return any(isinstance(value, str) and width_of(value) > _LONG for value in content.values())


def _on_one_line(note: str) -> str:
    return " · ".join(note.splitlines())


# ---------------------------------------------------------------------- images


def _draw_images(panels: Sequence[Panel], heading: str, columns: int | None) -> Figure:
    columns = columns or math.ceil(math.sqrt(len(panels)))
    rows = math.ceil(len(panels) / columns)
    shapes = [np.asarray(panel.content).shape[:2] for panel in panels]
    ratio = float(np.median([height / width for height, width in shapes]))
    has_notes = any(panel.note for panel in panels)
    tall = _CELL * min(max(ratio, 0.5), 2.0) + (0.45 if has_notes else 0.3)
    figure = new_figure(_CELL * columns, tall * rows, heading)
    with style():
        for place, panel in enumerate(panels):
            axes = figure.add_subplot(rows, columns, place + 1)
            axes.imshow(panel.content)  # type: ignore[arg-type]  # an array
            axes.set_title(shorten(panel.title, _MAX_TITLE), color=panel.color)
            hide_axes(axes)
            if has_notes:
                axes.set_xlabel(
                    shorten(_on_one_line(panel.note), _MAX_NOTE), fontsize=SMALL, color=COLORS["note"], labelpad=2
                )
    return figure


# ---------------------------------------------------------------------- texts


def _draw_texts(panels: Sequence[Panel], heading: str) -> Figure:
    letters = int((_TEXT_WIDTH - 2 * _MARGIN) / _LETTER)
    texts = [_lines_of(panel.content, letters) for panel in panels]
    heights = [_TITLE + len(lines) * _LINE + _MARGIN for lines in texts]
    width, total = _TEXT_WIDTH, sum(heights) + _MARGIN
    figure = new_figure(width, total, heading, layout=None)
    whole = figure.get_size_inches()[1]
    with style():
        top = total - _MARGIN / 2
        for panel, lines, height in zip(panels, texts, heights, strict=True):
            top -= height
            box = (_MARGIN / width, top / whole, 1 - 2 * _MARGIN / width, (height - _TITLE - _MARGIN / 2) / whole)
            axes = figure.add_axes(box)
            hide_axes(axes)
            note = shorten(_on_one_line(panel.note), _MAX_NOTE)
            room = (letters - width_of(note)) * 0.88 - 2  # in bold letters
            axes.set_title(shorten(panel.title, room), loc="left", color=panel.color, pad=3, fontweight="bold")
            axes.set_title(note, loc="right", color=COLORS["note"], fontsize=SMALL, pad=3)
            axes.text(0, 1, "\n".join(lines), va="top", transform=axes.transAxes, linespacing=1.25)
    return figure


def _lines_of(content: Any, letters: int) -> list[str]:
    if isinstance(content, np.ndarray):
        return [f"an image of {content.shape[1]} × {content.shape[0]} pixels"]  # noqa: RUF001  # a multiplication sign
    if isinstance(content, Mapping):
        parts = [f"{name}: {_shown(value)}" for name, value in content.items()]
        return [line for part in parts[:_MAX_ROWS] for line in wrap(part, letters, _MAX_LINES - 1)]
    return wrap(content, letters, _MAX_LINES)


# ---------------------------------------------------------------------- tables


def _draw_table(panels: Sequence[Panel], heading: str) -> Figure:
    contents: list[Mapping[str, Any]] = [panel.content for panel in panels]  # type: ignore[misc]  # mappings
    names = list(dict.fromkeys(name for content in contents for name in content))
    shown, left_out = names[:_MAX_ROWS], len(names) - _MAX_ROWS
    labels = [shorten_name(str(name), _NAME) for name in shown] + ([f"{left_out} more columns"] if left_out > 0 else [])
    titles = [wrap(panel.title, _VALUE, 3) for panel in panels]
    notes = [[line for part in panel.note.splitlines() for line in wrap(part, _VALUE + 3, 1)] for panel in panels]
    values = [[shorten(_shown(content.get(name)), _VALUE) for name in shown] for content in contents]
    first = (max(map(width_of, labels)) + 2) * _LETTER
    wide = max(0.9, (max(width_of(text) for column in values for text in column) + 2) * _LETTER)
    wide = max(wide, (max(width_of(line) for lines in titles for line in lines) + 2) * _LETTER)
    wide = max(wide, (max((width_of(line) for lines in notes for line in lines), default=0) + 2) * _LETTER * 0.8)
    top = max(map(len, titles)) * _LINE + max(map(len, notes)) * _LINE * 0.85 + _MARGIN
    line = _LINE * 1.3
    height, width = top + line * len(labels) + _MARGIN, first + wide * len(panels) + 2 * _MARGIN
    figure = new_figure(max(width, 3.0), height, heading, layout=None)
    width, whole = figure.get_size_inches()
    with style():
        from matplotlib.lines import Line2D

        bottom = height - top - line * len(labels)
        for place, label in enumerate(labels):
            y = (height - top - line * (place + 0.5)) / whole
            figure.text(_MARGIN / width, y, label, va="center", color=COLORS["note"])
            edge = (height - top - line * place) / whole
            figure.add_artist(
                Line2D([_MARGIN / width, 1 - _MARGIN / width], [edge, edge], color=COLORS["line"], lw=0.6)
            )
        for place, panel in enumerate(panels):
            left = (_MARGIN + first + wide * place) / width
            axes = figure.add_axes((left, bottom / whole, wide / width, line * len(labels) / whole))
            axes.set(xlim=(0, 1), ylim=(len(labels), 0))
            hide_axes(axes)
            small = len(notes[place]) * _LINE * 0.85
            axes.set_title("\n".join(titles[place]), color=panel.color, pad=3 + small * 72, fontweight="bold")
            axes.text(
                *(0.5, -0.12, "\n".join(notes[place])),
                ha="center",
                va="bottom",
                fontsize=SMALL,
                color=COLORS["note"],
            )
            for row, text in enumerate(values[place]):
                axes.text(0.5, row + 0.5, text, ha="center", va="center")
    return figure


def _shown(value: Any) -> str:
    if value is None:
        return "–"  # noqa: RUF001  # a dash
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return write_number(value, digits=6) if is_number else str(value)

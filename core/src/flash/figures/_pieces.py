"""Samples with the importance of their pieces: words of texts are shaded, images are beside a heat map."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flash.errors import ConfigurationError
from flash.figures._samples import Panel
from flash.figures._style import COLORS, SMALL, hide_axes, new_figure, shorten, style, width_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_pieces"]

# Inches.
_CELL, _LETTER, _LINE, _TITLE, _MARGIN, _SCALE = 2.2, 0.0785, 0.19, 0.22, 0.12, 0.55
_TEXT_WIDTH = 7.0
_MAX_LINES = 12
# Letters.
_MAX_TITLE, _MAX_NOTE, _MAX_WORD = 26, 34, 40
# Of the color below words, so that they can be read.
_PALE = 0.55
_COLORS = ("#1f6feb", "#ffffff", "#d9730d")


def draw_pieces(
    panels: Sequence[Panel],
    places: Sequence[Sequence[Any]],
    values: Sequence[Sequence[float]],
    meaning: str,
    heading: str = "",
) -> Figure:
    """Draw samples with the importance of each of their pieces, on one scale: orange above 0, blue below.

    Args:
        panels: The samples: texts, texts by name, or images.
        places: The pieces of each: of texts objects with ``start``, ``stop`` and ``field``, in order, of images with
            ``left``, ``top``, ``right`` and ``bottom``, such as those of :mod:`flash.data.pieces`.
        values: The importance of each piece.
        meaning: What the values are, such as ``"drop of the probability"``.
        heading: A line above the figure.

    Returns:
        The figure. Texts have one axes each, below each other, images two, side by side; the last axes is the scale.

    Raises:
        ConfigurationError: If there are no samples.

    Example:
        >>> from types import SimpleNamespace
        >>> words = [SimpleNamespace(start=0, stop=3, field=None), SimpleNamespace(start=4, stop=7, field=None)]
        >>> figure = draw_pieces([Panel("not bad", "good 80%")], [words], [[0.7, -0.1]], "drop of the probability")
        >>> [word.get_text() for word in figure.axes[0].texts]
        ['not', 'bad']
    """
    if not panels:
        raise ConfigurationError("Expected at least one sample to draw, but got none.")
    most = max((abs(value) for each in values for value in each if np.isfinite(value)), default=0.0) or 1.0
    if all(isinstance(panel.content, np.ndarray) for panel in panels):
        return _draw_images(panels, places, values, most, meaning, heading)
    return _draw_texts(panels, places, values, most, meaning, heading)


def _scale(most: float) -> Any:
    """Return the colors of values from ``-most`` to ``most``."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    return ScalarMappable(Normalize(-most, most), LinearSegmentedColormap.from_list("", list(_COLORS), 257))


def _set_scale(figure: Figure, scale: Any, meaning: str, **where: Any) -> None:
    bar = figure.colorbar(scale, orientation="horizontal", **where)
    bar.set_label(meaning, fontsize=SMALL, color=COLORS["note"])
    bar.ax.tick_params(labelsize=SMALL)
    bar.ax.locator_params(nbins=5)


# ---------------------------------------------------------------------- images


def _draw_images(
    panels: Sequence[Panel],
    places: Sequence[Sequence[Any]],
    values: Sequence[Sequence[float]],
    most: float,
    meaning: str,
    heading: str,
) -> Figure:
    pairs = 1 if len(panels) == 1 else 2
    rows = -(-len(panels) // pairs)
    ratio = float(np.median([panel.content.shape[0] / panel.content.shape[1] for panel in panels]))  # type: ignore[union-attr]
    tall = _CELL * min(max(ratio, 0.5), 2.0) + 0.45
    figure = new_figure(2 * _CELL * pairs, tall * rows + _SCALE, heading)
    scale = _scale(most)
    with style():
        for number, (panel, boxes, importance) in enumerate(zip(panels, places, values, strict=True)):
            image: Any = panel.content
            axes = figure.add_subplot(rows, 2 * pairs, 2 * number + 1)
            axes.imshow(image)
            axes.set_title(shorten(panel.title, _MAX_TITLE), color=panel.color)
            axes.set_xlabel(shorten(panel.note, _MAX_NOTE), fontsize=SMALL, color=COLORS["note"], labelpad=2)
            heat = np.full(image.shape[:2], np.nan)
            for box, value in zip(boxes, importance, strict=True):
                heat[box.top : box.bottom, box.left : box.right] = value
            beside = figure.add_subplot(rows, 2 * pairs, 2 * number + 2)
            # Pale, so that colors are those of the importance.
            beside.imshow(255 - (255 - image.mean(2)) * 0.6, cmap="gray", vmin=0, vmax=255)
            beside.imshow(
                np.ma.masked_invalid(heat), cmap=scale.cmap, norm=scale.norm, alpha=0.6, interpolation="nearest"
            )
            hide_axes(axes)
            hide_axes(beside)
        _set_scale(figure, scale, meaning, ax=list(figure.axes), shrink=0.5, aspect=40, pad=0.02)
    return figure


# ---------------------------------------------------------------------- texts


def _draw_texts(
    panels: Sequence[Panel],
    places: Sequence[Sequence[Any]],
    values: Sequence[Sequence[float]],
    most: float,
    meaning: str,
    heading: str,
) -> Figure:
    width = _TEXT_WIDTH - 2 * _MARGIN
    texts = [
        _lines_of(list(_words_of(panel.content, spans, importance)), width)
        for panel, spans, importance in zip(panels, places, values, strict=True)
    ]
    heights = [_TITLE + len(lines) * _LINE + _MARGIN for lines in texts]
    total = sum(heights) + _SCALE + _MARGIN
    figure = new_figure(_TEXT_WIDTH, total, heading, layout=None)
    whole = figure.get_size_inches()[1]
    scale = _scale(most)
    with style():
        top = total - _MARGIN / 2
        for panel, lines, height in zip(panels, texts, heights, strict=True):
            top -= height
            tall = len(lines) * _LINE
            axes = figure.add_axes((_MARGIN / _TEXT_WIDTH, (top + _MARGIN) / whole, width / _TEXT_WIDTH, tall / whole))
            hide_axes(axes)
            axes.set(xlim=(0, width), ylim=(tall, 0))
            note = shorten(panel.note, _MAX_NOTE)
            room = (width / _LETTER - width_of(note)) * 0.88 - 2  # in bold letters
            axes.set_title(shorten(panel.title, room), loc="left", color=panel.color, pad=3, fontweight="bold")
            axes.set_title(note, loc="right", color=COLORS["note"], fontsize=SMALL, pad=3)
            for number, line in enumerate(lines):
                _draw_line(axes, line, (number + 0.5) * _LINE, scale)
        box = (0.3, 0.4 / whole, 0.4, 0.09 / whole)
        _set_scale(figure, scale, meaning, cax=figure.add_axes(box))
    return figure


# A word with its importance; None if it is no piece.
_Word = tuple[str, float | None]


def _words_of(content: Any, spans: Sequence[Any], importance: Sequence[float]) -> Iterator[_Word]:
    """Yield the words of a text, or of texts by name: pieces with their importance, and what is between them."""
    if isinstance(content, np.ndarray):
        yield from ((word, None) for word in f"an image of {content.shape[1]} x {content.shape[0]} pixels".split())
        return
    fields = content if isinstance(content, Mapping) else {None: content}
    for name, value in fields.items():
        text = str(value)
        if name is not None:
            yield "\n", None
            yield f"{name}:", None
        done = 0
        for span, amount in zip(spans, importance, strict=True):
            if span.field == name:
                yield from ((word, None) for word in text[done : span.start].split())
                yield from ((word, amount) for word in text[span.start : span.stop].split())
                done = span.stop
        yield from ((word, None) for word in text[done:].split())


def _lines_of(words: Sequence[_Word], width: float) -> list[list[tuple[str, float, float, float | None]]]:
    """Return lines of words, each with its left edge, its width in inches, and its importance."""
    lines: list[list[tuple[str, float, float, float | None]]] = [[]]
    space, x = width_of(" ") * _LETTER, 0.0
    for word, amount in words:
        for part in re.findall(f".{{1,{_MAX_WORD}}}", word, re.DOTALL):
            wide = width_of(part) * _LETTER
            if part == "\n" or x + wide > width:
                if len(lines) == _MAX_LINES:
                    cut = width_of("…") * _LETTER
                    while lines[-1] and x + cut > width:
                        x = lines[-1].pop()[1]
                    lines[-1].append(("…", x, cut, None))
                    return lines
                lines += [[]] if lines[-1] else []
                x = 0.0
            if part != "\n":
                lines[-1].append((part, x, wide, amount))
                x += wide + space
    return lines


def _draw_line(axes: Any, line: Sequence[tuple[str, float, float, float | None]], y: float, scale: Any) -> None:
    from matplotlib.patches import Rectangle

    for word, x, wide, amount in line:
        if amount is not None:
            pale = 1 - (1 - np.asarray(scale.to_rgba(amount)[:3])) * _PALE
            box = ((x - 0.02, y - 0.45 * _LINE), wide + 0.04, 0.9 * _LINE)
            axes.add_patch(Rectangle(*box, facecolor=pale, linewidth=0, clip_on=False))
        color = COLORS["note"] if amount is None else COLORS["text"]
        axes.text(x, y, word, va="center_baseline", color=color)

"""Drawings of plain values in one style: samples, confusion matrices, scores, curves, importance.

``data.show_batch`` and the methods ``plot_...`` of a task find the values, and draw them with these functions. They
need matplotlib: ``pip install "flash-core[figures]"``. Figures have a white background whatever style is set, notebooks
display them, and the global state of pyplot is not touched.

Example:
    >>> figure = draw_samples([Panel("a good film", "positive"), Panel("a bad one", "negative")], heading="val")
    >>> [axes.get_title("left") for axes in figure.axes]
    ['positive', 'negative']
"""

from flash.figures._bars import draw_importance, draw_scores
from flash.figures._curves import draw_curves
from flash.figures._matrix import draw_confusion
from flash.figures._numbers import draw_numbers
from flash.figures._pieces import draw_pieces
from flash.figures._samples import Panel, draw_samples
from flash.figures._style import COLORS, check_count, check_matplotlib, new_figure, shorten, style, wrap, write_number

__all__ = [
    "COLORS",
    "Panel",
    "check_count",
    "check_matplotlib",
    "draw_confusion",
    "draw_curves",
    "draw_importance",
    "draw_numbers",
    "draw_pieces",
    "draw_samples",
    "draw_scores",
    "new_figure",
    "shorten",
    "style",
    "wrap",
    "write_number",
]

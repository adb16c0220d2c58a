"""The style of all figures: colors, fonts and sizes, figures that notebooks display, and texts that fit."""

from __future__ import annotations

import io
import math
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flash.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "COLORS",
    "SMALL",
    "check_count",
    "check_matplotlib",
    "hide_axes",
    "new_figure",
    "set_labels",
    "shorten",
    "shorten_name",
    "style",
    "wrap",
    "write_number",
]

#: The colors of figures by their meaning.
COLORS = MappingProxyType(
    {
        "text": "#24292f",
        "note": "#57606a",
        "line": "#d8dee4",
        "right": "#1a7f37",
        "wrong": "#c62828",
        "train": "#8c959f",
        "val": "#1f6feb",
        "first": "#1f6feb",
        "second": "#d9730d",
        "third": "#57606a",
    }
)
#: The font size of notes, in points; that of texts is 9.
SMALL = 7.0
_DPI = 120
# The first font of these that has a character draws it. Matplotlib brings the first one.
_FONTS = (
    "DejaVu Sans",
    "Noto Sans",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans CJK KR",
    "Noto Sans Arabic",
    "Noto Sans Devanagari",
    "Noto Emoji",
    "Hiragino Sans",
    "PingFang SC",
    "Apple SD Gothic Neo",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Nirmala UI",
    "Segoe UI Symbol",
    "Arial Unicode MS",
)


def check_matplotlib() -> None:
    """Raise an error that says how to install matplotlib, if it is not installed.

    Raises:
        ConfigurationError: If it is not.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            "Expected matplotlib, which draws figures, to be installed, but it is not: "
            'pip install "flash-core[figures]".'
        ) from error


def check_count(count: Any) -> None:
    """Reject a number of samples to draw or to return that is not a positive integer."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigurationError(f"Expected count to be a whole number of at least 1, but got {count!r}.")


@contextmanager
def style() -> Iterator[None]:
    """Draw in the style of Flash for the duration of the context, whatever style the user has set.

    Example:
        >>> import matplotlib
        >>> with style():
        ...     matplotlib.rcParams["font.size"]
        9.0
    """
    check_matplotlib()
    import matplotlib as mpl

    settings: dict[Any, Any] = {
        "font.family": _installed_fonts(),
        "font.size": 9.0,
        "font.weight": "normal",
        "text.color": COLORS["text"],
        "text.usetex": False,
        # A dollar sign in a text is no formula.
        "text.parse_math": False,
        "axes.titlesize": 9.0,
        "axes.titleweight": "normal",
        "axes.titlecolor": COLORS["text"],
        "axes.labelsize": 9.0,
        "axes.labelcolor": COLORS["text"],
        "axes.facecolor": "white",
        "axes.edgecolor": COLORS["note"],
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": False,
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "axes.xmargin": 0.05,
        "axes.ymargin": 0.05,
        "grid.color": COLORS["line"],
        "grid.linewidth": 0.6,
        "grid.linestyle": "-",
        "xtick.color": COLORS["note"],
        "ytick.color": COLORS["note"],
        "xtick.labelsize": 8.0,
        "ytick.labelsize": 8.0,
        "xtick.labelcolor": COLORS["text"],
        "ytick.labelcolor": COLORS["text"],
        "lines.linewidth": 1.5,
        "lines.markersize": 4.0,
        "legend.frameon": False,
        "legend.fontsize": 8.0,
        "legend.labelcolor": COLORS["text"],
        "image.interpolation": "antialiased",
        "figure.facecolor": "white",
        "figure.edgecolor": "white",
        "figure.dpi": _DPI,
        "savefig.facecolor": "white",
        "savefig.edgecolor": "white",
        "savefig.bbox": None,
        "savefig.dpi": "figure",
    }
    with mpl.rc_context(settings):
        yield


@cache
def _installed_fonts() -> list[str]:
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return [name for name in _FONTS if name in installed] or ["sans-serif"]


@cache
def _figure_class() -> type[Figure]:
    """Return the class of figures; matplotlib is imported when the first one is made."""
    from matplotlib.figure import Figure

    class FlashFigure(Figure):
        """A matplotlib figure that notebooks display, without the global state of pyplot."""

        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png")
            return buffer.getvalue()

        def savefig(self, *args: Any, **kwargs: Any) -> None:
            """Save the figure, in its own style; warn once of characters that no installed font has."""
            with style(), warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                super().savefig(*args, **kwargs)
            missing = [each for each in caught if "missing from" in str(each.message)]
            for each in caught:
                if each not in missing:
                    warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
            if missing:
                warnings.warn(
                    f"No installed font has {len(missing)} of the characters of this figure, which are drawn as boxes. "
                    "Install one that has, such as Noto Sans CJK, and delete matplotlib's cache of fonts "
                    "(matplotlib.get_cachedir()).",
                    stacklevel=2,
                )

    return FlashFigure


def new_figure(width: float, height: float, heading: str = "", layout: Any = "constrained") -> Figure:
    """Return an empty figure; draw on it within :func:`style`.

    Args:
        width: Inches.
        height: Inches, without the heading.
        heading: A line above the figure.
        layout: Matplotlib's layout engine; ``None`` for axes that are placed by hand.

    Example:
        >>> figure = new_figure(4, 3, "three classes")
        >>> figure.get_size_inches().tolist()
        [4.0, 3.3]
    """
    with style():
        figure = _figure_class()(figsize=(width, height + (0.3 if heading else 0)), dpi=_DPI, layout=layout)
        if heading:
            lines = wrap(heading, int(width / 0.076), 2)
            figure.suptitle("\n".join(lines), fontsize=9, color=COLORS["note"])
    return figure


def hide_axes(axes: Any) -> None:
    """Hide ticks and frame of axes, but not their titles and labels."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def set_labels(axis: Any, names: list[str], most: int = 24, **options: Any) -> None:
    """Set the tick labels of an axis, shortened, at 0, 1, ..."""
    axis.set_ticks(range(len(names)), [shorten_name(name, most) for name in names], **options)


def width_of(text: str) -> float:
    """Return the width of a text, in units of a usual letter such as ``n``."""
    return sum(map(_width, text))


@cache
def _width(letter: str) -> float:
    """Return the width of a letter: as the first font has it, else by whether it is one of the wide ones of Asia."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont(_FONTS[0]))
    if not font.get_char_index(ord(letter)):
        return 2.0 if unicodedata.east_asian_width(letter) in "WF" else 1.0
    font.set_size(100, 72)
    return float(font.load_char(ord(letter)).linearHoriAdvance) / 65536 / 62


def write_number(value: float, digits: int = 4) -> str:
    """Return a number with some significant digits, and those of thousands apart.

    Example:
        >>> write_number(0.012345), write_number(113_500.4), write_number(3), write_number(2e9), write_number(-0.0)
        ('0.01235', '113,500', '3', '2e+09', '0')
    """
    if not math.isfinite(value):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}" if abs(value) >= 10_000 else str(int(value))
    return f"{value:,.0f}" if 10**digits <= abs(value) < 1e9 else f"{value:.{digits}g}"


def shorten_name(text: str, most: float) -> str:
    """Return the name of a column or class on one line, cut in its middle: names often differ at their end.

    Example:
        >>> shorten_name("measurement of sensor 12", 15)
        'measureme…r 12'
    """
    line = " ".join(text.split())
    if width_of(line) <= most:
        return line
    end = line[::-1]
    tail = shorten(end, most / 3).removesuffix("…")[::-1]
    return shorten(line, most - width_of(tail)) + tail


def shorten(text: str, most: float) -> str:
    r"""Return a text on one line, cut with an ellipsis if it is wider than ``most`` letters.

    Example:
        >>> shorten("a very\nlong name", 10), shorten("short", 10)
        ('a very lon…', 'short')
    """
    line = " ".join(text.split())
    if width_of(line) <= most:
        return line
    kept, room = "", most - width_of("…")
    for letter in line:
        room -= _width(letter)
        if room < 0:
            break
        kept += letter
    return kept.rstrip() + "…"


def wrap(text: str, width: int, most: int) -> list[str]:
    """Return a text as lines of at most ``width`` letters, cut with an ellipsis after ``most`` lines.

    Words are not divided, unless a line has no room for one, as in languages without spaces.

    Example:
        >>> wrap("The quick brown fox jumps over the lazy dog.", 16, 2)
        ['The quick brown', 'fox jumps over th…']
    """
    lines, line = [], ""
    words = [(word, place) for place, paragraph in enumerate(text.splitlines()) for word in paragraph.split()]
    paragraph = 0
    for word, place in words:
        if line and (place != paragraph or width_of(line) + 1 + width_of(word) > width):
            lines.append(line)
            line = ""
        paragraph = place
        line = f"{line} {word}" if line else word
        while width_of(line) > width:
            part = shorten(line, width + 1).removesuffix("…") or line[0]
            lines.append(part)
            line = line[len(part) :].lstrip()
        if len(lines) > most:
            break
    lines = [*lines, line] if line else lines
    if len(lines) > most:
        lines = [*lines[: most - 1], shorten(f"{lines[most - 1]}…", width)]
    return lines or [""]

"""Charts as inline SVG, in the colors of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from .._resampling import Array
from .._verdict import format_number

__all__ = ["bar", "curves", "histogram", "interval", "reliability", "scatter"]

_WIDTH, _HEIGHT = 360, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 10, 40
_COLORS = 6
_POINTS = 1500
_LONGEST = 30


@dataclass
class _Axes:
    """A chart with a scale in each direction.

    Args:
        title: What it shows, for those who cannot see it.
        x: The range of the horizontal axis.
        y: The range of the vertical axis.
        x_label: What the horizontal axis is.
        y_label: What the vertical axis is.
        whole: Whether the horizontal axis counts.
    """

    title: str
    x: tuple[float, float]
    y: tuple[float, float]
    x_label: str
    y_label: str
    whole: bool = False
    marks: list[Markup] = field(default_factory=list)

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1)
        up = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1)
        return (
            round(_LEFT + across * (_WIDTH - _LEFT - _RIGHT), 1),
            round(_HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM), 1),
        )

    def line(self, xs: Sequence[float], ys: Sequence[float], kind: str) -> None:
        points = " ".join("{},{}".format(*self.at(x, y)) for x, y in zip(xs, ys, strict=True))
        self.marks.append(Markup('<polyline class="{}" points="{}"/>').format(kind, points))

    def dot(self, x: float, y: float, kind: str, size: float = 2.0) -> None:
        self.marks.append(Markup('<circle class="{}" cx="{}" cy="{}" r="{}"/>').format(kind, *self.at(x, y), size))

    def box(self, left: float, right: float, height: float, kind: str) -> None:
        x, top = self.at(left, height)
        end, bottom = self.at(right, max(self.y[0], 0))
        self.marks.append(
            Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
                kind, x, top, max(round(end - x - 1, 1), 0.5), round(max(bottom - top, 0), 1)
            )
        )

    def svg(self) -> Markup:
        frame = []
        for value, text in _ticks(*self.x, 1.0 if self.whole else 0.0):
            x, y = self.at(value, self.y[0])
            frame.append(
                Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(x, y + 15, text)
            )
        for value, text in _ticks(*self.y):
            x, y = self.at(self.x[0], value)
            frame.append(
                Markup('<line class="grid" x1="{}" y1="{y}" x2="{}" y2="{y}"/>').format(x, _WIDTH - _RIGHT, y=y)
            )
            frame.append(
                Markup('<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>').format(x - 5, y + 4, text)
            )
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        labels = Markup(
            '<text class="axis" x="{}" y="{}" text-anchor="middle">{}</text>'
            '<text class="axis" transform="translate(11 {}) rotate(-90)" text-anchor="middle">{}</text>'
        ).format(middle, _HEIGHT - 6, _clip(self.x_label, 46), (_HEIGHT - _BOTTOM + _TOP) / 2, _clip(self.y_label))
        return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}</svg>').format(
            _WIDTH, _HEIGHT, self.title, Markup("").join(frame), labels, Markup("").join(self.marks)
        )


def _clip(text: str, most: int = _LONGEST) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _ticks(low: float, high: float, least: float = 0.0) -> list[tuple[float, str]]:
    """Return about five round values of a range, at least some step apart, with their texts."""
    if not high > low:
        return [(low, f"{low:g}")]
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next((factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= 5.5), 10)
    step = max(step, least)
    first = math.ceil(low / step - 1e-9)
    values = [place * step for place in range(first, math.floor(high / step + 1e-9) + 1)]
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [(value, _short(value, step, digits)) for value in values]


def _short(value: float, step: float, digits: int) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if step >= size / 10 and abs(value) >= size:
            return f"{value / size:.{0 if step >= size else 1}f}{letter}"
    return f"{value:.2e}" if digits > 5 else f"{value:,.{digits}f}"


def _range(values: Array, margin: float = 0.05) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    spread = high - low
    # Numbers that differ by rounding alone are one.
    room = spread * margin if spread > 1e-9 * max(abs(low), abs(high)) else max(abs(low), abs(high)) * margin or 1.0
    return low - room, high + room


def curves(title: str, lines: Sequence[tuple[str, Sequence[float], Sequence[float]]], y_label: str) -> Markup:
    """Return lines over epochs with a legend; the first is drawn thicker."""
    xs = np.concatenate([np.asarray(x, dtype=float) for _, x, _ in lines])
    ys = np.concatenate([np.asarray(y, dtype=float) for _, _, y in lines])
    end = float(max(xs.max(), xs.min() + 1))
    axes = _Axes(title, (float(xs.min()), end), _range(ys), "epoch", y_label, whole=True)
    for place, (_, x, y) in enumerate(lines):
        color = f"c{place % _COLORS}"
        axes.line(x, y, f"line {color}")
        if len(x) == 1:
            axes.dot(x[0], y[0], f"dot {color}", 3)
    keys = Markup("").join(
        Markup('<li><span class="key c{}"></span><bdi>{}</bdi></li>').format(place % _COLORS, name)
        for place, (name, _, _) in enumerate(lines)
    )
    return axes.svg() + Markup('<ul class="legend">{}</ul>').format(keys)


def scatter(title: str, xs: Array, ys: Array, x_label: str, y_label: str, *, diagonal: bool) -> Markup:
    """Return points, at most 1,500 of them; with the diagonal both axes have one range, or else a line at 0."""
    if len(xs) > _POINTS:
        chosen = np.random.default_rng(0).choice(len(xs), _POINTS, replace=False)
        xs, ys = xs[chosen], ys[chosen]
    both = _range(np.concatenate([xs, ys]))
    axes = _Axes(title, both if diagonal else _range(xs), both if diagonal else _range(ys), x_label, y_label)
    ends = axes.x
    axes.line(ends, ends if diagonal else (0, 0), "reference")
    for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
        axes.dot(x, y, "point")
    return axes.svg()


def histogram(title: str, values: Array, x_label: str) -> Markup:
    """Return the numbers of values in 30 bins; the outermost 1 % are counted in the bins at the ends."""
    low, high = (float(bound) for bound in np.quantile(values, [0.005, 0.995]))
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(np.clip(values, low, high), 30, (low, high))
    axes = _Axes(title, (low, high), (0, float(counts.max()) * 1.05), x_label, "samples")
    for count, left, right in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        axes.box(left, right, count, "column")
    return axes.svg()


def reliability(title: str, bins: Sequence[dict[str, Any]]) -> Markup:
    """Return the accuracy of each bin of confidence, with the diagonal of a calibrated model."""
    axes = _Axes(title, (0, 1), (0, 1), "probability of the prediction", "share that is right")
    for each in bins:
        axes.box(each["low"], each["high"], each["accuracy"], "column")
    axes.line((0, 1), (0, 1), "reference")
    most = max(each["count"] for each in bins)
    for each in bins:
        axes.dot(each["confidence"], each["accuracy"], "dot c1", 2 + 4 * math.sqrt(each["count"] / most))
    return axes.svg()


def interval(value: float, bounds: Sequence[float] | None, domain: tuple[float, float], strong: bool) -> Markup:
    """Return a dot with its confidence interval, on the scale of the whole table."""
    low, high = domain
    width = 160

    def at(number: float) -> float:
        return round(6 + (number - low) / ((high - low) or 1) * (width - 12), 1)

    whisker = Markup("")
    said = format_number(value)
    if bounds is not None:
        whisker = Markup('<line class="whisker" x1="{}" x2="{}" y1="9" y2="9"/>').format(at(bounds[0]), at(bounds[1]))
        said += f", 95% interval {format_number(bounds[0])} to {format_number(bounds[1])}"
    return Markup('<svg class="interval{}" viewBox="0 0 {} 18" role="img" aria-label="{}">{}{}</svg>').format(
        " strong" if strong else "", width, said, whisker, Markup('<circle cx="{}" cy="9" r="4"/>').format(at(value))
    )


def bar(share: float) -> Markup:
    """Return a bar of a share between 0 and 1."""
    return Markup('<span class="bar" aria-hidden="true"><span style="width:{}%"></span></span>').format(
        escape(round(100 * min(max(share, 0.0), 1.0), 1))
    )

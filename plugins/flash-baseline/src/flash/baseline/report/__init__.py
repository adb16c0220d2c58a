"""The report of a baseline: one page that holds all that it shows."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from flash.serialization import writing

from .._numbers import numbers_of
from .._verdict import format_number, metric_words
from ..results import Results, Sample
from . import _charts
from ._pictures import data_uri

__all__ = ["write_report"]

_SHOWN_COLUMNS = 8
_SHOWN_TARGETS = 3
_SHOWN_CURVES = 6
_SHOWN_METRICS = 4
# From here on, thousands are set apart; below, a number may be a year.
_LARGE = 10_000
# Control characters, and those that change the direction of what follows them.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PARTS = {"train": "Train", "val": "Validation", "test": "Test"}


def write_report(path: str | Path, results: Results) -> None:
    """Write the page of a baseline: one HTML file, which makes no request and needs no script.

    What comes from the data is escaped, and the page's own policy refuses all scripts but its own. Its numbers are
    those of ``results.json``; each is in the attribute ``value`` of a ``data`` element in full.

    Args:
        path: The file.
        results: What the baseline found.

    Raises:
        CheckpointError: If the file cannot be written.

    Example:
        >>> import tempfile
        >>> from flash.baseline.results import Results
        >>> nothing = Results(
        ...     "cats.csv", "tabular/classification", "classification", "its target has two values", {"train": 9}, {},
        ...     {}, [], "accuracy", True, [], None, "val", ["no", "yes"], np.zeros(0, int), np.zeros((0, 2)), [], [],
        ...     [], {}, {}, [],
        ... )
        >>> page = Path(tempfile.mkdtemp(), "report.html")
        >>> write_report(page, nothing)
        >>> "No model was evaluated." in page.read_text()
        True
    """
    text = _page(results)
    with writing(path, what="report", folder_argument="-o FOLDER") as file:
        file.write(text.encode("utf-8", "replace"))


def _page(results: Results) -> str:
    numbers = numbers_of(results)
    folder = files(__package__)
    style, script, page = (
        (folder / name).read_text(encoding="utf-8") for name in ("style.css", "script.js", "page.html")
    )
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    environment.filters.update(
        text=_text,
        plain=_plain,
        answer=_answer,
        number=format_number,
        percent=_percent,
        whole=_whole,
        seconds=_seconds,
        amount=_amount,
        words=metric_words,
        part_name=lambda part: _PARTS.get(part, str(part)),
        bar=_charts.bar,
        has_rows=lambda names: any(str(name).startswith("row ") for name in names),
        shown_columns=lambda row: _shown_columns(row, numbers["importance"]),
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.from_string(page).render(
        **numbers,
        style=Markup(style),  # noqa: S704  # a file of this package
        script=Markup(script),  # noqa: S704
        script_hash=f"sha256-{digest}",
        sections=_sections(numbers),
        part_of_race="validation",
        has_test=any(entry["test_scores"] for entry in numbers["entries"]),
        other_metrics=_other_metrics(numbers),
        marks=_marks(numbers),
        curves=_curves(numbers),
        figures=_figures(results, numbers),
        class_rows=_class_rows(numbers),
        per_class=_weakest_first(numbers["evaluation"].get("per_class", [])),
        score_columns=_score_columns(numbers["evaluation"].get("per_class", [])),
        decisive=_decisive(numbers["evaluation"].get("per_class", [])),
        mistake_pictures=_pictures(results.mistakes),
        suspicious_pictures=_pictures(results.suspicious),
        counted="Rows are counted from 0, and the header is not counted.",
        total_time=sum(value or 0 for value in numbers["times"].values()) or 1,
    )


# --- Text -----------------------------------------------------------------------------------------------------------


def _plain(value: Any, most: int = 80) -> str:
    """Return a value as text of limited length, without characters that are not seen."""
    text = _UNSEEN.sub("\ufffd", str(value))
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"


def _text(value: Any, most: int = 80) -> Markup:
    """Return a value as text that keeps its direction of writing to itself."""
    return Markup("<bdi>{}</bdi>").format(_plain(value, most))


def _answer(value: Any, most: int = 80, *, grouped: bool = False) -> Markup:
    """Return a target, a prediction or a cell: numbers rounded, with their value in full.

    Args:
        value: The value.
        most: The largest number of characters of a text.
        grouped: Whether thousands of whole numbers are set apart, which a year or a code must not be.
    """
    if value is None:
        return Markup('<span class="note">none</span>')
    if isinstance(value, bool):
        return _text(value, most)
    if isinstance(value, float) or (isinstance(value, int) and grouped):
        return Markup('<data value="{}">{}</data>').format(value, _cell(value, grouped=grouped))
    if isinstance(value, list):
        return _text(", ".join(map(str, value)) or "none", most)
    return _text(value, most)


def _cell(value: float, *, grouped: bool) -> str:
    """Return a number of the data: four digits, and a whole number as one, whatever its type."""
    if float(value).is_integer() or abs(value) >= _LARGE:
        return f"{value:,.0f}" if grouped or abs(value) >= _LARGE else f"{value:.0f}"
    return f"{value:.4g}"


def _percent(share: Any) -> str:
    return "" if share is None else f"{100 * float(share):.3g}%"


def _whole(number: int) -> str:
    return f"{number:,}"


def _seconds(number: float | None) -> str:
    if number is None:
        return ""
    if number < 60:
        return f"{number:.1f} s"
    minutes, seconds = divmod(round(number), 60)
    return f"{minutes} min {seconds} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _amount(number: int | None) -> str:
    if number is None:
        return ""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return str(number)


# --- Parts of the page ----------------------------------------------------------------------------------------------


def _sections(numbers: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [
        ("data", "Data"),
        ("findings", "Checks"),
        ("leaderboard", "Leaderboard"),
        ("curves", "Learning curves"),
        ("errors", "Errors"),
        ("mistakes", "Worst mistakes"),
    ]
    if numbers["kind"] not in ("regression", "structured"):
        found.append(("suspicious", "Labels to check"))
    if numbers["importance"]:
        found.append(("importance", "Importance"))
    return [*found, ("commands", "Next steps"), ("times", "Time and versions")]


def _other_metrics(numbers: Mapping[str, Any]) -> list[str]:
    names = dict.fromkeys(name for entry in numbers["entries"] for name in entry["scores"])
    return [name for name in names if name != numbers["metric"]][:_SHOWN_METRICS]


def _marks(numbers: Mapping[str, Any]) -> list[dict[str, Markup]]:
    """Return the interval of each entry on the validation and on the test samples, on one scale."""
    drawn = [
        (entry[scores].get(numbers["metric"]), entry[interval])
        for entry in numbers["entries"]
        for scores, interval in (("scores", "interval"), ("test_scores", "test_interval"))
    ]
    ends = [end for value, bounds in drawn if value is not None for end in (value, *(bounds or ())) if end is not None]
    domain = (min(ends, default=0.0), max(ends, default=1.0))
    found = []
    for place, entry in enumerate(numbers["entries"]):
        strong = entry["name"] == numbers["best"]
        val, test = (
            Markup("") if value is None else _charts.interval(value, bounds, domain, strong)
            for value, bounds in drawn[2 * place : 2 * place + 2]
        )
        found.append({"val": val, "test": test})
    return found


def _class_rows(numbers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the classes with their samples per part, the most frequent first."""
    parts = numbers["classes"]
    names = dict.fromkeys(name for counts in parts.values() for name in counts)
    rows = [{"label": name, "counts": [counts.get(name, 0) for counts in parts.values()]} for name in names]
    most = max((sum(row["counts"]) for row in rows), default=0) or 1
    rows = [{**row, "share": sum(row["counts"]) / most} for row in rows]
    return sorted(rows, key=lambda row: -float(row["share"]))


def _weakest_first(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    key, _ = _decisive(rows)
    return sorted(rows, key=lambda row: 2.0 if row[key] is None else float(row[key]))


def _score_columns(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return the names of the scores of classes, and how people write them."""
    names = [name for row in rows[:1] for name in row if name not in ("label", "count")]
    written = {"iou": "IoU", "f1": "F1"}
    return [(name, written.get(name, metric_words(name)[:1].upper() + metric_words(name)[1:])) for name in names]


def _decisive(rows: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Return the score by which the weakest class is found, F1 or else the first, and how people write it."""
    columns = dict(_score_columns(rows)) or {"f1": "F1"}
    return ("f1", columns["f1"]) if "f1" in columns else next(iter(columns.items()))


def _shown_columns(row: Mapping[str, Any], importance: Sequence[Mapping[str, Any]]) -> list[str]:
    if len(row) <= _SHOWN_COLUMNS:
        return list(row)
    known = [each["column"] for each in importance if each["column"] in row]
    return [*known, *(name for name in row if name not in known)][:_SHOWN_COLUMNS]


def _pictures(samples: Sequence[Sample]) -> list[str]:
    return [data_uri(sample.shown) if isinstance(sample.shown, np.ndarray) else "" for sample in samples]


# --- Figures --------------------------------------------------------------------------------------------------------


def _history(entry: Mapping[str, Any], name: str) -> tuple[list[float], list[float]]:
    rows = [row for row in entry["history"] if row.get(name) is not None and row.get("epoch") is not None]
    return [row["epoch"] for row in rows], [row[name] for row in rows]


def _curves(numbers: Mapping[str, Any]) -> list[dict[str, Any]]:
    trained = [entry for entry in numbers["entries"] if entry["history"]]
    found = []
    for name in dict.fromkeys((f"val_{numbers['metric']}", "val_loss")):
        lines = [(_plain(entry["name"], 40), *_history(entry, name)) for entry in trained]
        lines = [line for line in lines if line[1]][:_SHOWN_CURVES]
        # Of one epoch each, there is no curve.
        if any(len(epochs) > 1 for _, epochs, _ in lines):
            words = metric_words(name.removeprefix("val_"))
            title = f"{words[0].upper()}{words[1:]} on the validation samples"
            found.append({"svg": _charts.curves(title, lines, words), "caption": f"{title}, by model."})
    kept = (numbers["checkpoint"] or {}).get("name")
    best = next((entry for entry in trained if entry["name"] == kept), None)
    lines = (
        [(part, *_history(best, name)) for part, name in (("train", "train_loss"), ("validation", "val_loss"))]
        if best
        else []
    )
    lines = [line for line in lines if line[1]]
    if best and len(lines) == 2 and len(lines[0][1]) > 1:
        caption = f"Loss of {_plain(best['name'], 40)}. If only the train loss still falls, it overfits."
        found.append({"svg": _charts.curves("Train and validation loss", lines, "loss"), "caption": caption})
    return found


def _figures(results: Results, numbers: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not numbers["evaluation"] or numbers["kind"] == "structured":
        return []
    if numbers["kind"] != "regression":
        bins = numbers["evaluation"]["calibration"]["bins"]
        caption = "Columns below the dashed line: the model is surer than it is right. Large dots: many samples."
        svg = _charts.reliability("Reliability diagram: the share that is right, by predicted probability", bins)
        return [{"title": "Calibration", "svg": svg, "caption": caption}]
    targets = results.targets.reshape(len(results.targets), -1).astype(np.float64)
    outputs = results.outputs.reshape(len(results.outputs), -1).astype(np.float64)
    found = []
    for place, row in enumerate(numbers["evaluation"]["residuals"][:_SHOWN_TARGETS]):
        of = f" of {_plain(row['target'], 40)}" if row["target"] else ""
        true, predicted = targets[:, place], outputs[:, place]
        svg = _charts.scatter(f"Predicted and true values{of}", true, predicted, "true", "predicted", diagonal=True)
        caption = "On the dashed line, predictions are right."
        found.append({"title": f"Predicted and true{of}", "svg": svg, "caption": caption})
        svg = _charts.scatter(
            f"Residuals{of} by predicted value", predicted, predicted - true, "predicted", "residual", diagonal=False
        )
        caption = "Predicted minus true. A funnel or a curve is a pattern that the model does not know."
        found.append({"title": f"Residuals{of}", "svg": svg, "caption": caption})
        svg = _charts.histogram(f"Distribution of the residuals{of}", predicted - true, "residual")
        caption = "How far predictions are from the truth. Values beyond the outermost 0.5% are in the first and last."
        found.append({"title": f"Size of the residuals{of}", "svg": svg, "caption": caption})
    return found

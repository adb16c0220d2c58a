"""Fixtures that these tests share: what a baseline found, made from random outputs.

A domain that the tests share is importable, as the targets of a plugin have to be.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flash.baseline.leaderboard import Kind, bootstrap, compare, metrics_for, score
from flash.baseline.results import Command, Entry, Finding, Importance, Results, Sample

sys.path.insert(0, str(Path(__file__).parent))

ROWS = 60


def _outputs(kind: Kind, classes: int, quality: float, seed: int) -> tuple[Any, Any]:
    """Targets, and outputs that are the better the higher the quality."""
    random = np.random.default_rng(seed)
    targets: Any
    if kind == "regression":
        targets = random.normal(100, 20, ROWS)
        return targets, targets + random.normal(0, 20 * (1 - quality), ROWS)
    if kind == "multi-label":
        targets = random.integers(0, 2, (ROWS, classes))
        return targets, np.clip(quality * targets + (1 - quality) * random.random((ROWS, classes)), 0, 1)
    targets = random.integers(0, classes, ROWS)
    outputs = random.random((ROWS, classes)) + quality * np.eye(classes)[targets]
    return targets, outputs / outputs.sum(1, keepdims=True)


def _make(
    kind: Kind = "classification", number: int = 3, *, name: str = "tabm", shown: Any = None, **changes: Any
) -> Results:
    labels = [f"class {place}" for place in range(number)] if kind != "regression" else ["price"]
    metric = next(iter(metrics_for(kind).values()))
    good, bad = _outputs(kind, number, 0.6, 0), _outputs(kind, number, 0.1, 0)

    def entry(name: str, kind_of: Any, outputs: Any, **more: Any) -> Entry:
        scores, interval = score(kind, outputs[0], outputs[1]), bootstrap(metric, *outputs, resamples=200)
        return Entry(name, f"What {name} is.", kind_of, "done", scores, interval, scores, interval, 1.25, **more)

    losses = [("train_loss", 0.9), ("val_loss", 1.0), (f"val_{metric.name}", 0.7)]
    history = [{"epoch": epoch, **{key: value / (epoch + 1) for key, value in losses}} for epoch in range(3)]
    row = {"area": 50.5, "city": "Oslo", "sold": None, "rooms": 3} if shown is None else shown
    truth, prediction = (labels[0], labels[1]) if kind != "regression" else (100.5, 131.25)
    sample = Sample(17, row, truth, prediction, 2.5, None if kind == "regression" else 0.875)
    per_part = {label: 10 + place for place, label in enumerate(labels)}
    values: dict[str, Any] = {
        "title": "flats.csv",
        "task": f"tabular/{kind}",
        "kind": kind,
        "why": "the column sold has few values",
        "counts": {"train": 180, "val": ROWS, "test": ROWS},
        "facts": {"rows": 300, "columns": 5},
        "classes": {} if kind == "regression" else {"train": per_part, "val": per_part, "test": per_part},
        "findings": [Finding("leak", "warning", "Expected no leak, but there is. Remove it.", [3, 4], ["area"])],
        "metric": metric.name,
        "higher_is_better": metric.higher_is_better,
        "entries": [
            entry(name, "network", good, epochs=3, parameters=12_345, history=history),
            entry("most frequent", "trivial", bad),
            Entry("broken", "A recipe that fails.", "network", "failed", reason="Expected memory, but there is none."),
        ],
        "best": name,
        "checkpoint": name,
        "part": "test",
        "labels": labels,
        "targets": good[0],
        "outputs": good[1],
        "mistakes": [sample],
        "suspicious": [] if kind == "regression" else [sample],
        "importance": [Importance("area", 0.25, 0.0125), Importance("city", -0.001, 0.002)],
        "times": {"reading": 0.5, "race": 61.0},
        "versions": {"Python": "3.11.7"},
        "commands": [Command("Predict", "flash predict best.ckpt new.csv -o out.csv")],
        "comparisons": [compare(metric, good[0], (name, good[1]), ("most frequent", bad[1]), resamples=200)],
        "time_limit": 60.0,
    }
    return Results(**{**values, **changes})


@pytest.fixture
def make_results() -> Callable[..., Results]:
    """Makes what a baseline found: ``make_results("regression")``, and with other values of some fields."""
    return _make


@pytest.fixture
def nothing(make_results: Callable[..., Results]) -> Results:
    """What a baseline found that trained no model."""
    empty = np.zeros(0)
    parts: dict[str, Any] = {name: [] for name in ("mistakes", "suspicious", "importance", "commands", "comparisons")}
    mappings: dict[str, Any] = {name: {} for name in ("facts", "classes", "times", "versions")}
    fields = {**parts, **mappings, "entries": [], "findings": [], "best": None, "time_limit": None}
    return make_results(**fields, targets=empty.astype(int), outputs=empty.reshape(0, 3))


HOSTILE = [
    "<script>document.title='hacked'</script>",
    '"><img src=x onerror="document.title=\'hacked\'">',
    "'); document.title='hacked'; //",
    "</style><script>document.title='hacked'</script>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:document.title='hacked'",
    "\u202egnorw\u202c \u2066",
    "עברית عربى",
    "👩‍🔬🏳️‍🌈",
    "a" * 10_000,
    "\ud800 half",
    "\x00\x07\x1b[31m",
    "http://example.com/x.png",
]


def _make_hostile(kind: Kind = "classification") -> Results:
    """Results whose every text is hostile."""
    number = len(HOSTILE)
    results = _make(kind, number)
    named = {text: text for text in HOSTILE}
    counts = {part: dict.fromkeys(HOSTILE, 3) for part in ("train", "test")}
    sample = Sample(HOSTILE[0], named, HOSTILE[0], HOSTILE[1], 1.0, 0.5)
    texts = [dataclasses.replace(sample, shown=text, id=text, truth=text, prediction=HOSTILE[1]) for text in HOSTILE]
    entries = [
        dataclasses.replace(
            results.entries[0], name=text, summary=text, reason=text, history=results.entries[0].history
        )
        for text in HOSTILE
    ]
    return dataclasses.replace(
        results,
        title=HOSTILE[0],
        why=" ".join(HOSTILE[:9]),
        facts=named,
        classes=counts,
        findings=[Finding("leak", "warning", text, HOSTILE, HOSTILE) for text in HOSTILE],
        entries=entries,
        best=HOSTILE[0],
        labels=HOSTILE if kind != "regression" else [HOSTILE[0]],
        mistakes=[sample] * 2,
        suspicious=texts if kind != "regression" else [],
        importance=[dataclasses.replace(results.importance[0], column=text) for text in HOSTILE],
        times=dict.fromkeys(HOSTILE, 1.0),
        versions=named,
        commands=[dataclasses.replace(results.commands[0], title=text, line=text) for text in HOSTILE],
        comparisons=[dataclasses.replace(results.comparisons[0], first=HOSTILE[0], second=HOSTILE[1])],
    )


@pytest.fixture
def make_hostile() -> Callable[..., Results]:
    """Makes what a baseline found in hostile data: ``make_hostile("regression")``."""
    return _make_hostile

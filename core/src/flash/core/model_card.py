"""The model card of a task for the Hub: a README that says what is known of it."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

import torch
import yaml  # type: ignore[import-untyped,unused-ignore]  # stubs are another package

from flash import __version__
from flash.data.messages import show_values
from flash.plugins import get_host

__all__ = ["MARK", "TaskFacts", "is_written_by_flash", "model_card"]

#: The line by which a card is known as one that may be written again.
MARK = "<!-- Written by Flash. Without this line, a save keeps your text. -->"


class TaskFacts(TypedDict):
    """Facts of a task that its card states."""

    #: The name of its class.
    name: str
    #: Its description in a checkpoint (:func:`flash.serialization.describe`).
    task: Mapping[str, Any]
    #: Facts of the data, such as ``labels``.
    data: Mapping[str, Any]
    #: The other arguments of the task that are numbers and texts.
    arguments: Mapping[str, Any]
    #: The class of the finetuning strategy, if it is known.
    strategy: str | None
    #: The metrics of each epoch (:attr:`flash.Task.history`).
    history: Sequence[Mapping[str, float]]


def model_card(facts: TaskFacts, source: str, scores: Mapping[str, float] | None = None) -> str:
    """Return the text of a model card, with a header in YAML that the Hub reads.

    Args:
        facts: What is known of the task.
        source: The name or the folder to load it from.
        scores: Scores by name, such as the result of ``trainer.test``.

    Example:
        >>> from flash import Task
        >>> facts = {"name": "Task", "task": {"spec": None, "dist": "flash-core", "version": "1"}, "data": {},
        ...          "arguments": {}, "strategy": None, "history": []}
        >>> print(model_card(facts, "owner/name").partition("##")[0])
        ---
        library_name: flash
        tags:
        - flash
        ---
        <BLANKLINE>
        <!-- Written by Flash. Without this line, a save keeps your text. -->
        <BLANKLINE>
        # Task
        <BLANKLINE>
        <BLANKLINE>
    """
    spec = facts["task"].get("spec")
    header: dict[str, Any] = {"library_name": "flash", "tags": ["flash", *([spec.replace("/", "-")] if spec else [])]}
    names = _names_of_metrics([*facts["history"], scores or {}])
    if names:
        header["metrics"] = names
    parts = [
        f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---",
        MARK,
        f"# {_title(facts)}",
        *([_summary(spec)] if spec and _summary(spec) else []),
        *_usage(facts, source),
        *_section("Data", _table(("fact", "value"), _facts_of_data(facts["data"]))),
        *_section("Training", _training(facts)),
        *_section("Scores", _scores(facts["history"], scores)),
        *_section("Versions", _table(("package", "version"), _versions(facts["task"]))),
    ]
    return "\n\n".join(parts) + "\n"


def is_written_by_flash(card: str) -> bool:
    """Return whether a card is one of :func:`model_card`, whose owner did not ask to keep it.

    Example:
        >>> is_written_by_flash("# My model"), is_written_by_flash(MARK)
        (False, True)
    """
    return MARK in card


def _title(facts: TaskFacts) -> str:
    backbone = facts["arguments"].get("backbone")
    return _plain(facts["name"] if backbone is None else f"{facts['name']} on {backbone}")


def _summary(spec: str) -> str:
    found = get_host().tasks().get(spec)
    return found.spec.summary if found is not None else ""


def _usage(facts: TaskFacts, source: str) -> list[str]:
    packages = ['"flash-core[hub]"', *([str(facts["task"]["dist"])] if facts["task"].get("dist") else [])]
    packages = list(dict.fromkeys(each for each in packages if each != "flash-core"))
    return [
        "## Use",
        f"```bash\npip install {' '.join(packages)}\n```",
        f"```python\nimport flash\n\ntask = flash.Task.from_pretrained({source!r})\nprint(task.predict(inputs))\n```",
    ]


def _section(title: str, body: str) -> list[str]:
    return [f"## {title}", body] if body else []


def _facts_of_data(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    shown = [(name, show_values({name: value}).partition("=")[2]) for name, value in data.items() if value is not None]
    return [(name, text) for name, text in shown if text]


def _training(facts: TaskFacts) -> str:
    rows = [(name, repr(value)) for name, value in facts["arguments"].items() if value is not None]
    if facts["strategy"] is not None:
        rows.append(("strategy", facts["strategy"]))
    if facts["history"]:
        rows.append(("epochs", str(len(facts["history"]))))
    return _table(("argument", "value"), rows)


def _scores(history: Sequence[Mapping[str, float]], scores: Mapping[str, float] | None) -> str:
    parts = []
    if scores:
        parts.append(_table(("metric", "score"), [(name, f"{float(value):.4g}") for name, value in scores.items()]))
    if any(len(epoch) > 1 for epoch in history):
        names = [name for name in dict.fromkeys(name for epoch in history for name in epoch) if name != "epoch"]
        shown = history if len(history) <= 10 else [*history[:5], *history[-5:]]
        rows = [[epoch["epoch"], *(f"{epoch[name]:.4g}" if name in epoch else "" for name in names)] for epoch in shown]
        few = "" if shown is history else f" The first five and the last five of {len(history)} epochs:"
        parts.append(
            "Each epoch of the training. A run that stops early, or has the callback `keep_best`, ends with the "
            f"weights of the epoch that was best in validation, others with those of the last.{few}"
        )
        parts.append(_table(("epoch", *names), rows))
    return "\n\n".join(parts)


def _names_of_metrics(scores: Iterable[Mapping[str, float]]) -> list[str]:
    """Return the names of metrics without their stages."""
    names = [name for each in scores for name in each if name.startswith(("train_", "val_", "test_"))]
    short = sorted({name.partition("_")[2] for name in names})
    return [name for name in short if not name.startswith("loss")]


def _versions(task: Mapping[str, Any]) -> list[tuple[str, str]]:
    versions = {"flash-core": __version__, "torch": torch.__version__}
    if task.get("dist"):
        versions[str(task["dist"])] = str(task.get("version"))
    return list(versions.items())


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [[*map(_plain, row)] for row in rows]
    if not lines:
        return ""
    divider = ["---"] * len(header)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (map(_plain, header), divider, *lines))


def _plain(value: Any) -> str:
    """Return a value on one line, in which nothing is Markdown or HTML."""
    text = html.escape(" ".join(str(value).split()), quote=False)
    for sign in "\\`*_{}[]#|~":
        text = text.replace(sign, f"\\{sign}")
    return text

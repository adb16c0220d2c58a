"""Answers to questions: parts of their contexts, from files of SQuAD, tables and lists."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flash.data.messages import show
from flash.data.tables import is_missing
from flash.errors import DataError

from ..encoder import squad_entries

__all__ = ["Answer", "describe_answer", "is_squad", "read_answers", "read_squad", "rows_of"]

# The beginning of a file that is looked at.
_HEAD = 1 << 16


class Answer(NamedTuple):
    """An answer: its first character in the context, and its text."""

    start: int
    text: str


def describe_answer(text: str) -> str:
    """Return an answer as a person reads it.

    Example:
        >>> describe_answer("")
        '(no answer)'
    """
    return text or "(no answer)"


def read_answers(value: Any, context: str, where: str) -> list[Answer]:
    """Return the answers to a question.

    Args:
        value: ``{"text": [...], "answer_start": [...]}`` as in the datasets of the hub; a list of dicts of ``text`` and
            ``answer_start``; or a text that is in the context once. An empty list or text if there is no answer.
        context: The context.
        where: The place of the question in messages.

    Raises:
        DataError: If an answer is not in the context where it is said to be, or at several places.

    Example:
        >>> read_answers("London", "Ada lived in London.", "row 0")
        [Answer(start=13, text='London')]
    """
    if isinstance(value, Mapping) and not isinstance(value.get("text"), str):
        texts, starts = value.get("text"), value.get("answer_start")
        if texts is None or starts is None or len(texts) != len(starts):
            raise _malformed(value, where)
        value = [{"text": text, "answer_start": int(start)} for text, start in zip(texts, starts, strict=True)]
    if isinstance(value, str):
        return [] if not value.strip() else [Answer(_place_of(value, context, where), value)]
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list | tuple):
        raise _malformed(value, where)
    return [_answer(each, context, where) for each in value]


def _answer(value: Any, context: str, where: str) -> Answer:
    if isinstance(value, str):
        return Answer(_place_of(value, context, where), value)
    if not isinstance(value, Mapping) or not isinstance(value.get("text"), str) or not value["text"]:
        raise _malformed(value, where)
    text, start = value["text"], value.get("answer_start")
    if start is None:
        return Answer(_place_of(text, context, where), text)
    if not isinstance(start, int) or isinstance(start, bool) or start < 0 or not context.startswith(text, start):
        raise DataError(
            f"Expected the answer {show(text)} at the place {start!r} of the context of {where}, but there is "
            f"{show(context[max(0, start) : max(0, start) + len(text)] if isinstance(start, int) else '')}. Places are "
            "those of characters, counted from 0."
        )
    return Answer(start, text)


def _place_of(text: str, context: str, where: str) -> int:
    count = context.count(text)
    if count == 1:
        return context.index(text)
    found = "it is not" if not count else f"it is there {count} times"
    raise DataError(
        f"Expected the answer {show(text)} in the context of {where} once, but {found}. Pass its place too: "
        "{'text': ..., 'answer_start': 0}."
    )


def _malformed(value: Any, where: str) -> DataError:
    got = "nothing" if is_missing(value) else show(value)
    return DataError(
        f"Expected answers such as {{'text': ['London'], 'answer_start': [13]}}, or a text of the context, for "
        f"{where}, but got {got}. An empty text is no answer."
    )


def is_squad(file: Path) -> bool:
    """Return whether a file of JSON begins with articles that have paragraphs.

    Args:
        file: The file.
    """
    if file.suffix.lower() != ".json":
        return False
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD).decode("utf-8-sig", errors="ignore")
    except OSError:
        return False
    return head.lstrip().startswith("{") and '"data"' in head and '"paragraphs"' in head


def read_squad(file: str | Path) -> tuple[list[tuple[str, str]], list[Any]]:
    """Read a file of SQuAD 1.1 or 2.0: JSON of articles with paragraphs, of a context with questions each.

    Args:
        file: The file.

    Returns:
        The questions with their contexts, and a list of dicts of ``text`` and ``answer_start`` for each.

    Raises:
        DataError: If it is no such file.
    """
    path = Path(file).expanduser()
    if not os.path.isfile(path):  # reading a pipe would wait for ever
        raise DataError(f"Expected {file} to be a file of SQuAD, but there is no such file.")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        rows = [
            ((question, context), list(entry.get("answers", ()))) for question, context, entry in squad_entries(content)
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"Expected {file} to be a file of SQuAD, an object with 'data' of 'paragraphs' of 'context' and 'qas', but "
            f"reading it says: {type(error).__name__}: {error}. For one question per row use from_json."
        ) from error
    if not rows:
        raise DataError(f"Expected at least one question in {file}, but it has none.")
    return [pair for pair, _ in rows], [answers for _, answers in rows]


def rows_of(pairs: Sequence[tuple[str, str]], targets: Sequence[Any], stage: str) -> list[list[Answer]]:
    """Return the answers of all rows of a stage."""
    return [
        read_answers(target, context, f"row {row} (counted from 0) of the {stage} data")
        for row, ((_, context), target) in enumerate(zip(pairs, targets, strict=True))
    ]

"""Entities as spans of a text, such as ``{"start": 0, "end": 3, "label": "PER"}``, as tags of its words."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pytorch_lightning.utilities import rank_zero_only

from flash.data.messages import show
from flash.data.tables import is_missing
from flash.errors import DataError

from .sentences import Sentence, is_row, sentence_of
from .tags import OUTSIDE

__all__ = ["read_rows", "tags_of_spans"]

log = logging.getLogger(__name__)

_KEYS = ("start", "end", "label")


class _Span(NamedTuple):
    """A span with its label: its first character, and the one behind its last."""

    start: int
    end: int
    label: str


def read_rows(sources: Sequence[Any], targets: Any, stage: str) -> tuple[list[Sentence], list[list[Any]] | None]:
    """Return sentences with the tags of their words.

    Args:
        sources: A raw text or a list of words per row.
        targets: A list of tags per row, or a text with a tag for each word that spaces separate; for raw texts also a
            list of spans. ``None`` for prediction.
        stage: The stage, for messages.

    Raises:
        DataError: If a text or its tags are missing, there are not as many tags as words, or spans overlap or lie
            outside of the text.
    """
    if targets is None:
        return [sentence_of(source, _where(stage, row)) for row, source in enumerate(sources)], None
    sentences, rows, widened = [], [], 0
    for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
        where = _where(stage, row)
        spans = None if not isinstance(source, str) else _spans(target, where)
        if spans is not None:
            sentence = sentence_of(source, where)
            tags, moved = tags_of_spans(sentence, spans, where)
            widened += moved
        else:
            sentence, tags = sentence_of(source, where, is_split=True), _tags(target, where)
            if len(tags) != len(sentence):
                raise DataError(
                    f"Expected one tag per word, but {where} has {len(sentence)} words and {len(tags)} tags: "
                    f"{show(' '.join(sentence.words[:8]))} and {show(' '.join(map(str, tags[:8])))}. Correct it."
                )
        sentences.append(sentence)
        rows.append(tags)
    if widened:
        _report(widened, stage)
    return sentences, rows


def _where(stage: str, row: int) -> str:
    return f"row {row} (counted from 0) of the {stage} data"


@rank_zero_only
def _report(widened: int, stage: str) -> None:
    log.warning("%s entities of the %s data began or ended within a word, and have whole words now.", widened, stage)


def _tags(target: Any, where: str) -> list[Any]:
    if isinstance(target, str):
        return target.split()
    if is_row(target):
        return target.tolist() if hasattr(target, "tolist") else list(target)
    if is_missing(target):
        raise DataError(f"Expected the tags of the words of {where}, but there are none. Drop this row.")
    raise DataError(f"Expected a list of tags for the words of {where}, but got {show(target)}. Convert it.")


def _spans(target: Any, where: str) -> list[_Span] | None:
    """Return the entities of a raw text that are spans; ``None`` if they are tags."""
    if isinstance(target, Mapping):
        # The library datasets makes a dict of lists of a list of dicts.
        target = [dict(zip(target, each, strict=True)) for each in zip(*target.values(), strict=True)]
    if not is_row(target) or (len(target) and not all(isinstance(each, Mapping) or is_row(each) for each in target)):
        return None
    return [_span(each, where) for each in target]


def _span(value: Any, where: str) -> _Span:
    if isinstance(value, Mapping):
        missing = next((key for key in _KEYS if key not in value), None)
        parts = [value.get(key) for key in _KEYS]
    else:
        missing = None if len(value) == 3 else "label"
        parts = [*value, None, None, None][:3]
    start, end, label = parts
    whole = [isinstance(each, int) and not isinstance(each, bool) for each in (start, end)]
    if missing is not None or not all(whole) or not isinstance(label, str) or not label:
        raise DataError(
            f"Expected each entity as {{'start': 0, 'end': 3, 'label': 'PER'}}, or (0, 3, 'PER'), in {where}, with "
            f"places of characters, but got {show(value)}."
        )
    return _Span(start, end, label)  # type: ignore[arg-type]  # checked above


def tags_of_spans(sentence: Sentence, spans: Sequence[_Span], where: str) -> tuple[list[str], int]:
    """Return the tags of the words of a sentence, and how many spans were widened to whole words.

    Args:
        sentence: The sentence.
        spans: The start, the end and the label of each entity.
        where: The place of the sentence in messages.

    Raises:
        DataError: If a span lies outside of the text, has no word, or overlaps another one.

    Example:
        >>> tags_of_spans(Sentence.of_text("Ada Lovelace, London"), [(0, 12, "PER"), (14, 20, "LOC")], "the text")
        (['B-PER', 'I-PER', 'O', 'B-LOC'], 0)
    """
    tags, widened = [OUTSIDE] * len(sentence), 0
    for start, end, label in spans:
        shown = f"{{'start': {start}, 'end': {end}, 'label': {label!r}}}"
        if not 0 <= start < end <= len(sentence.text):
            raise DataError(
                f"Expected entities inside of the text of {where}, which has {len(sentence.text)} characters, but got "
                f"{shown}. The end is the place behind the last character."
            )
        words = list(_words_inside(sentence, start, end))
        if not words:
            raise DataError(f"Expected words in each entity of {where}, but {shown} has none. Leave it out.")
        if any(tags[word] != OUTSIDE for word in words):
            raise DataError(
                f"Expected entities that do not overlap, nor share a word, in {where}, but {shown} overlaps another "
                "one. A word can have one tag: keep one of the two."
            )
        text = sentence.text
        # Spaces at the edges of a span are no part of a word.
        first, last = start + _spaces(text[start:end]), end - _spaces(text[start:end][::-1])
        widened += (sentence.starts[words[0]], sentence.stops[words[-1]]) != (first, last)
        for place, word in enumerate(words):
            tags[word] = f"{'I' if place else 'B'}-{label}"
    return tags, widened


def _spaces(text: str) -> int:
    return len(text) - len(text.lstrip())


def _words_inside(sentence: Sentence, start: int, end: int) -> Iterator[int]:
    for word, (first, behind) in enumerate(zip(sentence.starts, sentence.stops, strict=True)):
        if first < end and behind > start:
            yield word

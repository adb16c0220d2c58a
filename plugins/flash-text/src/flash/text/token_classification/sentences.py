"""Sentences: a text with the places of its words, from a list of words or from raw text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flash.data.messages import show
from flash.data.pieces import WORD
from flash.data.tables import is_missing
from flash.errors import DataError

from ..encoder import words_in

__all__ = ["Sentence", "is_row", "sentence_of"]


class Sentence:
    """A text with the places of its words; words that were given as a list are joined by spaces.

    Args:
        text: The text.
        starts: The first character of each word.
        stops: The character behind the last one of each word.

    Example:
        >>> Sentence.of_words(["Ada", "lives", "here"]).text
        'Ada lives here'
        >>> Sentence.of_text("Ada's 東京!").words
        ['Ada', "'", 's', '東', '京', '!']
    """

    # No dataclass: Lightning would look into it for tensors.
    __slots__ = ("starts", "stops", "text")

    def __init__(self, text: str, starts: tuple[int, ...], stops: tuple[int, ...]) -> None:
        self.text = text
        self.starts = starts
        self.stops = stops

    @classmethod
    def of_words(cls, words: Sequence[str]) -> Sentence:
        """Make a sentence of words."""
        words = [_whole(word) for word in words]
        starts, stops, place = [], [], 0
        for word in words:
            starts.append(place)
            stops.append(place + len(word))
            place += len(word) + 1
        return cls(" ".join(words), tuple(starts), tuple(stops))

    @classmethod
    def of_text(cls, text: str) -> Sentence:
        """Make a sentence of a raw text.

        Words are separated by spaces; each character of punctuation is a word of its own, and so is each character of
        a script that is written without spaces.
        """
        text = _whole(text)
        places = words_in(text, WORD)
        return cls(text, tuple(start for start, _ in places), tuple(stop for _, stop in places))

    @property
    def words(self) -> list[str]:
        """The words."""
        return [self.text[start:stop] for start, stop in zip(self.starts, self.stops, strict=True)]

    def __len__(self) -> int:
        return len(self.starts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sentence):
            return NotImplemented
        return (self.text, self.starts, self.stops) == (other.text, other.starts, other.stops)

    def __hash__(self) -> int:
        return hash((self.text, self.starts))

    def __repr__(self) -> str:
        return f"Sentence({self.text!r})"


def _whole(text: str) -> str:
    """Return a text without halves of characters, which UTF-8 cannot encode, and of the same length."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def sentence_of(value: Any, where: str, *, is_split: bool = False) -> Sentence:
    """Return a value as a sentence.

    Args:
        value: A raw text, a list of words, or a sentence.
        where: The place of the value in messages.
        is_split: Whether the words of a text are separated by spaces alone, as its tags are.

    Raises:
        DataError: If it is missing or something else.
    """
    if isinstance(value, Sentence):
        return value
    if isinstance(value, str):
        return Sentence.of_words(value.split()) if is_split else Sentence.of_text(value)
    if is_row(value):
        words = list(value)
        odd = [word for word in words if not isinstance(word, str) or not word]
        if not odd:
            return Sentence.of_words(words)
        raise DataError(
            f"Expected words that are texts in {where}, but one of them is {show(odd[0])}. Convert it, or leave it out."
        )
    if is_missing(value):
        raise DataError(f"Expected a text or a list of words in {where}, but there is none. Drop this row.")
    raise DataError(f"Expected a text or a list of words in {where}, but got {show(value)}. Convert it.")


def is_row(value: Any) -> bool:
    """Return whether a value is a list, a tuple, or an array of one dimension."""
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1)

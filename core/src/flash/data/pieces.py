"""The pieces of a sample, such as the words of a text or the patches of an image, and the sample without some."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from flash.data.display import Display, check_displays
from flash.errors import ConfigurationError

__all__ = [
    "WORD",
    "Box",
    "Pieces",
    "Span",
    "check_pieces",
    "patches_of",
    "without_patches",
    "without_words",
    "words_of",
]

# A word is what spaces divide; in scripts without spaces, a character.
_CHARACTER = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
#: The regular expression of a word.
WORD = rf"[{_CHARACTER}]|[^\s{_CHARACTER}]+"


@dataclass(frozen=True)
class Span:
    """A piece of a text, such as a word.

    Args:
        start: The index of its first character.
        stop: The index after its last character.
        field: The name of the text, if a person looks at several texts by name.
    """

    start: int
    stop: int
    field: str | None = None


@dataclass(frozen=True)
class Box:
    """A piece of an image, in pixels of what a person looks at; right and bottom are not part of it."""

    left: int
    top: int
    right: int
    bottom: int


#: Where a piece is in what a person looks at.
Place: TypeAlias = Span | Box


@dataclass(frozen=True)
class Pieces:
    """Pieces that a sample is divided into, and the sample without some of them.

    Args:
        shown: What a person looks at: a text, values by name, or an image, as :meth:`flash.Preprocess.display` returns.
        places: Where each piece is in it: a :class:`Span` of a text, or a :class:`Box` of an image.
        without: Called with one collection of pieces, by their index, for each sample to make; returns the samples
            without these pieces, in the form of those that the hook got. Without no piece it is the sample as it was.

    Example:
        >>> text, words = "not bad", words_of("not bad")
        >>> pieces = Pieces(text, words, lambda each: [without_words(text, words, out) for out in each])
        >>> pieces.without([[], [0]])
        ['not bad', 'bad']
    """

    shown: Display
    places: Sequence[Place]
    without: Callable[[Sequence[Collection[int]]], Any]


def check_pieces(pieces: Any, owner: str) -> Pieces | None:
    """Return the result of a ``pieces`` hook, if each piece is inside of what a person looks at.

    Args:
        pieces: The result of the hook.
        owner: The name of the hook in messages, such as ``"AudioPreprocess.pieces"``.

    Raises:
        ConfigurationError: If it is not.

    Example:
        >>> check_pieces(Pieces("sun", [Span(0, 3)], list), "AudioPreprocess.pieces").places
        [Span(start=0, stop=3, field=None)]
    """
    if pieces is None:
        return None
    if not isinstance(pieces, Pieces):
        raise ConfigurationError(
            f"Expected {owner} to return flash.data.pieces.Pieces, or None for a sample that is one whole, but got a "
            f"{type(pieces).__name__}. Return Pieces(shown, places, without)."
        )
    check_displays([pieces.shown], 1, owner)
    for place in pieces.places:
        if not _is_inside(place, pieces.shown):
            raise ConfigurationError(
                f"Expected {owner} to return places inside of what is shown, a Span of a text or a Box of an image, "
                f"but got {place} for {_size(pieces.shown)}. Count characters, or pixels, of what is shown."
            )
    return pieces


def _is_inside(place: Any, shown: Display) -> bool:
    if isinstance(shown, np.ndarray):
        height, width = shown.shape[:2]
        return (
            isinstance(place, Box)
            and 0 <= place.left < place.right <= width
            and 0 <= place.top < place.bottom <= height
        )
    if not isinstance(place, Span):
        return False
    text = shown.get(place.field or "") if isinstance(shown, Mapping) else shown if place.field is None else None
    return text is not None and 0 <= place.start < place.stop <= len(str(text))


def _size(shown: Display) -> str:
    if isinstance(shown, np.ndarray):
        return f"an image of {shown.shape[1]} x {shown.shape[0]} pixels"
    if isinstance(shown, Mapping):
        return "texts of " + ", ".join(f"{len(str(text))} characters ({name})" for name, text in shown.items())
    return f"a text of {len(shown)} characters"


def words_of(text: str, most: int | None = None, field: str | None = None) -> list[Span]:
    """Return where the words of a text are: what spaces divide; in scripts without spaces, each character.

    Args:
        text: The text.
        most: The greatest number of pieces; neighboring words are one piece if there are more words. ``None`` for all.
        field: The name of the text.

    Example:
        >>> [(span.start, span.stop) for span in words_of("a fine  film")]
        [(0, 1), (2, 6), (8, 12)]
        >>> [(span.start, span.stop) for span in words_of("a fine  film", most=2)]
        [(0, 6), (8, 12)]
    """
    found = [each.span() for each in re.finditer(WORD, text)]
    size = 1 if most is None else max(1, math.ceil(len(found) / max(1, most)))
    groups = [found[first : first + size] for first in range(0, len(found), size)]
    return [Span(group[0][0], group[-1][1], field) for group in groups]


def without_words(text: str, words: Sequence[Span], left_out: Collection[int]) -> str:
    """Return a text without some of its words, and without the spaces after them.

    Args:
        text: The text.
        words: Where its words are, in order.
        left_out: The indices of the words to leave out.

    Example:
        >>> without_words("a fine  film", words_of("a fine  film"), [1])
        'a film'
    """
    if not left_out:
        return text
    starts = [word.start for word in words] + [len(text)]
    kept = [text[starts[place] : starts[place + 1]] for place in range(len(words)) if place not in left_out]
    return (text[: starts[0]] + "".join(kept)).rstrip()


def patches_of(height: int, width: int, most: int) -> list[Box]:
    """Return a grid of patches of an image, nearly square, from the upper left to the lower right.

    Args:
        height: The height of the image in pixels.
        width: Its width.
        most: The greatest number of patches.

    Example:
        >>> patches_of(20, 30, 6)[:2]
        [Box(left=0, top=0, right=10, bottom=10), Box(left=10, top=0, right=20, bottom=10)]
    """
    rows = min(height, most, max(1, round(math.sqrt(most * height / width))))
    columns = min(width, max(1, most // rows))
    ys = [round(place * height / rows) for place in range(rows + 1)]
    xs = [round(place * width / columns) for place in range(columns + 1)]
    return [Box(xs[column], ys[row], xs[column + 1], ys[row + 1]) for row in range(rows) for column in range(columns)]


def without_patches(image: np.ndarray[Any, Any], patches: Sequence[Box], left_out: Collection[int]) -> Any:
    """Return a copy of an image with some of its patches replaced by the mean color of the image.

    Args:
        image: The image, shape ``(height, width, channels)``, of uint8.
        patches: Its patches.
        left_out: The indices of the patches to replace.

    Source:
        Zeiler and Fergus, *Visualizing and Understanding Convolutional Networks*, https://arxiv.org/abs/1311.2901,
        section 4.2, where patches are gray.

    Example:
        >>> image = np.array([[[0], [60], [60], [0]]], np.uint8)
        >>> without_patches(image, patches_of(1, 4, 2), [0])[0, :, 0].tolist()
        [30, 30, 60, 0]
    """
    changed = image.copy()
    mean = image.mean((0, 1)).round().astype(image.dtype)
    for place in left_out:
        patch = patches[place]
        changed[patch.top : patch.bottom, patch.left : patch.right] = mean
    return changed

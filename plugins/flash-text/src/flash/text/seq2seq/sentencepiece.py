"""Read the files of SentencePiece, of which a tokenizer of the package tokenizers is made, without that library.

A file is a message of protocol buffers, of which three fields of pieces and four of the normalizer are needed here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flash.download.pretrained import HubError
from flash.errors import ConfigurationError

__all__ = ["SentencePieces", "read_sentencepieces"]

# The numbers of fields and values in sentencepiece_model.proto.
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_PIECE, _SCORE, _TYPE = 1, 2, 3
_MODEL_TYPE, _CHARACTERS, _DUMMY_PREFIX, _EXTRA_SPACES = 3, 2, 3, 4
_NORMAL, _USER_DEFINED, _UNIGRAM = 1, 4, 1


@dataclass(frozen=True)
class SentencePieces:
    """The pieces of a unigram model, and how texts are normalized.

    Args:
        scores: The logarithm of the probability of each piece, without unknown and control pieces.
        characters: The precompiled map of characters; empty if none are replaced.
        dummy_prefix: Whether a space is put before each text.
        remove_extra_spaces: Whether spaces at both ends, and all but one of several, are removed.
    """

    scores: dict[str, float]
    characters: bytes
    dummy_prefix: bool
    remove_extra_spaces: bool


def read_sentencepieces(path: Path) -> SentencePieces:
    """Read a file such as ``source.spm``.

    Raises:
        HubError: If the file is damaged.
        ConfigurationError: If the model is no unigram model.
    """
    try:
        found = _read(path.read_bytes())
    except (ValueError, IndexError, TypeError, struct.error) as error:
        raise HubError(
            f"Expected a model of SentencePiece in {path}, but it is damaged ({error}). Copy or download the "
            "checkpoint again."
        ) from error
    if found is None:
        raise ConfigurationError(
            f"Expected a unigram model of SentencePiece in {path}, but it is of another type. Choose another "
            "checkpoint."
        )
    return found


def _read(data: bytes) -> SentencePieces | None:
    scores: dict[str, float] = {}
    trainer: dict[int, Any] = {}
    normalizer: dict[int, Any] = {}
    for number, value in _fields(data):
        if number == _PIECES:
            piece = dict(_fields(value))
            if piece.get(_TYPE, _NORMAL) in (_NORMAL, _USER_DEFINED):
                scores[piece[_PIECE].decode("utf-8")] = piece.get(_SCORE, 0.0)
        elif number == _TRAINER:
            trainer = dict(_fields(value))
        elif number == _NORMALIZER:
            normalizer = dict(_fields(value))
    if not scores:
        raise ValueError("it has no pieces")
    if trainer.get(_MODEL_TYPE, _UNIGRAM) != _UNIGRAM:
        return None
    return SentencePieces(
        scores,
        normalizer.get(_CHARACTERS, b""),
        bool(normalizer.get(_DUMMY_PREFIX, True)),
        bool(normalizer.get(_EXTRA_SPACES, True)),
    )


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the number and the value of each field: a whole number, 4 bytes as a float, 8 bytes, or bytes."""
    place = 0
    while place < len(data):
        key, place = _whole_number(data, place)
        number, kind = key >> 3, key & 7
        value: Any
        if kind == 0:
            value, place = _whole_number(data, place)
        elif kind == 5:
            (value,) = struct.unpack_from("<f", data, place)
            place += 4
        elif kind in (1, 2):
            size, place = (8, place) if kind == 1 else _whole_number(data, place)
            value = data[place : place + size]
            place += size
        else:
            raise ValueError(f"a field of the kind {kind}")
        if place > len(data):
            raise ValueError("it is truncated")
        yield number, value


def _whole_number(data: bytes, place: int) -> tuple[int, int]:
    """Return a number of 7 bits a byte, lowest first, and the place behind it."""
    number = shift = 0
    while True:
        byte = data[place]
        number |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return number, place

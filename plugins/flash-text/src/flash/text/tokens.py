"""Tokenization: token ids of many texts in one array, and batches that are padded to their longest text."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from flash.data.portable import Portable, TensorSpec
from flash.errors import ConfigurationError, DataError

from . import encoder
from .texts import PackedPairs, PackedTexts

__all__ = ["TokenStore", "pad", "portable_tokens", "token_inputs", "tokenize"]

Ids = npt.NDArray[np.int32]
#: Takes a list of texts and returns a list of lists of token ids, or a mapping that has them as ``input_ids``.
Tokenizer: TypeAlias = Callable[[list[str]], Any]
#: A tokenizer, or the name or folder of a checkpoint that has one, or its description in a checkpoint of a task.
TokenizerSpec: TypeAlias = Tokenizer | str | Path | Mapping[str, Any]

# The number of ids that are collected in a list before it is converted to an array.
_PIECE_SIZE = 1_000_000


class TokenStore:
    """The token ids of many texts: one flat array, and the offset of each text.

    An element is the ids of a text, shape ``(tokens,)``; with segments it is the ids and the segment of each token,
    shape ``(2, tokens)``.

    Args:
        ids: The concatenated ids of all texts, shape ``(tokens,)``.
        offsets: The start of each text, and the end of the last one, shape ``(texts + 1,)``.
        segments: The segment of each token (``token_type_ids``), shape ``(tokens,)``, for pairs of texts.

    Example:
        >>> store = TokenStore.collect([[101, 7, 102], [101, 102]])
        >>> store[0], store.lengths
        (array([101,   7, 102], dtype=int32), tensor([3, 2]))
    """

    def __init__(self, ids: Ids, offsets: npt.NDArray[np.int64], segments: npt.NDArray[np.uint8] | None = None) -> None:
        self.ids = ids
        self.offsets = offsets
        self.segments = segments

    @classmethod
    def collect(cls, rows: Iterable[Sequence[int]]) -> TokenStore:
        """Make a store from the ids of each text; they are iterated once."""
        pieces: list[Ids] = []
        lengths: list[int] = []
        piece: list[int] = []
        for row in rows:
            piece.extend(row)
            lengths.append(len(row))
            if len(piece) > _PIECE_SIZE:
                pieces.append(np.array(piece, dtype=np.int32))
                piece = []
        pieces.append(np.array(piece, dtype=np.int32))
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return cls(np.concatenate(pieces), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Ids:
        place = slice(self.offsets[row], self.offsets[row + 1])
        return self.ids[place] if self.segments is None else np.stack([self.ids[place], self.segments[place]])

    @property
    def lengths(self) -> Tensor:
        """The number of tokens per text, shape ``(texts,)``."""
        return torch.from_numpy(np.diff(self.offsets))

    @property
    def nbytes(self) -> int:
        """The size of the tokens in memory, in bytes."""
        return self.ids.nbytes + self.offsets.nbytes + (0 if self.segments is None else self.segments.nbytes)


def tokenize(
    tokenizer: Tokenizer,
    texts: PackedTexts | PackedPairs,
    max_length: int,
    pad_id: int = 0,
    segments: bool = False,
) -> tuple[TokenStore, int]:
    """Tokenize texts, or pairs of texts, block by block.

    A text without tokens becomes a single padding token, since attention needs at least one token. Of a pair that is
    too long, tokens are removed from the end of its longer text.

    Args:
        tokenizer: A fast tokenizer of transformers, which adds its special tokens; or a callable from a list of texts
            to a list of lists of ids.
        texts: The texts, or pairs of texts.
        max_length: The maximum number of tokens per text or pair, including special tokens; longer ones are truncated.
        pad_id: The id of the padding token.
        segments: Whether to keep the segments of the tokens of pairs.

    Returns:
        The tokens, and the number of truncated texts.

    Raises:
        DataError: If a callable does not return one list of ids per text.
        ConfigurationError: If a callable should tokenize pairs, or a pair leaves no room for its special tokens.

    Example:
        >>> letters = lambda texts: [[ord(letter) for letter in text] for text in texts]
        >>> store, truncated = tokenize(letters, PackedTexts(["abc", "d", ""]), max_length=2)
        >>> store.ids.tolist(), store.lengths.tolist(), truncated
        ([97, 98, 100, 0], [2, 1, 1], 1)
    """
    truncated = 0
    found = array("B")
    are_pairs = isinstance(texts, PackedPairs)
    if are_pairs:
        _check_pairs(tokenizer, max_length)

    def rows() -> Iterator[Sequence[int]]:
        nonlocal truncated
        encode = _by_transformers if isinstance(tokenizer, PreTrainedTokenizerBase) else _by_callable
        for ids, parts, was_truncated in encode(tokenizer, texts, max_length):
            truncated += was_truncated
            if are_pairs and segments:
                found.extend(parts or [0])
            yield ids or [pad_id]

    store = TokenStore.collect(rows())
    if are_pairs and segments:
        store.segments = np.array(found, dtype=np.uint8)
    return store, truncated


def _check_pairs(tokenizer: Any, max_length: int) -> None:
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise ConfigurationError(
            "Expected a tokenizer of transformers for pairs of texts, but got a callable, which takes one text each. "
            "Join the two texts of each pair to one."
        )
    special = tokenizer.num_special_tokens_to_add(pair=True)
    if max_length <= special:
        raise ConfigurationError(
            f"Expected max_length to be at least {special + 1} for pairs of texts ({special} tokens are special), but "
            f"got {max_length}."
        )


def _by_transformers(tokenizer: Any, texts: Any, max_length: int) -> Iterator[tuple[list[int], list[int], bool]]:
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.enable_truncation(max_length, direction=tokenizer.truncation_side)
    # The fast variant of newer versions computes no offsets, which are not needed here.
    encode = getattr(backend, "encode_batch_fast", backend.encode_batch)
    for block in texts.blocks():
        for encoding in encode(block):
            yield encoding.ids, encoding.type_ids, bool(encoding.overflowing)


def _by_callable(tokenizer: Any, texts: Any, max_length: int) -> Iterator[tuple[list[int], list[int], bool]]:
    for block in texts.blocks():
        output = tokenizer(block)
        ids = output["input_ids"] if isinstance(output, Mapping) else output
        rows = [row.tolist() if isinstance(row, Tensor | np.ndarray) else row for row in ids]
        if len(rows) != len(block) or not all(isinstance(row, list) for row in rows):
            raise DataError(
                "Expected the tokenizer to take a list of texts and return a list of ids per text, but for "
                f"{len(block)} texts it returned {_described(output)}."
            )
        yield from ((row[:max_length], [], len(row) > max_length) for row in rows)


def _described(output: Any) -> str:
    inside = f" of {len(output)} {type(output[0]).__name__}" if isinstance(output, list) and output else ""
    return f"a {type(output).__name__}{inside}"


def pad(rows: Sequence[Ids], pad_id: int = 0, length: int | None = None) -> dict[str, Tensor]:
    """Pad the token ids of texts to the longest one.

    Args:
        rows: The token ids of each text, shape ``(tokens,)``; or with their segments, shape ``(2, tokens)``.
        pad_id: The id of the padding token.
        length: The length to pad to; by default that of the longest text.

    Returns:
        ``input_ids`` and ``attention_mask`` (1 for tokens, 0 for padding), each of shape ``(texts, longest)``; with
        segments also ``token_type_ids`` of this shape, 0 for padding.

    Example:
        >>> pad([np.array([5, 6, 7]), np.array([8])])["input_ids"]
        tensor([[5, 6, 7],
                [8, 0, 0]])
    """
    lengths = np.array([row.shape[-1] for row in rows])
    mask = np.arange(lengths.max() if length is None else length) < lengths[:, None]
    ids = np.full(mask.shape, pad_id, dtype=np.int64)
    tokens = np.concatenate(rows, axis=-1)
    ids[mask] = tokens if tokens.ndim == 1 else tokens[0]
    padded = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask.astype(np.int64))}
    if tokens.ndim == 2:
        segments = np.zeros(mask.shape, dtype=np.int64)
        segments[mask] = tokens[1]
        padded["token_type_ids"] = torch.from_numpy(segments)
    return padded


def token_inputs(
    tokenizer: Tokenizer, max_length: int, length: int | None = None, segments: bool = False
) -> dict[str, TensorSpec]:
    """Return what the inputs of :func:`pad` are, for the export of a network.

    Args:
        tokenizer: The tokenizer.
        max_length: The maximum number of tokens per text.
        length: As for :func:`pad`.
        segments: Whether there are ``token_type_ids``.
    """
    # How many ids a callable has is unknown, but there are two.
    count = len(tokenizer) if isinstance(tokenizer, PreTrainedTokenizerBase) else 2
    shape: tuple[int | str, ...] = ("batch", "length" if length is None else length)
    names: dict[str, int | str] = {
        "input_ids": count,
        "attention_mask": "mask",
        **({"token_type_ids": 2} if segments else {}),
    }
    return {name: TensorSpec("int64", shape, values, longest=max_length) for name, values in names.items()}


def portable_tokens(inputs: Mapping[str, TensorSpec], tokenizer: Tokenizer, settings: Mapping[str, Any]) -> Portable:
    """Return the inputs with the file of the tokenizer, and its settings for the encoder of texts.

    Args:
        inputs: The inputs.
        tokenizer: The tokenizer; a callable has no file.
        settings: The other settings of :mod:`flash.text.encoder`.
    """
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        return Portable(inputs, reason="the tokenizer is a function, which no file can hold")
    return Portable(
        inputs,
        encoder=encoder.__name__,
        settings={**settings, "truncation_side": tokenizer.truncation_side},
        files={"tokenizer.json": tokenizer.backend_tokenizer.to_str()},
        requires=("tokenizers",),
    )

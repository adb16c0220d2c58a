"""Token ids of many texts in one tensor, and batches that are padded to their own longest text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from flash.errors import DataError

from .texts import PackedTexts

__all__ = ["TokenStore", "pad", "tokenize"]

Ids = npt.NDArray[np.int32]
#: Takes a list of texts and gives a list of lists of token ids, or a mapping that has them as ``input_ids``.
Tokenizer = Callable[[list[str]], Any]

# Ids that are collected in a list before they become an array.
_PIECE = 1_000_000


class TokenStore:
    """The token ids of many texts: one flat array, and where each text starts.

    Args:
        ids: The ids of all texts, one after the other, shape ``(tokens,)``.
        offsets: Where each text starts, and at last the end, shape ``(texts + 1,)``.

    Example:
        >>> store = TokenStore.collect([[101, 7, 102], [101, 102]])
        >>> store[0], store.lengths
        (array([101,   7, 102], dtype=int32), tensor([3, 2]))
    """

    def __init__(self, ids: Ids, offsets: npt.NDArray[np.int64]) -> None:
        self.ids = ids
        self.offsets = offsets

    @classmethod
    def collect(cls, rows: Iterable[Sequence[int]]) -> TokenStore:
        """Store the ids of each text; they are read once."""
        pieces: list[Ids] = []
        lengths: list[int] = []
        piece: list[int] = []
        for row in rows:
            piece.extend(row)
            lengths.append(len(row))
            if len(piece) > _PIECE:
                pieces.append(np.array(piece, dtype=np.int32))
                piece = []
        pieces.append(np.array(piece, dtype=np.int32))
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return cls(np.concatenate(pieces), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Ids:
        return self.ids[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> Tensor:
        """How many tokens each text has, shape ``(texts,)``."""
        return torch.from_numpy(np.diff(self.offsets))

    @property
    def nbytes(self) -> int:
        """The memory that the tokens take, in bytes."""
        return self.ids.nbytes + self.offsets.nbytes


def tokenize(tokenizer: Tokenizer, texts: PackedTexts, max_length: int, pad_id: int = 0) -> tuple[TokenStore, int]:
    """Tokenize texts, many at a time.

    A text without any token becomes a single padding token, since attention needs something to look at.

    Args:
        tokenizer: A fast tokenizer of transformers, which adds its special tokens; or a callable that takes a list of
            texts and gives a list of lists of ids.
        texts: The texts.
        max_length: How many tokens a text may have, the special ones included; further ones are cut off.
        pad_id: The padding token.

    Returns:
        The tokens, and how many texts were cut.

    Raises:
        DataError: If a callable gives something else than a list of ids for each text.

    Example:
        >>> letters = lambda texts: [[ord(letter) for letter in text] for text in texts]
        >>> store, cut = tokenize(letters, PackedTexts(["abc", "d", ""]), max_length=2)
        >>> store.ids.tolist(), store.lengths.tolist(), cut
        ([97, 98, 100, 0], [2, 1, 1], 1)
    """
    cut = 0

    def rows() -> Iterator[Sequence[int]]:
        nonlocal cut
        encode = _by_transformers if isinstance(tokenizer, PreTrainedTokenizerBase) else _by_callable
        for ids, was_cut in encode(tokenizer, texts, max_length):
            cut += was_cut
            yield ids or [pad_id]

    return TokenStore.collect(rows()), cut


def _by_transformers(tokenizer: Any, texts: PackedTexts, max_length: int) -> Iterator[tuple[list[int], bool]]:
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.enable_truncation(max_length, direction=tokenizer.truncation_side)
    # Without offsets, which nobody needs here, where the installed version can do that.
    encode = getattr(backend, "encode_batch_fast", backend.encode_batch)
    for block in texts.blocks():
        for encoding in encode(block):
            yield encoding.ids, bool(encoding.overflowing)


def _by_callable(tokenizer: Any, texts: PackedTexts, max_length: int) -> Iterator[tuple[list[int], bool]]:
    for block in texts.blocks():
        given = tokenizer(block)
        ids = given["input_ids"] if isinstance(given, Mapping) else given
        rows = [row.tolist() if isinstance(row, Tensor | np.ndarray) else row for row in ids]
        if len(rows) != len(block) or not all(isinstance(row, list) for row in rows):
            raise DataError(
                "Expected the tokenizer to take a list of texts and give a list of ids for each, but for "
                f"{len(block)} texts it gave {_described(given)}."
            )
        yield from ((row[:max_length], len(row) > max_length) for row in rows)


def _described(given: Any) -> str:
    inside = f" of {len(given)} {type(given[0]).__name__}" if isinstance(given, list) and given else ""
    return f"a {type(given).__name__}{inside}"


def pad(rows: Sequence[Ids], pad_id: int = 0) -> dict[str, Tensor]:
    """Make a batch of texts, as wide as its longest text.

    Args:
        rows: The token ids of each text.
        pad_id: What fills the ends of the shorter ones.

    Returns:
        ``input_ids`` and ``attention_mask`` (1 for tokens, 0 for padding), each of shape ``(texts, longest)``.

    Example:
        >>> pad([np.array([5, 6, 7]), np.array([8])])["input_ids"]
        tensor([[5, 6, 7],
                [8, 0, 0]])
    """
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, pad_id, dtype=np.int64)
    ids[mask] = np.concatenate(rows)
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask.astype(np.int64))}

"""Pairs of texts that are tokenized once, when a task has said how."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from flash.data.stage import Stage

from ..texts import PackedTexts
from ..tokens import Ids, TokenStore, tokenize

__all__ = ["Encoding", "Pair", "TextPairs", "TokenPairs", "pad_labels"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Encoding:
    """How texts become the tokens that a network expects: the ``input_spec`` of tasks that write texts.

    Args:
        tokenizer: A fast tokenizer of transformers.
        prefix: What stands before each text that is read, such as ``"summarize: "``.
        max_source_length: How many tokens of a text are read, prefix and special ones included.
        max_target_length: How many tokens of a target are learned, special ones included.
        pad_id: The padding token.
    """

    tokenizer: PreTrainedTokenizerFast
    prefix: str
    max_source_length: int
    max_target_length: int
    pad_id: int

    def encode(self, texts: PackedTexts, what: str, stage: Stage) -> TokenStore:
        """Tokenize sources or targets, and say how many had to be cut."""
        is_source = what == "texts"
        max_length = self.max_source_length if is_source else self.max_target_length
        if is_source and self.prefix:
            texts = PackedTexts(self.prefix + text for text in texts)
        tokens, cut = tokenize(self.tokenizer, texts, max_length, self.pad_id)
        if cut:
            _report(cut, len(texts), f"{stage.value} {what}", max_length)
        return tokens


@rank_zero_only
def _report(cut: int, total: int, what: str, max_length: int) -> None:
    log.warning("%s of %s %s were cut to %s tokens.", f"{cut:,}", f"{total:,}", what, max_length)


@dataclass(frozen=True)
class Pair:
    """The token ids of a text to read and of the text to write.

    Args:
        source: The ids of the text to read.
        target: The ids of the text to write.
        row: Which of ``pairs`` it is.
        pairs: The samples that it is one of.
    """

    source: Ids
    target: Ids
    row: int
    pairs: TokenPairs

    @property
    def text(self) -> str:
        """The text to write, as it was given."""
        return self.pairs.references[self.row]


class TextPairs:
    """The samples of a dataset before they are tokenized: each text to read, with the text to write where it is known.

    Args:
        sources: The texts to read.
        targets: The texts to write, where they are known.
    """

    def __init__(self, sources: PackedTexts, targets: PackedTexts | None = None) -> None:
        self.sources = sources
        self.targets = targets

    def tokenized(self, encoding: Encoding, stage: Stage) -> TokenPairs:
        """Return the samples as token ids."""
        targets = None if self.targets is None else encoding.encode(self.targets, "targets", stage)
        return TokenPairs(encoding.encode(self.sources, "texts", stage), targets, self.targets)

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, row: int) -> str | tuple[str, str]:
        source = self.sources[row]
        return source if self.targets is None else (source, self.targets[row])


class TokenPairs:
    """The samples of a dataset: a :class:`Pair` for each text to read; its token ids alone where there is no target.

    Args:
        sources: The token ids of the texts to read.
        targets: The token ids of the texts to write, where they are known.
        texts: The texts to write, for metrics to compare with what was generated.
    """

    def __init__(self, sources: TokenStore, targets: TokenStore | None, texts: PackedTexts | None) -> None:
        self.sources = sources
        self.targets = targets
        self.texts = texts

    @property
    def lengths(self) -> Tensor:
        """The number of tokens of each text to read, shape ``(pairs,)``.

        Behind the point, the lengths of the texts to write decide between equals: batches are of similar ones too.
        """
        lengths = self.sources.lengths.double()
        if self.targets is not None:
            written = self.targets.lengths.double()
            lengths += written / (written.max() + 1)
        return lengths

    @cached_property
    def references(self) -> list[str]:
        """The texts to write."""
        return [] if self.texts is None else list(self.texts)

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, row: int) -> Ids | Pair:
        source = self.sources[row]
        return source if self.targets is None else Pair(source, self.targets[row], row, self)


def pad_labels(rows: Sequence[Ids]) -> Tensor:
    """Make labels of the ids of texts to write; the loss leaves out what is behind their ends (-100).

    Example:
        >>> import numpy as np
        >>> pad_labels([np.array([5, 1]), np.array([1])])
        tensor([[   5,    1],
                [   1, -100]])
    """
    tensors = [torch.from_numpy(row).long() for row in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=-100)

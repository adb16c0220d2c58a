"""Pairs of texts that are tokenized once, when a task has said how."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from flash.data.stage import Stage
from flash.errors import DataError

from ..texts import PackedTexts
from ..tokens import Ids, TokenStore, tokenize

__all__ = ["Encoding", "Pair", "TextPairs", "pad_labels"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Encoding:
    """How a task wants its texts as tokens.

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
    """The token ids of a text to read and of the text to write."""

    source: Ids
    target: Ids
    row: int
    pairs: TextPairs

    @property
    def text(self) -> str:
        """The text to write, as it was given."""
        return self.pairs.references[self.row]


class TextPairs:
    """The samples of a dataset: a :class:`Pair` for each text to read; its token ids alone where there is no target.

    Texts are tokenized once, when a task has said how; again only if another task wants it otherwise.

    Args:
        sources: The texts to read.
        owner: Its attribute ``encoding`` says how they become tokens.
        stage: What the samples are for.
        targets: The texts to write, where they are known.
    """

    def __init__(self, sources: PackedTexts, owner: Any, stage: Stage, targets: PackedTexts | None = None) -> None:
        self.sources = sources
        self.targets = targets
        self._owner = owner
        self._stage = stage
        self._made_for: Encoding | None = None
        self._tokens: tuple[TokenStore, TokenStore | None] = (TokenStore.collect([]), None)

    @property
    def tokens(self) -> tuple[TokenStore, TokenStore | None]:
        """The token ids of all texts to read, and of all texts to write.

        Raises:
            DataError: If no task has said yet how the texts become tokens.
        """
        wanted: Encoding | None = self._owner.encoding
        if wanted is None:
            raise DataError(
                "Expected a task, whose backbone says how texts become tokens, but this data has met none yet. Make "
                "the task first: SummarizationTask.from_data(datamodule), or TranslationTask.from_data(datamodule)."
            )
        if self._made_for is not wanted:
            targets = None if self.targets is None else wanted.encode(self.targets, "targets", self._stage)
            self._tokens = wanted.encode(self.sources, "texts", self._stage), targets
            self._made_for = wanted
        return self._tokens

    @property
    def lengths(self) -> Tensor:
        """How many tokens each text to read has, shape ``(pairs,)``.

        Behind the point, the lengths of the texts to write decide between equals: batches are of similar ones too.
        """
        sources, targets = self.tokens
        lengths = sources.lengths.double()
        if targets is not None:
            written = targets.lengths.double()
            lengths += written / (written.max() + 1)
        return lengths

    @cached_property
    def references(self) -> list[str]:
        """The texts to write, for metrics to compare with what was generated."""
        return [] if self.targets is None else list(self.targets)

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, row: int) -> Ids | Pair:
        sources, targets = self.tokens
        return sources[row] if targets is None else Pair(sources[row], targets[row], row, self)


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

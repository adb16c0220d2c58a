"""Pairs of source and target texts, before and after tokenization, and the tokenizer with its settings."""

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

__all__ = ["Seq2SeqTokenizerConfig", "TextPairs", "TokenizedTextPair", "TokenizedTextPairs", "pad_labels"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seq2SeqTokenizerConfig:
    """The ``input_spec`` of tasks that generate texts: the tokenizer of the network, and its settings.

    Args:
        tokenizer: A fast tokenizer of transformers.
        prefix: The prefix of each source text, such as ``"summarize: "``.
        max_source_length: The maximum number of tokens per source text, including the prefix and special tokens.
        max_target_length: The maximum number of tokens per target text, including special tokens.
        pad_id: The id of the padding token.
        target_tokenizer: The tokenizer of target texts, if it is another one.
    """

    tokenizer: PreTrainedTokenizerFast
    prefix: str
    max_source_length: int
    max_target_length: int
    pad_id: int
    target_tokenizer: PreTrainedTokenizerFast | None = None

    def tokenize(self, texts: PackedTexts, what: str, stage: Stage) -> TokenStore:
        """Tokenize ``"texts"`` or ``"targets"``; log a warning if some are truncated."""
        is_source = what == "texts"
        max_length = self.max_source_length if is_source else self.max_target_length
        if is_source and self.prefix:
            texts = PackedTexts(self.prefix + text for text in texts)
        tokenizer = self.tokenizer if is_source or self.target_tokenizer is None else self.target_tokenizer
        tokens, truncated = tokenize(tokenizer, texts, max_length, self.pad_id)
        if truncated:
            _report(truncated, len(texts), f"{stage.value} {what}", max_length)
        return tokens


@rank_zero_only
def _report(truncated: int, total: int, what: str, max_length: int) -> None:
    log.warning("%s of %s %s were truncated to %s tokens.", f"{truncated:,}", f"{total:,}", what, max_length)


@dataclass(frozen=True)
class TokenizedTextPair:
    """The token ids of a source text and of its target text.

    Args:
        source: The ids of the source text.
        target: The ids of the target text.
        row: The row in ``pairs``.
        pairs: The samples that this is one of.
    """

    source: Ids
    target: Ids
    row: int
    pairs: TokenizedTextPairs

    @property
    def text(self) -> str:
        """The original target text."""
        return self.pairs.references[self.row]


class TextPairs:
    """The samples of a dataset before tokenization: each source text, with its target text if it has one.

    Args:
        sources: The source texts.
        targets: The target texts; ``None`` for prediction.
    """

    def __init__(self, sources: PackedTexts, targets: PackedTexts | None = None) -> None:
        self.sources = sources
        self.targets = targets

    @property
    def source_texts(self) -> PackedTexts:
        """The source texts."""
        return self.sources

    @property
    def target_texts(self) -> PackedTexts | None:
        """The target texts."""
        return self.targets

    def tokenize(self, config: Seq2SeqTokenizerConfig, stage: Stage) -> TokenizedTextPairs:
        """Return the samples as token ids; log a warning if texts are truncated."""
        targets = None if self.targets is None else config.tokenize(self.targets, "targets", stage)
        sources = config.tokenize(self.sources, "texts", stage)
        return TokenizedTextPairs(sources, targets, self.targets, self.sources)

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, row: int) -> str | tuple[str, str]:
        source = self.sources[row]
        return source if self.targets is None else (source, self.targets[row])


class TokenizedTextPairs:
    """The samples of a dataset: a :class:`TokenizedTextPair` per source text, or its token ids if it has no target.

    Args:
        sources: The token ids of the source texts.
        targets: The token ids of the target texts; ``None`` for prediction.
        texts: The original target texts, for metrics.
        source_texts: The source texts before tokenization, to be shown.
    """

    def __init__(
        self,
        sources: TokenStore,
        targets: TokenStore | None,
        texts: PackedTexts | None,
        source_texts: PackedTexts | None = None,
    ) -> None:
        self.sources = sources
        self.targets = targets
        self.texts = texts
        self.source_texts = PackedTexts() if source_texts is None else source_texts

    @property
    def lengths(self) -> Tensor:
        """The number of tokens per source text, shape ``(pairs,)``.

        The fractional part is the length of the target text, scaled to below 1: pairs with sources of equal length are
        bucketed by target length.
        """
        lengths = self.sources.lengths.double()
        if self.targets is not None:
            target_lengths = self.targets.lengths.double()
            lengths += target_lengths / (target_lengths.max() + 1)
        return lengths

    @property
    def target_texts(self) -> PackedTexts | None:
        """The original target texts."""
        return self.texts

    @cached_property
    def references(self) -> list[str]:
        """The original target texts."""
        return [] if self.texts is None else list(self.texts)

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, row: int) -> Ids | TokenizedTextPair:
        source = self.sources[row]
        return source if self.targets is None else TokenizedTextPair(source, self.targets[row], row, self)


def pad_labels(rows: Sequence[Ids]) -> Tensor:
    """Pad the ids of target texts to labels, with -100, which the loss ignores.

    Example:
        >>> import numpy as np
        >>> pad_labels([np.array([5, 1]), np.array([1])])
        tensor([[   5,    1],
                [   1, -100]])
    """
    tensors = [torch.from_numpy(row).long() for row in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=-100)

"""Texts with their targets, before and after tokenization, and the tokenizer with its settings."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from flash.data.stage import Stage

from .texts import PackedTexts
from .tokens import Ids, Tokenizer, TokenStore, tokenize

__all__ = ["Texts", "TokenizedTexts", "TokenizerConfig"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TokenizerConfig:
    """The ``input_spec`` of tasks for texts: the tokenizer of the network, and its settings.

    Args:
        tokenizer: A fast tokenizer of transformers, or a callable as for :func:`~flash.text.tokens.tokenize`.
        max_length: The maximum number of tokens per text.
        pad_id: The id of the padding token.
    """

    tokenizer: Tokenizer
    max_length: int
    pad_id: int = 0


class Texts:
    """The samples of a dataset before tokenization: each text, with its target if it has one.

    Args:
        texts: The texts.
        targets: One target per text, shape ``(texts, ...)``.
    """

    def __init__(self, texts: PackedTexts, targets: Tensor | None = None) -> None:
        self.texts = texts
        self.targets = targets

    def tokenize(self, config: TokenizerConfig, stage: Stage) -> TokenizedTexts:
        """Return the samples as token ids; log a warning if texts are truncated."""
        tokens, truncated = tokenize(config.tokenizer, self.texts, config.max_length, config.pad_id)
        _report(truncated, len(self), stage, config.max_length)
        return TokenizedTexts(tokens, self.targets)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, row: int) -> str | tuple[str, Tensor]:
        text = self.texts[row]
        return text if self.targets is None else (text, self.targets[row])


class TokenizedTexts:
    """The samples of a dataset: the token ids of each text, with its target if it has one.

    Args:
        tokens: The token ids of all texts.
        targets: One target per text, shape ``(texts, ...)``.
    """

    def __init__(self, tokens: TokenStore, targets: Tensor | None = None) -> None:
        self.tokens = tokens
        self.targets = targets

    @property
    def lengths(self) -> Tensor:
        """The number of tokens of each text, shape ``(texts,)``."""
        return self.tokens.lengths

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int) -> Ids | tuple[Ids, Tensor]:
        ids = self.tokens[row]
        return ids if self.targets is None else (ids, self.targets[row])


@rank_zero_only
def _report(truncated: int, total: int, stage: Stage, max_length: int) -> None:
    if truncated:
        counts = f"{truncated:,} of {total:,}"
        log.warning("%s %s texts were truncated to %s tokens (max_length).", counts, stage.value, max_length)

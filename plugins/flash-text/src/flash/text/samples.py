"""Texts with their targets, before and after tokenization, and the tokenizer with its settings."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, NamedTuple

from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from flash.data.stage import Stage
from flash.data.stored_samples import StoredSamples
from flash.data.windows import Windows
from flash.errors import ConfigurationError

from .texts import PackedPairs, PackedTexts
from .tokens import Ids, Tokenizer, TokenStore, tokenize

__all__ = ["LazyTexts", "RawText", "Texts", "TokenizedTexts", "TokenizerConfig", "check_takes_pairs"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TokenizerConfig:
    """The ``input_spec`` of tasks for texts: the tokenizer of the network, and its settings.

    Args:
        tokenizer: A fast tokenizer of transformers, or a callable as for :func:`~flash.text.tokens.tokenize`.
        max_length: The maximum number of tokens per text, or per pair of texts.
        pad_id: The id of the padding token.
        segments: Whether the network takes the segment of each token of a pair (``token_type_ids``).
        takes_pairs: Whether the task takes pairs of texts.
        padded_length: The length that all texts are padded to, for networks whose result depends on padding; ``None``
            for that of the longest text of a batch.
    """

    tokenizer: Tokenizer
    max_length: int
    pad_id: int = 0
    segments: bool = False
    takes_pairs: bool = True
    padded_length: int | None = None


class RawText(NamedTuple):
    """A text or a pair of texts that is tokenized with its batch, and its target; ``None`` in prediction."""

    text: Any
    target: Any


class LazyTexts:
    """The samples of a dataset that lies on disk, which are tokenized batch by batch.

    Args:
        texts: The texts, or pairs of texts.
        targets: One target per text, shape ``(texts, ...)``; ``None`` in prediction.
    """

    def __init__(self, texts: StoredSamples, targets: Tensor | None = None) -> None:
        self.texts = texts
        self.targets = targets

    @property
    def windows(self) -> Windows:
        """The shuffling of the texts."""
        return self.texts.windows

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, row: int) -> RawText:
        return RawText(self.texts[row], None if self.targets is None else self.targets[row])


class Texts:
    """The samples of a dataset before tokenization: each text or pair of texts, with its target if it has one.

    Args:
        texts: The texts, or pairs of texts.
        targets: One target per text, shape ``(texts, ...)``.
    """

    def __init__(self, texts: PackedTexts | PackedPairs, targets: Tensor | None = None) -> None:
        self.texts = texts
        self.targets = targets

    def tokenize(self, config: TokenizerConfig, stage: Stage) -> TokenizedTexts:
        """Return the samples as token ids; log a warning if texts are truncated.

        Raises:
            ConfigurationError: If they are pairs, and the task or its tokenizer does not take pairs.
        """
        if isinstance(self.texts, PackedPairs):
            check_takes_pairs(config, stage)
        tokens, truncated = tokenize(config.tokenizer, self.texts, config.max_length, config.pad_id, config.segments)
        _report(truncated, len(self), stage, config.max_length)
        return TokenizedTexts(tokens, self.targets, self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, row: int) -> Any:
        text = self.texts[row]
        return text if self.targets is None else (text, self.targets[row])


class TokenizedTexts:
    """The samples of a dataset: the token ids of each text, with its target if it has one.

    Args:
        tokens: The token ids of all texts.
        targets: One target per text, shape ``(texts, ...)``.
        texts: The texts before tokenization, to be shown.
    """

    def __init__(
        self, tokens: TokenStore, targets: Tensor | None = None, texts: PackedTexts | PackedPairs | None = None
    ) -> None:
        self.tokens = tokens
        self.targets = targets
        self.texts = PackedTexts() if texts is None else texts

    @property
    def lengths(self) -> Tensor:
        """The number of tokens of each text, shape ``(texts,)``."""
        return self.tokens.lengths

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int) -> Ids | tuple[Ids, Tensor]:
        ids = self.tokens[row]
        return ids if self.targets is None else (ids, self.targets[row])


def check_takes_pairs(config: TokenizerConfig, stage: Stage) -> None:
    """Check that a task takes pairs of texts.

    Raises:
        ConfigurationError: If it does not.
    """
    if not config.takes_pairs:
        raise ConfigurationError(
            f"Expected single texts in the {stage.value} data, of which the task computes a vector each, but got "
            "pairs of texts. To compare the texts of pairs, compute the vectors of the first and the second ones."
        )


@rank_zero_only
def _report(truncated: int, total: int, stage: Stage, max_length: int) -> None:
    if truncated:
        counts = f"{truncated:,} of {total:,}"
        log.warning("%s %s texts were truncated to %s tokens (max_length).", counts, stage.value, max_length)

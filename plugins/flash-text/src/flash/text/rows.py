"""Texts with their targets: before they are loaded, and as the samples of a dataset."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from flash.data.stage import Stage
from flash.errors import DataError

from .texts import PackedTexts
from .tokens import Ids, Tokenizer, TokenStore, tokenize

__all__ = ["TextInputs", "TextRows", "TokenRows", "Tokenization"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextInputs:
    """Texts as a data module hands them to its preprocess.

    Args:
        texts: The texts.
        targets: One target a text, or one row of zeros and ones a text.
        names: The names of the classes, where the targets are numbers or rows.

    Raises:
        DataError: If there is not one target a text.
    """

    texts: PackedTexts
    targets: Sequence[Any] | npt.NDArray[Any] | None = None
    names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.targets is not None and len(self.targets) != len(self.texts):
            raise DataError(
                f"Expected one target a text, but got {len(self.texts)} texts and {len(self.targets)} targets."
            )

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Iterable[int]) -> TextInputs:
        """Return some of the texts with their targets."""
        chosen = list(rows)
        targets = self.targets
        if targets is not None:
            targets = targets[chosen] if isinstance(targets, np.ndarray) else [targets[row] for row in chosen]
        return TextInputs(self.texts.take(chosen), targets, self.names)


@dataclass(frozen=True)
class Tokenization:
    """How texts become the tokens that a network expects: the ``input_spec`` of tasks for texts.

    Args:
        tokenizer: A fast tokenizer of transformers, or a callable as for :func:`~flash.text.tokens.tokenize`.
        max_length: How many tokens a text may have.
        pad_id: The padding token.
    """

    tokenizer: Tokenizer
    max_length: int
    pad_id: int = 0


class TextRows:
    """The samples of a dataset before they are tokenized: each text, with its target where it has one.

    Args:
        texts: The texts.
        targets: One target per text, shape ``(texts, ...)``.
    """

    def __init__(self, texts: PackedTexts, targets: Tensor | None = None) -> None:
        self.texts = texts
        self.targets = targets

    def tokenized(self, tokenization: Tokenization, stage: Stage) -> TokenRows:
        """Return the samples as token ids, and report how many texts had to be cut."""
        tokens, cut = tokenize(tokenization.tokenizer, self.texts, tokenization.max_length, tokenization.pad_id)
        _report(cut, len(self), stage, tokenization.max_length)
        return TokenRows(tokens, self.targets)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, row: int) -> str | tuple[str, Tensor]:
        text = self.texts[row]
        return text if self.targets is None else (text, self.targets[row])


class TokenRows:
    """The samples of a dataset: the token ids of each text, with its target where it has one.

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
def _report(cut: int, texts: int, stage: Stage, max_length: int) -> None:
    if cut:
        log.warning("%s of %s %s texts were cut to %s tokens.", f"{cut:,}", f"{texts:,}", stage.value, max_length)

"""Sentences with tags, before and after tokenization, and what the network asks of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from flash.data.stage import Stage

from ..encoder import word_places
from ..samples import TokenizerConfig
from ..tokens import Ids, TokenStore
from ..windows import check_fast, encode_windows
from .sentences import Sentence

__all__ = ["Sentences", "TagTokenizerConfig", "TokenizedSentence", "TokenizedSentences"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TagTokenizerConfig(TokenizerConfig):
    """The ``input_spec`` of a :class:`~flash.text.TokenClassifier`: its tokenizer, the settings, and its tags.

    Args:
        labels: The tags in the order of their indices; ``None`` if they are not known.
    """

    labels: tuple[str, ...] | None = None

    @property
    def overlap(self) -> int:
        """The number of tokens that two neighboring windows share: a quarter of those of texts."""
        tokenizer: Any = self.tokenizer
        return int((self.max_length - tokenizer.num_special_tokens_to_add()) // 4)


@dataclass(frozen=True)
class TokenizedSentence:
    """The tokens of a sentence.

    Args:
        windows: The token ids of each window.
        window: The window that each word is classified in, shape ``(words,)``.
        place: The place of its first token in the window, shape ``(words,)``; -1 for a word without tokens.
        sentence: The sentence.
        tags: The index of the tag of each word, shape ``(words,)``; ``None`` for prediction.
    """

    windows: list[Ids]
    window: Ids
    place: Ids
    sentence: Sentence
    tags: npt.NDArray[np.int16] | None


class Sentences:
    """The samples of a dataset before tokenization: each sentence, with the tags of its words if it has some.

    Args:
        sentences: The sentences.
        tags: The indices of the tags of each sentence.
    """

    def __init__(self, sentences: Sequence[Sentence], tags: Sequence[npt.NDArray[np.int16]] | None = None) -> None:
        self.sentences = sentences
        self.tags = tags

    def tokenize(self, config: TagTokenizerConfig, stage: Stage) -> TokenizedSentences:
        """Return the samples as token ids; sentences that are too long are divided into windows.

        Raises:
            ConfigurationError: If the tokenizer does not know the places of its tokens.
        """
        check_fast(config.tokenizer, "the tokens of each word")
        ids: list[list[int]] = []
        ends, window, place = [0], [], []
        texts = (sentence.text for sentence in self.sentences)
        encodings = encode_windows(config.tokenizer, texts, config.max_length, config.overlap)
        for sentence, windows in zip(self.sentences, encodings, strict=True):
            ids += [each.ids or [config.pad_id] for each in windows]
            ends.append(len(ids))
            for number, token in word_places(sentence.starts, sentence.stops, windows):
                window.append(number)
                place.append(token)
        divided = len(ids) - len(self.sentences)
        if divided:
            _report(sum(end - start > 1 for start, end in pairwise(ends)), stage, config.max_length)
        return TokenizedSentences(TokenStore.collect(ids), ends, window, place, self.sentences, self.tags)

    def __len__(self) -> int:
        return len(self.sentences)

    def __getitem__(self, row: int) -> Any:
        sentence = self.sentences[row]
        return sentence if self.tags is None else (sentence, self.tags[row])


@rank_zero_only
def _report(count: int, stage: Stage, max_length: int) -> None:
    log.info("%s %s texts have more than %s tokens, and are read in windows.", f"{count:,}", stage.value, max_length)


class TokenizedSentences:
    """The samples of a dataset: a :class:`TokenizedSentence` per row.

    Args:
        tokens: The token ids of all windows.
        ends: The first window of each sentence, and the one behind the last, shape ``(sentences + 1,)``.
        window: As in :class:`TokenizedSentence`, for the words of all sentences.
        place: The same.
        sentences: The sentences.
        tags: The indices of the tags of each sentence; ``None`` for prediction.
    """

    def __init__(
        self,
        tokens: TokenStore,
        ends: Sequence[int],
        window: Sequence[int],
        place: Sequence[int],
        sentences: Sequence[Sentence],
        tags: Sequence[npt.NDArray[np.int16]] | None,
    ) -> None:
        self.tokens = tokens
        self.sentences = sentences
        self.tags = tags
        self._ends = np.array(ends)
        self._window, self._place = np.array(window, dtype=np.int32), np.array(place, dtype=np.int32)
        self._words = np.cumsum([0, *map(len, sentences)])

    @property
    def lengths(self) -> Tensor:
        """The number of tokens per sentence, shape ``(sentences,)``."""
        ends = torch.from_numpy(self.tokens.offsets[self._ends])
        return ends.diff()

    def __len__(self) -> int:
        return len(self.sentences)

    def __getitem__(self, row: int) -> TokenizedSentence:
        words = slice(self._words[row], self._words[row + 1])
        windows = [self.tokens[number] for number in range(self._ends[row], self._ends[row + 1])]
        tags = None if self.tags is None else self.tags[row]
        return TokenizedSentence(windows, self._window[words], self._place[words], self.sentences[row], tags)

"""Questions with their contexts, before and after tokenization to windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..encoder import passage_places
from ..samples import TokenizerConfig
from ..texts import PackedPairs
from ..tokens import Ids
from ..windows import check_fast, encode_windows
from .answers import Answer

__all__ = ["AnswerTokenizerConfig", "Passage", "Questions", "TokenizedQuestion", "TokenizedQuestions"]


@dataclass(frozen=True)
class AnswerTokenizerConfig(TokenizerConfig):
    """The ``input_spec`` of a :class:`~flash.text.QuestionAnsweringTask`.

    Args:
        overlap: The number of tokens of the context that two neighboring windows share.
    """

    overlap: int = 0


class Passage:
    """A context with the places of its tokens in the windows of a question.

    Args:
        context: The context.
        lengths: The number of tokens of each window.
        firsts: The place of the first token of the context in each window.
        offsets: The start and the end in the context of its tokens, for each window, shape ``(tokens, 2)``.
    """

    # No dataclass: Lightning would look into it for tensors.
    __slots__ = ("context", "firsts", "lengths", "offsets")

    def __init__(self, context: str, lengths: list[int], firsts: list[int], offsets: list[npt.NDArray[Any]]) -> None:
        self.context = context
        self.lengths = lengths
        self.firsts = firsts
        self.offsets = offsets

    def span_in(self, window: int, answer: Answer | None) -> tuple[int, int]:
        """Return the places of the first and the last token of an answer in a window; zeros if it is not there."""
        offsets = self.offsets[window]
        if answer is None or not len(offsets):
            return 0, 0
        start, stop = answer.start, answer.start + len(answer.text)
        if offsets[0, 0] > start or offsets[-1, 1] < stop:
            return 0, 0
        inside = np.flatnonzero((offsets[:, 1] > start) & (offsets[:, 0] < stop))
        return (int(inside[0]) + self.firsts[window], int(inside[-1]) + self.firsts[window]) if len(inside) else (0, 0)


@dataclass(frozen=True)
class TokenizedQuestion:
    """The windows of a question with its context.

    Args:
        windows: The token ids of each window, with their segments if the network takes them.
        passage: The places of the tokens in the context.
        spans: The first and the last token of the answer in each window, shape ``(windows, 2)``, if there are targets.
        answers: The texts of the true answers.
    """

    windows: list[Ids]
    passage: Passage
    spans: npt.NDArray[np.int64] | None
    answers: list[str]


class Questions:
    """The samples of a dataset before tokenization: questions with contexts, and their answers if there are some.

    Args:
        texts: The questions and contexts.
        answers: The answers to each question.
    """

    def __init__(self, texts: PackedPairs, answers: Sequence[list[Answer]] | None = None) -> None:
        self.texts = texts
        self.answers = answers

    def tokenize(self, config: AnswerTokenizerConfig) -> TokenizedQuestions:
        """Return the samples as token ids; contexts that are too long are divided into windows.

        Raises:
            ConfigurationError: If the tokenizer does not know the places of its tokens.
            DataError: If a question leaves no room for its context.
        """
        check_fast(config.tokenizer, "answers")
        encodings = encode_windows(config.tokenizer, self.texts, config.max_length, config.overlap)
        rows = [
            _tokenized(context, windows, config) for (_, context), windows in zip(self.texts, encodings, strict=True)
        ]
        return TokenizedQuestions(rows, self.texts, self.answers)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, row: int) -> Any:
        return self.texts[row] if self.answers is None else (self.texts[row], self.answers[row])


def _tokenized(context: str, windows: Sequence[Any], config: AnswerTokenizerConfig) -> tuple[list[Ids], Passage]:
    ids, lengths, firsts, offsets = [], [], [], []
    for window in windows:
        first, inside = passage_places(window)
        tokens = np.array(window.ids or [config.pad_id], dtype=np.int32)
        parts = [tokens, np.array(window.type_ids or [0], dtype=np.int32)]
        ids.append(np.stack(parts) if config.segments else tokens)
        lengths.append(len(tokens))
        firsts.append(first)
        offsets.append(np.array(inside, dtype=np.int32).reshape(-1, 2))
    return ids, Passage(context, lengths, firsts, offsets)


class TokenizedQuestions:
    """The samples of a dataset: a :class:`TokenizedQuestion` per row.

    Args:
        rows: The windows and the passage of each question.
        texts: The questions and contexts, to be shown.
        answers: The answers to each question; ``None`` in prediction.
    """

    def __init__(
        self,
        rows: Sequence[tuple[list[Ids], Passage]],
        texts: PackedPairs,
        answers: Sequence[list[Answer]] | None,
    ) -> None:
        self.texts = texts
        self.answers = answers
        self._rows = rows

    @property
    def lengths(self) -> Tensor:
        """The number of tokens per question, shape ``(questions,)``."""
        return torch.tensor([sum(passage.lengths) for _, passage in self._rows])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> TokenizedQuestion:
        windows, passage = self._rows[row]
        if self.answers is None:
            return TokenizedQuestion(windows, passage, None, [])
        answers = self.answers[row]
        first = answers[0] if answers else None
        spans = np.array([passage.span_in(window, first) for window in range(len(windows))], dtype=np.int64)
        return TokenizedQuestion(windows, passage, spans, [answer.text for answer in answers])

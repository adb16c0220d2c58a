"""Windows of tokens: texts that are too long for a network are encoded in overlapping parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from transformers import PreTrainedTokenizerBase

from flash.errors import ConfigurationError

from .encoder import windows_of

__all__ = ["check_fast", "encode_windows"]

_BLOCK_SIZE = 1024


def check_fast(tokenizer: Any, what: str) -> None:
    """Check that a tokenizer says where its tokens are in a text.

    Args:
        tokenizer: The tokenizer.
        what: What the places are needed for, the end of a sentence.

    Raises:
        ConfigurationError: If it is a callable.
    """
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise ConfigurationError(
            f"Expected a fast tokenizer of transformers, which knows the places of tokens in a text, to find {what}, "
            f"but got a {type(tokenizer).__name__}. Wrap it: PreTrainedTokenizerFast(tokenizer_object=...)."
        )


def encode_windows(
    tokenizer: Any, texts: Iterable[str | tuple[str, str]], max_length: int, overlap: int
) -> Iterator[list[Any]]:
    """Yield the windows of each text: one, or if it is too long several, each with the special tokens.

    Of a pair of texts each window has the whole first one, and a part of the second one.

    Args:
        tokenizer: A fast tokenizer of transformers.
        texts: The texts, or pairs of texts.
        max_length: The maximum number of tokens per window, including special tokens.
        overlap: The number of tokens that two neighboring windows share, fewer than there are beside special ones.

    Yields:
        A list of encodings of the library tokenizers, with ``ids``, ``offsets``, ``sequence_ids`` and
        ``special_tokens_mask``.

    Example:
        >>> from tokenizers import Tokenizer, models, pre_tokenizers
        >>> from transformers import PreTrainedTokenizerFast
        >>> backend = Tokenizer(models.WordLevel({"a": 0, "b": 1, "[UNK]": 2}, unk_token="[UNK]"))
        >>> backend.pre_tokenizer = pre_tokenizers.Whitespace()
        >>> tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
        >>> [[window.ids for window in found] for found in encode_windows(tokenizer, ["a b a b", "b"], 3, overlap=1)]
        [[[0, 1, 0], [0, 1]], [[1]]]
    """
    rest = iter(texts)
    while block := list(islice(rest, _BLOCK_SIZE)):
        # The truncation is set again for each block, since others use the same tokenizer in between.
        yield from windows_of(tokenizer.backend_tokenizer, block, max_length, overlap)

"""Tokenizers of Marian models (``Helsinki-NLP/opus-mt-...``), for which transformers has no fast ones.

A checkpoint has a SentencePiece model for each side, and one vocabulary for both. Of each model a tokenizer of the
package tokenizers is made that has the ids of the vocabulary: it needs no other library, is stored in checkpoints of
Flash, and goes into exported folders. Models that write several languages have a code for each in their vocabulary,
such as ``>>fr<<``, which is put before the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from flash.data.messages import show_some
from flash.download.pretrained import HubError, find_file, read_json
from flash.errors import ConfigurationError

from .sentencepiece import SentencePieces, read_sentencepieces

__all__ = ["load_marian_tokenizers", "target_codes", "use_target_code"]

_END, _UNKNOWN, _PAD = "</s>", "<unk>", "<pad>"
_SPACE = "▁"
_LENGTH = 512
# Pieces of the other side are chosen where nothing else stands for a character: the shortest first.
_OTHER_SIDE = -1e4


def load_marian_tokenizers(name_or_path: str | Path) -> tuple[PreTrainedTokenizerFast, PreTrainedTokenizerFast] | None:
    """Load the tokenizers of source and target texts.

    Args:
        name_or_path: A name on the Hugging Face hub, or a folder.

    Returns:
        The two; ``None`` if it is no checkpoint of a Marian model.

    Raises:
        HubError: If a file is missing or damaged.
        ConfigurationError: If the checkpoint has a vocabulary for each side.
    """
    source = find_file(name_or_path, "source.spm")
    if source is None:
        return None
    settings = read_json(name_or_path, "tokenizer_config.json") or {}
    if settings.get("separate_vocabs"):
        raise ConfigurationError(
            f"Expected a Marian model with one vocabulary for both languages, but {str(name_or_path)!r} has two. "
            "Choose another checkpoint."
        )
    vocabulary = read_json(name_or_path, "vocab.json")
    target = find_file(name_or_path, "target.spm")
    if vocabulary is None or target is None:
        missing = "vocab.json" if vocabulary is None else "target.spm"
        raise HubError(
            f"Expected source.spm, target.spm and vocab.json for {str(name_or_path)!r}, but there is no {missing}. "
            "Copy or download the checkpoint again."
        )
    words = _words(vocabulary, name_or_path)
    length = settings.get("model_max_length", _LENGTH)
    made = (_tokenizer(read_sentencepieces(each), words) for each in (source, target))
    first, second = (_fast(each, length if isinstance(length, int) else _LENGTH) for each in made)
    return first, second


def _words(vocabulary: Mapping[str, Any], name_or_path: str | Path) -> list[str]:
    """Return the pieces of a vocabulary in the order of their ids."""
    words = sorted(vocabulary, key=vocabulary.__getitem__)
    if [vocabulary[word] for word in words] != list(range(len(words))) or not {_END, _UNKNOWN, _PAD} <= {*words}:
        raise HubError(
            f"Expected a vocab.json with the ids from 0 on, and {_END}, {_UNKNOWN} and {_PAD} among its pieces, for "
            f"{str(name_or_path)!r}. Copy or download the checkpoint again."
        )
    return words


def _tokenizer(pieces: SentencePieces, words: list[str]) -> Tokenizer:
    lowest = min(pieces.scores.values())
    scored = [(word, pieces.scores.get(word, lowest + _OTHER_SIDE * len(word) ** 2)) for word in words]
    made = Tokenizer(models.Unigram(scored, words.index(_UNKNOWN)))
    steps: list[Any] = [normalizers.Precompiled(pieces.characters)] if pieces.characters else []
    if pieces.remove_extra_spaces:
        steps += [normalizers.Replace(Regex(r"\A +| +\z"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    made.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", _SPACE)])
    scheme: Any = "always" if pieces.dummy_prefix else "never"
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme=scheme, split=False)
    made.decoder = decoders.Metaspace(replacement=_SPACE, prepend_scheme=scheme)
    codes = [word for word in words if word.startswith(">>") and word.endswith("<<")]
    made.add_special_tokens(
        [AddedToken(each, normalized=False, special=True) for each in (_END, _UNKNOWN, _PAD, *codes)]
    )
    made.post_processor = _ending(made)
    return made


def _ending(tokenizer: Tokenizer, code: str | None = None) -> Any:
    """Return what puts the end behind a text, and the code of a language before it."""
    tokens = [*([code] if code else []), _END]
    ids = [(token, tokenizer.token_to_id(token)) for token in tokens]
    return processors.TemplateProcessing(single=[*tokens[:-1], "$A", _END], special_tokens=ids)


def _fast(tokenizer: Tokenizer, length: int) -> PreTrainedTokenizerFast:
    make: Any = PreTrainedTokenizerFast  # its __init__ has no annotations
    made: PreTrainedTokenizerFast = make(
        tokenizer_object=tokenizer,
        eos_token=_END,
        unk_token=_UNKNOWN,
        pad_token=_PAD,
        model_max_length=length,
        model_input_names=["input_ids", "attention_mask"],
    )
    return made


def target_codes(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """Return the languages that a Marian model writes, such as ``["de", "fr"]``; none if it writes one alone."""
    added = tokenizer.backend_tokenizer.get_added_tokens_decoder().values()
    found = (token.content for token in added if token.special)
    return sorted(each[2:-2] for each in found if each.startswith(">>") and each.endswith("<<"))


def use_target_code(
    tokenizer: PreTrainedTokenizerFast, codes: list[str], source: str | None, target: str | None
) -> None:
    """Let a tokenizer put the code of the target language before each text.

    Args:
        tokenizer: The tokenizer of source texts, which is changed.
        codes: The codes of its languages.
        source: The source language, which such models find out.
        target: The target language, as in ``codes``.

    Raises:
        ConfigurationError: If the target is none of the codes, or a source is named.
    """
    if source is not None:
        raise ConfigurationError(
            f"Expected a Marian model to find out the source language, but got source_language={source!r}. Leave "
            "it out."
        )
    if target not in codes:
        raise ConfigurationError(
            f"Expected target_language to be one of the languages that the model writes, {show_some(codes)}, but got "
            f"{target!r}. Where each text begins with a code of its own, such as {f'>>{codes[0]}<<'!r}, pass prefix=''."
        )
    backend: Any = tokenizer.backend_tokenizer
    backend.post_processor = _ending(backend, f">>{target}<<")

"""Languages of models such as mBART and NLLB, whose tokenizers put the code of a language before or behind a text."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from flash.data.messages import show_some
from flash.errors import ConfigurationError

__all__ = ["decoding_settings", "has_languages", "use_languages"]

# As "en_XX" of mBART, and "eng_Latn" of NLLB.
_CODE = re.compile(r"[a-z]{2,3}_[A-Z][A-Za-z]{1,3}")


def has_languages(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Return whether a tokenizer has codes of languages, which say what the model reads and writes."""
    return bool(_codes(tokenizer))


def _codes(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    added = tokenizer.backend_tokenizer.get_added_tokens_decoder().values()
    return sorted(token.content for token in added if token.special and _CODE.fullmatch(token.content))


def use_languages(
    tokenizer: PreTrainedTokenizerFast, source: str | None, target: str | None
) -> PreTrainedTokenizerFast:
    """Let a tokenizer encode texts of the source language, and return one that encodes those of the target language.

    Args:
        tokenizer: The tokenizer, which is changed.
        source: The code of the source language.
        target: The code of the target language.

    Raises:
        ConfigurationError: If one of the two is missing, or no code of the tokenizer.
    """
    known = _codes(tokenizer)
    for name, code in (("source_language", source), ("target_language", target)):
        if code is None or code not in known:
            raise ConfigurationError(
                f"Expected {name} to be one of the codes of languages of the model, {show_some(known)}, but got "
                f"{code!r}. Name both languages: source_language={known[0]!r}, target_language={known[-1]!r}."
            )
    assert source is not None
    assert target is not None
    set_source: Any = getattr(tokenizer, "set_src_lang_special_tokens", None)
    if set_source is not None:
        set_source(source)
    written = copy.deepcopy(tokenizer)
    state = json.loads(tokenizer.backend_tokenizer.to_str())["post_processor"]
    template = json.dumps(state, ensure_ascii=False)
    if f'"{source}"' not in template:
        raise ConfigurationError(
            f"Expected a tokenizer that puts the code {source!r} before or behind each text, but it does not. Load it "
            "with AutoTokenizer.from_pretrained, which knows the tokenizers of mBART and NLLB."
        )
    written.backend_tokenizer.post_processor = _template(state, source, target, tokenizer)
    return written


def _template(state: dict[str, Any], source: str, target: str, tokenizer: PreTrainedTokenizerFast) -> Any:
    """Return the template of special tokens with another language in place of that of the source."""

    def pieces(parts: list[dict[str, Any]]) -> list[str]:
        found = []
        for part in parts:
            kind, value = next(iter(part.items()))
            token = f"${value['id']}" if kind == "Sequence" else value["id"]
            found.append(target if token == source else token)
        return found

    single, pair = pieces(state["single"]), pieces(state["pair"])
    special = {token for token in [*single, *pair] if not token.startswith("$")}
    ids = [(token, int(tokenizer.convert_tokens_to_ids(token))) for token in sorted(special)]  # type: ignore[arg-type]  # of one token
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=ids)


def decoding_settings(written: PreTrainedTokenizerFast, target: str) -> dict[str, Any]:
    """Return the generation settings that let a model write a language.

    Args:
        written: The tokenizer of the target language, as :func:`use_languages` returns it.
        target: The code of the language.
    """
    code = int(written.convert_tokens_to_ids(target))  # type: ignore[arg-type]  # of one token
    ids = written.backend_tokenizer.encode("").ids
    # Models shift the targets to the right: of mBART the code goes from behind a text to its beginning.
    return {"forced_bos_token_id": code} if ids[:1] == [code] else {"decoder_start_token_id": code}

"""Networks of texts and their tokenizers of the Hugging Face hub, by name or from a folder.

They are loaded as :mod:`flash.download.pretrained` does. Tokenizers are also converted to dicts of serializable values,
which Flash checkpoints store, like configurations.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import transformers
from tokenizers import Tokenizer
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from flash.download import pretrained as pretrained_hub
from flash.download.pretrained import HubError, load_part
from flash.errors import ConfigurationError

__all__ = [
    "Kind",
    "config_from_dict",
    "load_config",
    "load_model",
    "load_tokenizer",
    "make_model",
    "tokenizer_from_dict",
    "tokenizer_to_dict",
]

#: The kind of a model: an encoder, or an encoder-decoder.
Kind = Literal["encoder", "seq2seq"]

_AUTO: dict[str, Any] = {"encoder": AutoModel, "seq2seq": AutoModelForSeq2SeqLM}
_WANTED: dict[str, str] = {
    "encoder": "a model that encodes text",
    "seq2seq": "an encoder-decoder, such as a T5 or BART",
}
_ADVICE = "For English, the package flash-offline has a backbone whose weights come with pip."
_SETTINGS = ("model_max_length", "padding_side", "truncation_side", "model_input_names", "clean_up_tokenization_spaces")


def load_config(name_or_path: str | Path) -> PretrainedConfig:
    """Load the configuration of a checkpoint.

    Args:
        name_or_path: A name on the Hugging Face hub, or a folder.

    Raises:
        HubError: If there is no such checkpoint, or it is not cached and the hub cannot be reached.
    """
    config: PretrainedConfig = load_part(AutoConfig.from_pretrained, "a configuration", name_or_path, advice=_ADVICE)
    return config


def load_tokenizer(name_or_path: str | Path) -> PreTrainedTokenizerFast:
    """Load the fast tokenizer of a checkpoint; a slow one is converted by transformers.

    Args:
        name_or_path: A name on the Hugging Face hub, or a folder.

    Raises:
        HubError: As for :func:`load_config`.
        ConfigurationError: If the tokenizer has no fast version.
    """
    tokenizer: Any = load_part(AutoTokenizer.from_pretrained, "a tokenizer", name_or_path, advice=_ADVICE)
    if not getattr(tokenizer, "is_fast", False):
        raise ConfigurationError(
            f"Expected a checkpoint with a fast tokenizer, but {str(name_or_path)!r} has only a "
            f"{type(tokenizer).__name__}. Save a tokenizer.json in its folder, or choose another checkpoint."
        )
    length = tokenizer.model_max_length
    if not isinstance(length, int | float) or not length >= 1:
        raise HubError(
            f"Expected the number of tokens that a text may have as model_max_length in the tokenizer_config.json of "
            f"{str(name_or_path)!r}, but got {length!r:.50}. Correct it, or copy or download the checkpoint again."
        )
    # If the vocabulary files are missing, transformers makes a tokenizer with special tokens only.
    if len(set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)) < 2:
        raise HubError(
            f"Expected a tokenizer with a vocabulary for {str(name_or_path)!r}, but there are only special tokens: "
            "files such as tokenizer.json are missing. Copy or download the checkpoint again."
        )
    fast: PreTrainedTokenizerFast = tokenizer
    return fast


def load_model(name_or_path: str | Path, kind: Kind, pretrained: bool = True) -> PreTrainedModel:
    """Load a model with its weights in torch's default float type.

    Weights are read from safetensors, or from torch files without executing code in them.

    Args:
        name_or_path: A name on the Hugging Face hub, or a folder.
        kind: ``"encoder"`` for token vectors (for an encoder-decoder, its encoder), ``"seq2seq"`` for an
            encoder-decoder that generates text.
        pretrained: Whether to load weights; otherwise they are random, to train from scratch.

    Raises:
        HubError: As for :func:`load_config`; also if weights are missing or do not fit.
        ConfigurationError: If there is no model of the kind for the checkpoint.
    """
    config = load_config(name_or_path)
    model: PreTrainedModel = pretrained_hub.load_model(
        _AUTO[kind],
        name_or_path,
        config,
        pretrained=pretrained,
        wanted=_WANTED[kind],
        prepare=_without_pooler,
        advice=_ADVICE,
    )
    return _part(model, kind)


def make_model(config: PretrainedConfig, kind: Kind) -> PreTrainedModel:
    """Make a model with random weights.

    Args:
        config: Its configuration.
        kind: As for :func:`load_model`.

    Raises:
        ConfigurationError: If there is no model of the kind for the configuration.

    Example:
        >>> from transformers import BertConfig
        >>> sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
        >>> type(make_model(BertConfig(vocab_size=10, **sizes), "encoder")).__name__
        'BertModel'
    """
    model = pretrained_hub.make_model(_AUTO[kind], config, wanted=_WANTED[kind], prepare=_without_pooler)
    return _part(model, kind)


def _part(model: Any, kind: Kind) -> PreTrainedModel:
    made: PreTrainedModel = model.get_encoder() if kind == "encoder" and model.config.is_encoder_decoder else model
    return made


def _without_pooler(model: nn.Module) -> nn.Module:
    # The pooler was trained for another task, is missing in many checkpoints, and is not used here.
    if "add_pooling_layer" in inspect.signature(type(model).__init__).parameters:
        model.pooler = None  # type: ignore[assignment]  # as with add_pooling_layer=False
    return model


# ---------------------------------------------------------------------- serialization


def config_from_dict(values: Mapping[str, Any]) -> PretrainedConfig:
    """Undo :func:`flash.download.pretrained.config_to_dict`.

    Raises:
        CheckpointError: If the installed transformers does not know the model.
    """
    config: PretrainedConfig = pretrained_hub.config_from_dict(transformers, values)
    return config


def tokenizer_to_dict(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """Convert a fast tokenizer to a dict of serializable values."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    settings = {name: getattr(tokenizer, name, None) for name in _SETTINGS}
    special = {name: _as_text(token) for name, token in tokenizer.special_tokens_map.items()}
    return {
        "tokenizer": backend.to_str(),
        "special_tokens": special,
        "settings": {name: value for name, value in settings.items() if value is not None},
    }


def tokenizer_from_dict(values: Mapping[str, Any]) -> PreTrainedTokenizerFast:
    """Undo :func:`tokenizer_to_dict`, without files and without executing code."""
    make: Any = PreTrainedTokenizerFast  # its __init__ has no annotations
    made: PreTrainedTokenizerFast = make(
        tokenizer_object=Tokenizer.from_str(values["tokenizer"]), **values["special_tokens"], **values["settings"]
    )
    return made


def _as_text(token: Any) -> Any:
    return [str(each) for each in token] if isinstance(token, list | tuple) else str(token)

"""Backbones of tasks that generate texts: an encoder-decoder with its tokenizer.

A backbone that a plugin registers for the domain ``"seq2seq"`` is a callable that takes ``pretrained`` and returns a
:class:`Seq2SeqBackbone`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast

from flash.download.pretrained import config_to_dict
from flash.errors import ConfigurationError

from ..hub import (
    config_from_dict,
    load_model,
    load_tokenizer,
    make_model,
    tokenizer_from_dict,
    tokenizer_to_dict,
)
from .marian import load_marian_tokenizers

__all__ = [
    "Seq2SeqBackbone",
    "huggingface",
    "load_tokenizers",
    "model_from_dict",
    "model_to_dict",
    "read_prefix",
    "tokenizers_from_dict",
    "tokenizers_to_dict",
]

log = logging.getLogger(__name__)


@dataclass
class Seq2SeqBackbone:
    """An encoder-decoder with its tokenizer.

    Args:
        model: A model of transformers that generates texts from texts.
        tokenizer: Its fast tokenizer.
        target_tokenizer: That of target texts, if it is another one.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    target_tokenizer: PreTrainedTokenizerFast | None = None


def huggingface(name: str, pretrained: bool = True) -> Seq2SeqBackbone:
    """Load an encoder-decoder by its name on the Hugging Face hub, or from a folder.

    Args:
        name: The name or the folder.
        pretrained: Whether to load weights; otherwise they are random.

    Raises:
        HubError: If it cannot be loaded, or weights are missing.
        ConfigurationError: If it is not an encoder-decoder.
    """
    return Seq2SeqBackbone(load_model(name, "seq2seq", pretrained), *load_tokenizers(name))


def load_tokenizers(name_or_path: str | Path) -> tuple[PreTrainedTokenizerFast, PreTrainedTokenizerFast | None]:
    """Load the tokenizer of a checkpoint, and that of target texts if it is another one.

    Args:
        name_or_path: A name on the Hugging Face hub, or a folder.

    Raises:
        HubError: If it cannot be loaded.
        ConfigurationError: If the tokenizer has no fast version.
    """
    return load_marian_tokenizers(name_or_path) or (load_tokenizer(name_or_path), None)


def tokenizers_to_dict(tokenizer: PreTrainedTokenizerFast, target: PreTrainedTokenizerFast | None) -> dict[str, Any]:
    """Convert the tokenizers to a dict of serializable values.

    Args:
        tokenizer: The tokenizer.
        target: That of target texts, if it is another one.
    """
    values = tokenizer_to_dict(tokenizer)
    return values if target is None else {**values, "target": tokenizer_to_dict(target)}


def tokenizers_from_dict(values: Mapping[str, Any]) -> tuple[PreTrainedTokenizerFast, PreTrainedTokenizerFast | None]:
    """Undo :func:`tokenizers_to_dict`."""
    target = values.get("target")
    return tokenizer_from_dict(values), None if target is None else tokenizer_from_dict(target)


def model_to_dict(model: PreTrainedModel) -> dict[str, Any]:
    """Convert a model without its weights to a dict of serializable values."""
    generation: Any = model.generation_config
    return {
        "model": config_to_dict(model.config),
        "generation": generation.to_diff_dict(),
        "tied": _tied(model),
    }


def model_from_dict(values: Mapping[str, Any]) -> PreTrainedModel:
    """Undo :func:`model_to_dict`, with random weights."""
    model = make_model(config_from_dict(values["model"]), "seq2seq")
    model.generation_config = GenerationConfig.from_dict(dict(values["generation"]))
    if _tied(model) != values["tied"]:
        _tie(model, values["tied"])
    return model


def _tied(model: nn.Module) -> list[list[str]]:
    """Return the groups of names of tied parameters, such as the embeddings and the head."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [each for each in names.values() if len(each) > 1]


def _tie(model: nn.Module, groups: Sequence[Sequence[str]]) -> None:
    """Tie exactly the parameters of each group.

    The configuration is not reliable: that of T5 1.1 has tied weights, but its checkpoints have a separate head, which
    transformers then keeps.
    """
    for name, parameter in list(model.named_parameters(remove_duplicate=False)):
        _replace(model, name, nn.Parameter(parameter.detach().clone()))
    for first, *others in groups:
        for name in others:
            _replace(model, name, model.get_parameter(first))


def _replace(model: nn.Module, name: str, parameter: nn.Parameter) -> None:
    owner, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(owner), attribute, parameter)


def read_prefix(config: Any, task: str, source_language: str | None = None, target_language: str | None = None) -> str:
    """Return the prefix of texts for a checkpoint, such as ``"summarize: "`` for T5; empty if it has none.

    Args:
        config: The model's configuration, with the prefix in ``task_specific_params``.
        task: ``"summarization"`` or ``"translation"``.
        source_language: A code such as ``"en"``, to select one of the checkpoint's pairs of languages.
        target_language: The same for the target language.

    Raises:
        ConfigurationError: If the checkpoint does not have the requested pair of languages.

    Example:
        >>> from transformers import T5Config
        >>> pairs = {"translation_en_to_de": {"prefix": "translate English to German: "}}
        >>> read_prefix(T5Config(task_specific_params=pairs), "translation", "en", "de")
        'translate English to German: '
    """
    stored = getattr(config, "task_specific_params", None)
    stored = stored if isinstance(stored, Mapping) else {}
    prefixes = {
        name: str(params["prefix"])
        for name, params in stored.items()
        if isinstance(params, Mapping) and params.get("prefix") and (name == task or name.startswith(f"{task}_"))
    }
    asked = source_language is not None or target_language is not None
    fitting = {
        name: prefix
        for name, prefix in prefixes.items()
        if not asked or _is_pair(name, source_language, target_language)
    }
    if asked and not fitting:
        known = f"only {', '.join(prefixes)}" if prefixes else "no pair of languages"
        raise ConfigurationError(
            f"Expected a checkpoint with a translation from {source_language or 'any language'} to "
            f"{target_language or 'any language'}, but it has {known}. Leave the languages out, and pass prefix= "
            "if the model needs one."
        )
    if len(fitting) > 1:
        log.warning(
            "The checkpoint has %s; %r is used. Choose with target_language=, or prefix=.",
            ", ".join(fitting),
            next(iter(fitting)),
        )
    return next(iter(fitting.values()), "")


def _is_pair(name: str, source: str | None, target: str | None) -> bool:
    languages = name.split("_")[1:]
    return len(languages) == 3 and source in (None, languages[0]) and target in (None, languages[2])

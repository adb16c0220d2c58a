"""Backbones: an encoder of texts, with the tokenizer that it was trained with.

A backbone that a plugin registers for the domain ``"text"`` is a callable that takes ``pretrained`` and returns a
:class:`TextBackbone`. Its encoder is called as ``encoder(input_ids=..., attention_mask=...)``, both of shape
``(batch, tokens)``, and gives a vector for each token, shape ``(batch, tokens, features)``, as a tensor or as
``last_hidden_state`` of what it gives; or one vector for each text, shape ``(batch, features)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from flash.core.backbones import num_features
from flash.core.prediction import evaluating

from .hub import load_model, load_tokenizer, read_json
from .tokens import Tokenizer

__all__ = ["Pooling", "TextBackbone", "encode", "huggingface", "longest_input", "pool", "sort_by_use", "text_features"]

#: How the vectors of a text's tokens become one: their mean, or the first one.
Pooling = Literal["mean", "cls"]


@dataclass
class TextBackbone:
    """An encoder with its tokenizer.

    Args:
        encoder: Gives vectors for tokens; see :mod:`flash.text.backbones`.
        tokenizer: A fast tokenizer of transformers, or a callable that takes a list of texts and gives a list of
            lists of token ids.
        pooling: How its token vectors become one vector, where the checkpoint says it.
        max_length: How many tokens it was trained on, where the checkpoint says it.
    """

    encoder: nn.Module
    tokenizer: Tokenizer
    pooling: Pooling | None = None
    max_length: int | None = None


def huggingface(name: str, pretrained: bool = True) -> TextBackbone:
    """Load a checkpoint by its name on the Hugging Face hub, or from a folder.

    Args:
        name: The name or the folder.
        pretrained: Whether to load weights; otherwise they are random.

    Raises:
        HubError: If it cannot be had, or has not all weights.
    """
    tokenizer = load_tokenizer(name)
    encoder = load_model(name, "encoder", pretrained)
    trained_on = (read_json(name, "sentence_bert_config.json") or {}).get("max_seq_length")
    return TextBackbone(encoder, tokenizer, _stored_pooling(name), trained_on if isinstance(trained_on, int) else None)


def _stored_pooling(name: str | Path) -> Pooling | None:
    stored = read_json(name, "1_Pooling/config.json") or {}
    if stored.get("pooling_mode_cls_token") or stored.get("pooling_mode") == "cls":
        return "cls"
    if stored.get("pooling_mode_mean_tokens") or stored.get("pooling_mode") == "mean":
        return "mean"
    return None


def encode(encoder: nn.Module, x: dict[str, Tensor]) -> Tensor:
    """Return an encoder's vectors: ``(batch, tokens, features)``, or ``(batch, features)``."""
    given = encoder(**x)
    vectors: Tensor = given if isinstance(given, Tensor) else given.last_hidden_state
    return vectors


def pool(vectors: Tensor, mask: Tensor, how: Pooling) -> Tensor:
    """Make one vector of those of a text's tokens; padding does not count.

    Args:
        vectors: Shape ``(batch, tokens, features)``; ``(batch, features)`` stays as it is.
        mask: 1 for tokens and 0 for padding, shape ``(batch, tokens)``.
        how: ``"mean"`` or ``"cls"``, the first token.

    Returns:
        Shape ``(batch, features)``.

    Example:
        >>> vectors = torch.tensor([[[2.0], [4.0], [9.0]]])
        >>> pool(vectors, torch.tensor([[1, 1, 0]]), "mean")
        tensor([[3.]])
    """
    if vectors.ndim == 2:
        return vectors
    if how == "cls":
        return vectors[:, 0]
    weights = mask.to(vectors.dtype)
    # A product of matrices: no tensor as large as the vectors is made.
    return torch.bmm(weights.unsqueeze(1), vectors).squeeze(1) / weights.sum(1, keepdim=True)


def text_features(encoder: nn.Module) -> int:
    """Return the number of features per text: what the encoder states, or else measured on a text of one token."""
    return num_features(encoder, lambda: _one_token(encoder), lambda x: encode(encoder, x), ndim=(2, 3))


def longest_input(encoder: nn.Module) -> int | None:
    """How many tokens an encoder can tell the places of; ``None`` where it has no table of places."""
    limit = getattr(getattr(encoder, "config", None), "max_position_embeddings", None)
    if not isinstance(limit, int) or limit < 1:
        return None
    for name, module in encoder.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            # RoBERTa and its kin count places from the padding token's number on.
            reserved = 0 if module.padding_idx is None else module.padding_idx + 1
            return module.num_embeddings - reserved
    return limit


def sort_by_use(encoder: nn.Module) -> None:
    """Put the modules of an encoder in the order in which they run.

    Strategies that thaw the last layers first go by the order of the modules, which in some models is not that of
    the layers: BART's normalisation of embeddings comes after its layers. What does not run by itself, such as
    embeddings that are only looked at, stays in front.
    """
    places: dict[nn.Module, int] = {}

    def note(module: nn.Module, *_: Any) -> None:
        places.setdefault(module, len(places))

    handles = [module.register_forward_pre_hook(note) for module in encoder.modules()]
    try:
        with evaluating(encoder), torch.no_grad():
            encode(encoder, _one_token(encoder))
    finally:
        for handle in handles:
            handle.remove()
    first = _first_use(places)
    for parent in encoder.modules():
        children = sorted(parent._modules.items(), key=lambda item: first(item[1]))
        for name, _ in children:
            parent._modules[name] = parent._modules.pop(name)


def _first_use(places: dict[nn.Module, int]) -> Callable[[nn.Module | None], int]:
    def first(module: nn.Module | None) -> int:
        inside = [places[each] for each in module.modules() if each in places] if module is not None else []
        return min(inside, default=-1)

    return first


def _one_token(encoder: nn.Module) -> dict[str, Tensor]:
    """Return a batch of one text of one token, on the encoder's device."""
    device = next((parameter.device for parameter in encoder.parameters()), torch.device("cpu"))
    token = torch.zeros(1, 1, dtype=torch.long, device=device)
    return {"input_ids": token, "attention_mask": torch.ones_like(token)}

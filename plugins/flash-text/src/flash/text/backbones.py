"""Backbones: an encoder of texts, with the tokenizer that it was trained with.

A backbone that a plugin registers for the domain ``"text"`` is a callable that takes ``pretrained`` and returns a
:class:`TextBackbone`. Its encoder is called as ``encoder(input_ids=..., attention_mask=...)``, both of shape
``(batch, tokens)``, and for pairs of texts with ``token_type_ids`` of this shape if its ``forward`` has a parameter of
this name. It returns one vector per token, shape ``(batch, tokens, features)``, as a tensor or as
``last_hidden_state`` of its output; or one vector per text, shape ``(batch, features)``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from flash.core.backbones import num_features
from flash.core.prediction import evaluating
from flash.download.pretrained import read_json

from .hub import load_model, load_tokenizer
from .tokens import Tokenizer

__all__ = [
    "Pooling",
    "TextBackbone",
    "depends_on_padding",
    "encode",
    "huggingface",
    "max_positions",
    "order_by_execution",
    "pool",
    "takes_segments",
    "text_features",
]

# The number of tokens, with padding, on which it is measured whether padding changes the vectors of a text.
_PROBE = 96

#: The pooling of the token vectors of a text: their mean, or the first one.
Pooling = Literal["mean", "cls"]


@dataclass
class TextBackbone:
    """An encoder with its tokenizer.

    Args:
        encoder: A module as described in :mod:`flash.text.backbones`.
        tokenizer: A fast tokenizer of transformers, or a callable from a list of texts to a list of lists of token
            ids.
        pooling: The pooling of its token vectors; ``None`` if the checkpoint does not define it.
        max_length: The maximum number of tokens in its training; ``None`` if the checkpoint does not define it.
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
        HubError: If it cannot be loaded, or weights are missing.
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
    """Return an encoder's vectors, shape ``(batch, tokens, features)`` or ``(batch, features)``."""
    if not _takes(encoder, "attention_mask"):
        x = {name: value for name, value in x.items() if name != "attention_mask"}
    output = encoder(**x)
    vectors: Tensor = output if isinstance(output, Tensor) else output.last_hidden_state
    return vectors


def pool(vectors: Tensor, mask: Tensor, how: Pooling) -> Tensor:
    """Pool token vectors to one vector per text, without padding.

    Args:
        vectors: Shape ``(batch, tokens, features)``; ``(batch, features)`` is returned unchanged.
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
    # A matrix product does not allocate a tensor of the size of the vectors.
    return torch.bmm(weights.unsqueeze(1), vectors).squeeze(1) / weights.sum(1, keepdim=True)


def text_features(encoder: nn.Module) -> int:
    """Return the number of features per text: the encoder's own, or else measured on a text of one token."""
    return num_features(encoder, lambda: _one_token(encoder), lambda x: encode(encoder, x), ndim=(2, 3))


def takes_segments(encoder: nn.Module, tokenizer: Tokenizer) -> bool:
    """Return whether an encoder takes the segment of each token of a pair of texts, as ``token_type_ids``.

    Args:
        encoder: The encoder; one of transformers says in its configuration how many segments it has embeddings of.
        tokenizer: Its tokenizer, whose ``model_input_names`` decide where the configuration says nothing.
    """
    if "token_type_ids" not in inspect.signature(encoder.forward).parameters:
        return False
    kinds = getattr(getattr(encoder, "config", None), "type_vocab_size", None)
    if isinstance(kinds, int):
        return kinds > 1
    # GPT-2 and its kin have such a parameter, but no segments.
    return not isinstance(encoder, PreTrainedModel) or "token_type_ids" in getattr(tokenizer, "model_input_names", ())


def depends_on_padding(encoder: nn.Module, pad_id: int = 0) -> bool:
    """Return whether an encoder's vectors of a text depend on its padding.

    That is so of models without an attention mask, such as FNet, and of models that mix neighboring tokens in other
    ways than attention, such as ConvBERT. It is measured on a text of a few tokens, alone and with padding.

    Args:
        encoder: The encoder.
        pad_id: The id of the padding token.
    """
    total = min(max_positions(encoder) or _PROBE, _PROBE)
    tokens = max(total // 3, 1)
    if tokens == total:
        return False
    device = _device(encoder)
    ids = torch.full((1, total), pad_id, dtype=torch.long, device=device)
    mask = torch.zeros_like(ids)
    ids[:, :tokens], mask[:, :tokens] = 1 if pad_id == 0 else 0, 1
    with evaluating(encoder), torch.no_grad():
        alone = encode(encoder, {"input_ids": ids[:, :tokens], "attention_mask": mask[:, :tokens]})
        padded = encode(encoder, {"input_ids": ids, "attention_mask": mask})
    if alone.ndim == 3:
        padded = padded[:, : alone.shape[1]]
    difference = float((alone - padded).abs().max())
    tolerance = max(1e-3, 64 * torch.finfo(alone.dtype).eps)
    return difference > tolerance * max(float(alone.abs().max()), 1e-6)


def _takes(encoder: nn.Module, name: str) -> bool:
    """Return whether an encoder takes an argument; the keywords of transformers' models are options and no inputs."""
    parameters = inspect.signature(encoder.forward).parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    return name in parameters or (takes_any and not isinstance(encoder, PreTrainedModel))


def max_positions(encoder: nn.Module) -> int | None:
    """Return the number of positions that an encoder supports; ``None`` if it is not limited."""
    limit = getattr(getattr(encoder, "config", None), "max_position_embeddings", None)
    if not isinstance(limit, int) or limit < 1:
        return None
    for name, module in encoder.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            # RoBERTa and related models number positions from the padding token's id on.
            reserved = 0 if module.padding_idx is None else module.padding_idx + 1
            return module.num_embeddings - reserved
    return limit


def order_by_execution(encoder: nn.Module) -> None:
    """Sort the modules of an encoder by the order in which they are executed.

    Strategies that unfreeze the last layers first use the order of the modules, which in some models is not that of
    the forward pass: BART's normalization of embeddings is registered after its layers. Modules whose ``forward`` is
    not called, such as embeddings of which only the weight is used, come first.
    """
    order: dict[nn.Module, int] = {}

    def record(module: nn.Module, *_: Any) -> None:
        order.setdefault(module, len(order))

    handles = [module.register_forward_pre_hook(record) for module in encoder.modules()]
    try:
        with evaluating(encoder), torch.no_grad():
            encode(encoder, _one_token(encoder))
    finally:
        for handle in handles:
            handle.remove()
    position = _first_execution(order)
    for parent in encoder.modules():
        children = sorted(parent._modules.items(), key=lambda item: position(item[1]))
        for name, _ in children:
            parent._modules[name] = parent._modules.pop(name)


def _first_execution(order: dict[nn.Module, int]) -> Callable[[nn.Module | None], int]:
    def position(module: nn.Module | None) -> int:
        inside = [order[each] for each in module.modules() if each in order] if module is not None else []
        return min(inside, default=-1)

    return position


def _one_token(encoder: nn.Module) -> dict[str, Tensor]:
    """Return a batch of one text of one token, on the encoder's device."""
    token = torch.zeros(1, 1, dtype=torch.long, device=_device(encoder))
    return {"input_ids": token, "attention_mask": torch.ones_like(token)}


def _device(encoder: nn.Module) -> torch.device:
    return next((parameter.device for parameter in encoder.parameters()), torch.device("cpu"))

"""Heads: modules from the features of a backbone to the outputs of a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from flash.core.registry import ComponentRegistry, Registry
from flash.errors import ConfigurationError

__all__ = ["heads", "make_head"]

#: Heads by name: factories ``(in_features, outputs) -> module``.
heads = ComponentRegistry("head", "image heads", "image/classification", "image/regression")


def linear(in_features: int, outputs: int) -> nn.Module:
    """Make a linear layer."""
    return nn.Linear(in_features, outputs)


def mlp(in_features: int, outputs: int, hidden: int = 512, dropout: float = 0.2) -> nn.Module:
    """Make an MLP with layer normalization, one hidden layer and dropout."""
    return nn.Sequential(
        nn.LayerNorm(in_features),
        nn.Linear(in_features, hidden),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, outputs),
    )


def make_head(
    head: str | Callable[[Any, int], Any],
    in_features: Any,
    outputs: int,
    prefer: str | None = None,
    registry: Registry = heads,
) -> nn.Module:
    """Make a head.

    Args:
        head: A name, a callable ``(in_features, outputs) -> module``, or a module, which is returned.
        in_features: The number of features of the backbone; for another registry whatever its heads are made for.
        outputs: The number of outputs of the head.
        prefer: The distribution that wins where several plugins register the name.
        registry: The registry to look names up in.

    Raises:
        UnknownNameError: If no head has the name.
        ConfigurationError: If ``head`` is of another type, or the callable makes no module.

    Example:
        >>> make_head("linear", 8, 2)
        Linear(in_features=8, out_features=2, bias=True)
    """
    if isinstance(head, nn.Module):
        return head
    factory = registry.get(head, prefer) if isinstance(head, str) else head
    made = factory(in_features, outputs) if callable(factory) else factory
    if not isinstance(made, nn.Module):
        raise ConfigurationError(
            f"Expected head to be one of {', '.join(map(repr, registry.list()))}, a module, or a callable "
            f"(in_features, outputs) that makes one, but got {head!r}"
            + (f", which made {type(made).__name__}." if callable(factory) else ".")
        )
    return made

"""Losses by name: those of torch, of plugins, and registered ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from flash.core.registry import ComponentRegistry, Registry
from flash.errors import ConfigurationError

__all__ = ["LossSpec", "losses", "make_loss"]

#: A loss: a name, or a callable ``(predictions, targets) -> loss``.
LossSpec: TypeAlias = str | Callable[..., Any]

#: Losses by name.
losses = ComponentRegistry("loss", "losses")


def make_loss(
    choice: LossSpec | None, prefer: str | None = None, registry: Registry = losses
) -> Callable[..., Any] | None:
    """Return the loss for a name or a callable.

    Args:
        choice: A name in the registry; a callable ``(predictions, targets) -> loss``, which is returned; or ``None``.
        prefer: The distribution to prefer if several plugins register the name.
        registry: The registry to look names up in; by default :data:`losses`.

    Raises:
        ConfigurationError: If it is none of these, or a class, which has to be instantiated.
        UnknownNameError: If the name is not registered.

    Example:
        >>> make_loss("mse").__name__
        'mse_loss'
    """
    if choice is None:
        return None
    if isinstance(choice, str):
        found: Any = registry.get(choice, prefer)
        made: Callable[..., Any] = found() if isinstance(found, type) else found
        return made
    if isinstance(choice, type) or not callable(choice):
        raise ConfigurationError(
            f"Expected loss_fn to be a name such as 'cross_entropy', or a callable (predictions, targets) -> loss, but "
            f"got {choice!r}. A class must be called: torch.nn.HuberLoss(), not torch.nn.HuberLoss."
        )
    return choice

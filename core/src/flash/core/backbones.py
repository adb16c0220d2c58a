"""Build backbones from a name or a module, for the tasks of all domains.

A backbone is a module. It may have these optional attributes:

=================  ================================================================  ================================
attribute          meaning                                                           default
=================  ================================================================  ================================
``out_features``   the number of features per sample                                 measured on an example
``input_spec``     requirements on its inputs, see :meth:`flash.Task.input_spec`     none
``layers()``       its layers, in the order of the forward pass                      its children with parameters
``learning_rate``  recommended learning rate with the default optimizer              the task's own
``weight_decay``   recommended weight decay with the default optimizer               the optimizer's own
=================  ================================================================  ================================

A name refers to a factory, which a plugin registers by ``flash_backbones`` or which is registered on
``Task.backbones``. The domain defines the arguments of a factory.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import TypeVar

from flash.core.prediction import evaluating
from flash.errors import ConfigurationError
from flash.serialization import call_with

__all__ = ["build_backbone", "num_features", "stated_layers", "takes_argument"]

T = TypeVar("T", default=nn.Module)


def build_backbone(
    choice: str | Path | nn.Module,
    factory_of: Callable[[str], Callable[..., Any]],
    *arguments: Any,
    kwargs: Mapping[str, Any] | None = None,
    makes: type[T] = nn.Module,  # type: ignore[assignment]  # the default is one of the types
    **options: Any,
) -> T:
    """Build a backbone from a name or a module; tasks call :meth:`flash.Task.build_backbone`.

    Args:
        choice: A name, or a module, which is returned unchanged.
        factory_of: Returns the factory for a name.
        arguments: Positional arguments of every factory of the domain.
        kwargs: Additional arguments of the user for the factory (``backbone_kwargs``).
        makes: The type that a factory of the domain returns.
        options: Arguments such as ``pretrained``, for factories that take them.

    Raises:
        ConfigurationError: If the choice is neither, there are ``kwargs`` for a module, the factory does not take its
            arguments, or it returns another type.
        UnknownNameError: If there is no such name.

    Example:
        >>> def small(width=4, pretrained=True):
        ...     return nn.Linear(2, width)
        >>> build_backbone("small", {"small": small}.__getitem__, kwargs={"width": 8}, pretrained=False)
        Linear(in_features=2, out_features=8, bias=True)
    """
    if isinstance(choice, nn.Module):
        if kwargs:
            raise ConfigurationError(
                "Expected backbone_kwargs with the name of a backbone, but got a module, which is made already, and "
                f"{dict(kwargs)}. Set them where you make the module."
            )
        return choice  # type: ignore[return-value]  # if factories return another type, the task wraps the module
    if not isinstance(choice, str | Path):
        raise ConfigurationError(f"Expected backbone to be a name or a module, but got {choice!r}.")
    factory = factory_of(str(choice))
    known = {name: value for name, value in options.items() if takes_argument(factory, name)}
    if not kwargs:
        _check_takes(factory, str(choice), arguments, known)
    made = call_with(
        repr(str(choice)), factory, keywords=kwargs or {}, first=arguments, known=known, noun="backbone_kwargs"
    )
    if not isinstance(made, makes):
        article = "an" if makes.__name__[0] in "AEIOU" else "a"
        raise ConfigurationError(
            f"Expected the factory of the backbone {str(choice)!r} to return {article} {makes.__name__}, but it "
            f"returned {made!r}."
        )
    return made


def takes_argument(factory: Callable[..., Any], name: str) -> bool:
    """Return whether a factory takes an argument of that name.

    Example:
        >>> takes_argument(lambda width: None, "pretrained"), takes_argument(lambda **kwargs: None, "pretrained")
        (False, True)
    """
    parameters = inspect.signature(factory).parameters
    return name in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def num_features(
    backbone: nn.Module,
    example: Callable[[], Any],
    forward: Callable[[Any], Any] | None = None,
    *,
    ndim: Collection[int] = (2,),
    hint: str = "Give it an attribute out_features, the number of features per sample.",
) -> int:
    """Return the number of features per sample: ``out_features``, or else the last size of an example's features.

    Args:
        backbone: The backbone.
        example: Returns the inputs of a batch of one; called if the backbone has no ``out_features``.
        forward: Computes the features of inputs; by default the backbone.
        ndim: Allowed numbers of dimensions of the features, including the batch.
        hint: The last sentence of the error for a backbone that does not accept the example.

    Raises:
        ConfigurationError: If the backbone does not accept the example, or does not return features.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> num_features(net, lambda: torch.zeros(1, 3, 8, 8))
        5
    """
    stated = getattr(backbone, "out_features", None)
    if isinstance(stated, int):
        return stated
    inputs, name = example(), type(backbone).__name__
    try:
        with evaluating(backbone), torch.no_grad():
            features = (forward or backbone)(inputs)
    except (RuntimeError, TypeError, ValueError, AssertionError, AttributeError, LookupError) as error:
        raise ConfigurationError(
            f"Expected the backbone {name} to take {_described(inputs)}, but it says: {error}. {hint}"
        ) from error
    if not isinstance(features, Tensor) or features.ndim not in ndim:
        raise ConfigurationError(
            f"Expected the backbone {name} to return one vector per sample, shape (batch, features), but it returned "
            f"{_described(features)}. End it with pooling and nn.Flatten()."
        )
    return int(features.shape[-1])


def stated_layers(backbone: nn.Module) -> list[nn.Module] | None:
    """Return the result of a backbone's method ``layers``; ``None`` if it has none.

    Example:
        >>> stated_layers(nn.Linear(2, 2)) is None
        True
    """
    state = getattr(backbone, "layers", None)
    # Many networks have an attribute ``layers`` that is a list of modules.
    return list(state()) if inspect.ismethod(state) else None


def _check_takes(factory: Callable[..., Any], name: str, arguments: tuple[Any, ...], known: Mapping[str, Any]) -> None:
    """Reject a factory that does not take the arguments of its tasks, before anything is built or downloaded."""
    try:
        inspect.signature(factory).bind(*arguments, **known)
    except TypeError as error:
        raise ConfigurationError(
            f"Expected the factory of the backbone {name!r} to take the arguments of tasks of its domain, but it "
            f"says: {error}."
        ) from error


def _described(value: Any) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"

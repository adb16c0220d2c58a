"""Objects that record the arguments that they were made with, so that a checkpoint can make them again."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import nn
from typing_extensions import Self

from flash.serialization.values import NotSerializableError, to_serializable

__all__ = ["MODULE", "Configurable"]

#: The kind of an omitted argument that has weights, and without which an object cannot be made again.
MODULE = "module"


class Configurable:
    """Record the arguments of ``__init__``, defaults included.

    What decides how an object is made again and is not among its arguments as they were passed is recorded with
    :meth:`record_arguments`; what a checkpoint cannot hold is left to the caller with :meth:`omit_arguments`.

    Example:
        >>> class Scale(Configurable):
        ...     def __init__(self, factor=2.0, label=None):
        ...         self.label = label or f"times {factor}"
        ...         self.record_arguments(label=self.label)
        >>> dict(Scale(3.0).recorded_arguments)
        {'factor': 3.0, 'label': 'times 3.0'}
    """

    _recorded: dict[str, Any]
    _omitted: dict[str, str]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Record the arguments of this call."""
        made = super().__new__(cls)
        # Not by assignment: a torch module is not initialized yet at this point.
        object.__setattr__(made, "_recorded", {})
        object.__setattr__(made, "_omitted", {})
        for name, value in _bound_arguments(cls, args, kwargs).items():
            try:
                made._recorded[name] = to_serializable(value)
            except NotSerializableError:
                made._omitted[name] = MODULE if _has_weights(value) else type(value).__name__
        return made

    @property
    def recorded_arguments(self) -> Mapping[str, Any]:
        """The arguments that a checkpoint holds, by name, as serializable values."""
        return MappingProxyType(self._recorded)

    @property
    def omitted_arguments(self) -> Mapping[str, str]:
        """The arguments that a checkpoint does not hold, with their types; ``"module"`` for those with weights."""
        return MappingProxyType(self._omitted)

    def record_arguments(self, **values: Any) -> None:
        """Record arguments, in place of what was passed, for making the object again.

        Args:
            values: Arguments of ``__init__``, by name: what they turned out to be, such as a size that was computed.

        Raises:
            NotSerializableError: If a checkpoint cannot hold a value.
        """
        for name, value in values.items():
            self._recorded[name] = to_serializable(value, where=name)
            self._omitted.pop(name, None)

    def omit_arguments(self, *names: str) -> None:
        """Leave arguments out of checkpoints: whoever loads one has to pass them again.

        Args:
            names: Arguments of ``__init__``, such as a network whose code a checkpoint cannot hold.
        """
        for name in names:
            self._recorded.pop(name, None)
            self._omitted[name] = MODULE


def _bound_arguments(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Match the arguments of a call of ``cls`` with the parameters of its ``__init__``."""
    signature = inspect.signature(cls.__init__)  # type: ignore[misc]  # the class itself is asked, on purpose
    try:
        bound = signature.bind(None, *args, **kwargs)
    except TypeError:
        # The call itself is about to fail with Python's own message; or this is copy or pickle, which fill in
        # the attributes afterwards.
        return {}
    bound.apply_defaults()
    values = dict(list(bound.arguments.items())[1:])
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            values |= values.pop(name)
        elif parameter.kind is parameter.VAR_POSITIONAL and not values[name]:
            del values[name]
    return values


def _has_weights(value: Any) -> bool:
    return isinstance(value, nn.Module) and any(True for _ in value.parameters())

"""Objects that record their constructor arguments, so that they can be rebuilt from a checkpoint."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, ClassVar

from torch import nn
from typing_extensions import Self

from flash.errors import ConfigurationError, FlashError, UnknownArgumentError
from flash.former import FORMER_ARGUMENTS
from flash.serialization.values import NotSerializableError, to_serializable

__all__ = ["MODULE", "Configurable", "accepted_parameters", "call_with", "refuse_unknown_arguments"]

#: The kind of an omitted argument that has weights, and without which an object cannot be rebuilt.
MODULE = "module"


class Configurable:
    """Record the arguments of ``__init__``, defaults included.

    Arguments whose final value differs from what was passed are recorded with :meth:`record_arguments`; arguments that
    a checkpoint cannot hold, and that the caller has to pass again, are omitted with :meth:`omit_arguments`.

    Example:
        >>> class Scale(Configurable):
        ...     def __init__(self, factor=2.0, label=None):
        ...         self.label = label or f"times {factor}"
        ...         self.record_arguments(label=self.label)
        >>> dict(Scale(3.0).recorded_arguments)
        {'factor': 3.0, 'label': 'times 3.0'}
    """

    #: Arguments of older programs that the class does not take, with what to write instead.
    former_arguments: ClassVar[Mapping[str, str]] = MappingProxyType({})

    _recorded: dict[str, Any]
    _omitted: dict[str, str]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Record the arguments of this call."""
        _refuse_unknown(cls, kwargs)
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
        """Arguments that a checkpoint holds, by name, as serializable values."""
        return MappingProxyType(self._recorded)

    @property
    def omitted_arguments(self) -> Mapping[str, str]:
        """Arguments that a checkpoint does not hold, with their types; ``"module"`` for those with weights."""
        return MappingProxyType(self._omitted)

    def record_arguments(self, **values: Any) -> None:
        """Record arguments for rebuilding the object, in place of the ones that were passed.

        Args:
            values: Final values of arguments of ``__init__``, by name, such as a size that was computed.

        Raises:
            NotSerializableError: If a checkpoint cannot hold a value.
        """
        for name, value in values.items():
            self._recorded[name] = to_serializable(value, where=name)
            self._omitted.pop(name, None)

    def omit_arguments(self, *names: str) -> None:
        """Omit arguments from checkpoints: they have to be passed again on load.

        Args:
            names: Arguments of ``__init__``, such as a network whose code a checkpoint cannot hold.
        """
        for name in names:
            self._recorded.pop(name, None)
            self._omitted[name] = MODULE


def accepted_parameters(cls: type) -> dict[str, Any]:
    """Return the parameters of a constructor and of the base classes that its ``**kwargs`` are passed on to.

    Args:
        cls: A class whose ``__init__`` passes ``**kwargs``, if it has them, to the next one.

    Returns:
        The ``inspect`` parameters by name, including a last ``**kwargs`` that accepts anything.

    Example:
        >>> class Base:
        ...     def __init__(self, size=1): ...
        >>> class Derived(Base):
        ...     def __init__(self, name, **kwargs): super().__init__(**kwargs)
        >>> list(accepted_parameters(Derived))
        ['name', 'size']
    """
    accepted: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base) or base is object:
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        passed_on = [each for each in parameters if each.kind is each.VAR_KEYWORD]
        # A parameter of a subclass replaces that of its base class.
        accepted |= {each.name: each for each in parameters if each not in passed_on and each.name not in accepted}
        if not passed_on:
            return accepted
    return accepted | {"kwargs": inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)}


def refuse_unknown_arguments(
    name: str,
    given: Iterable[str],
    accepted: Iterable[str],
    former: Mapping[str, str] = FORMER_ARGUMENTS,
) -> None:
    """Raise an error that names the first argument that is not accepted, and the closest one that is.

    Args:
        name: The callable, such as ``"Trainer.fit"``.
        given: Names of the arguments that were passed.
        accepted: Names of the arguments that it takes.
        former: Arguments of older programs, with what to write instead.

    Raises:
        UnknownArgumentError: If an argument is not accepted.

    Example:
        >>> refuse_unknown_arguments("Trainer", ["max_epoch"], ["max_epochs"])
        Traceback (most recent call last):
        ...
        flash.errors.UnknownArgumentError: Expected arguments that Trainer takes, but got 'max_epoch'. Did you mean \
'max_epochs'?
    """
    names = list(dict.fromkeys(accepted))
    unknown = [each for each in given if each not in names]
    if unknown:
        hint = former.get(unknown[0]) or _closest(unknown[0], names) or f"It takes {', '.join(names)}."
        raise UnknownArgumentError(f"Expected arguments that {name} takes, but got {unknown[0]!r}. {hint}")


def _closest(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name, list(names), 1, cutoff=0.7)
    return f"Did you mean {close[0]!r}?" if close else ""


def call_with(
    name: str,
    factory: Callable[..., Any],
    positional: Sequence[Any] = (),
    keywords: Mapping[str, Any] = MappingProxyType({}),
    *,
    first: Sequence[Any] = (),
    known: Mapping[str, Any] = MappingProxyType({}),
    noun: str = "arguments",
    refusals: tuple[type[Exception], ...] = (TypeError,),
    error: type[FlashError] = ConfigurationError,
) -> Any:
    """Call what a user chose by name, with the arguments that the user chose; those that do not fit are an error.

    Args:
        name: What is called, such as ``"the optimizer 'SGD'"``.
        factory: The function or class.
        positional: The arguments that the user chose.
        keywords: Those that the user chose by name.
        first: What it is called with in any case, before the others.
        known: What it is called with by name, unless the user chose something else.
        noun: What the user calls the arguments.
        refusals: What it raises for arguments that it does not take.
        error: What is raised instead.

    Raises:
        FlashError: If the factory does not take the arguments; the message lists those that it takes, and names the
            closest. An error of a call without arguments of the user stays what it is.

    Example:
        >>> call_with("the callback 'stop'", lambda patience=1: patience, keywords={"patience": 3})
        3
    """

    def refused(reason: Exception) -> FlashError:
        names = _names_of(factory)[len(first) :]
        unknown = [each for each in keywords if each not in names]
        given = dict(keywords) or tuple(positional) or dict(known)
        hint = f" {_closest(unknown[0], names)}" if unknown else ""
        taken = ", ".join(names) or "none"
        return error(f"Expected {noun} that {name} takes ({taken}), but got {given}: {reason}.{hint}".rstrip())

    try:
        signature = inspect.signature(factory)
    except ValueError:
        signature = None  # A factory that does not say what it takes.
    arguments, options = (*first, *positional), {**known, **keywords}
    try:
        if signature is not None:
            signature.bind(*arguments, **options)
    except TypeError as reason:
        raise refused(reason) from reason
    try:
        return factory(*arguments, **options)
    except FlashError:
        raise
    except refusals as reason:
        if signature is not None and not positional and not keywords:
            raise
        raise refused(reason) from reason


def _names_of(factory: Callable[..., Any]) -> list[str]:
    """Return the names of what a function or class takes, base classes included where it passes the rest on to them."""
    try:
        parameters = dict(inspect.signature(factory).parameters)
        if isinstance(factory, type) and any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
            parameters |= accepted_parameters(factory)
    except ValueError:
        return []
    return [each.name for each in parameters.values() if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)]


def _refuse_unknown(cls: type[Configurable], kwargs: Mapping[str, Any]) -> None:
    if not kwargs:
        return
    accepted = accepted_parameters(cls)
    if any(each.kind is each.VAR_KEYWORD for each in accepted.values()):
        return
    refuse_unknown_arguments(cls.__name__, kwargs, accepted, {**FORMER_ARGUMENTS, **cls.former_arguments})


def _bound_arguments(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Bind the arguments of a call of ``cls`` to the parameters of its ``__init__``."""
    signature = inspect.signature(cls.__init__)  # type: ignore[misc]  # the class itself is asked, on purpose
    try:
        bound = signature.bind(None, *args, **kwargs)
    except TypeError:
        # Either the call itself is about to fail with Python's own message, or copy or pickle make the object and set
        # its attributes afterwards.
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

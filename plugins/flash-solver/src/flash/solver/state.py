"""State of a solver: registered attributes, and how they are saved and loaded."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol, runtime_checkable

import torch

from flash.solver.errors import StateError

__all__ = [
    "AttributeWrapper",
    "StateDict",
    "StateDictSource",
    "StateManager",
    "WriteOnlyWrapper",
    "load_into",
    "state_of",
]

StateDict = Any


@runtime_checkable
class StateDictSource(Protocol):
    """Protocol of objects with ``state_dict`` and ``load_state_dict``: modules, optimizers, schedulers, scalers."""

    def state_dict(self) -> StateDict:
        """Return the state dict."""

    def load_state_dict(self, state: StateDict, /) -> Any:
        """Load a state dict."""


class AttributeWrapper:
    """The state of one attribute of any type.

    Objects with ``load_state_dict``, random generators, lists, dicts and tensors of the same shape are changed in
    place, so that other references stay valid; other values are replaced.

    Args:
        owner: The object that has the attribute.
        name: The attribute; it may be set later.

    Example:
        >>> class Owner: pass
        >>> owner = Owner(); owner.best = {"loss": 1.0}
        >>> same = owner.best
        >>> AttributeWrapper(owner, "best").load_state_dict({"loss": 0.5})
        >>> same
        {'loss': 0.5}
    """

    def __init__(self, owner: Any, name: str) -> None:
        self.owner = owner
        self.name = name

    @property
    def value(self) -> Any:
        """The current value of the attribute."""
        return getattr(self.owner, self.name)

    def state_dict(self) -> StateDict:
        """Return the attribute's state; lists, dicts and tensors are the live objects, not copies."""
        return state_of(self.value)

    def load_state_dict(self, state: StateDict) -> None:
        """Load the state into the attribute."""
        value = getattr(self.owner, self.name, None)
        if not load_into(value, state):
            setattr(self.owner, self.name, _restore_type(value, state))


def state_of(value: Any) -> StateDict:
    """Return the state of a value; a value without ``state_dict`` is its own state."""
    if isinstance(value, torch.Generator):
        return value.get_state()
    return value.state_dict() if isinstance(value, StateDictSource) else value


def load_into(value: Any, state: StateDict) -> bool:
    """Load a state of :func:`state_of` into a value in place, and return whether that is possible."""
    if isinstance(value, torch.Generator):
        value.set_state(state.cpu())
    elif isinstance(value, StateDictSource):
        value.load_state_dict(state)
    elif isinstance(value, list):
        value[:] = state
    elif isinstance(value, dict):
        value.clear()
        value.update(state)
    elif _can_copy(value, state):
        with torch.no_grad():
            value.copy_(state)
    else:
        return False
    return True


class WriteOnlyWrapper:
    """State that is saved, and ignored on load.

    Args:
        source: Gives the state.
    """

    def __init__(self, source: StateDictSource) -> None:
        self.source = source

    def state_dict(self) -> StateDict:
        """Return the source's state."""
        return self.source.state_dict()

    def load_state_dict(self, state: StateDict) -> None:
        """Ignore the state."""


class StateManager:
    """Registry of state sources, by name and in order.

    Attributes:
        sources: The source of each name; subclasses of the solver may read and change it.

    Example:
        >>> manager = StateManager()
        >>> model = torch.nn.Linear(1, 1)
        >>> manager.register("model", model)
        >>> list(manager.state_dict()["model"])
        ['weight', 'bias']
    """

    def __init__(self) -> None:
        self.sources: dict[str, StateDictSource] = {}

    def register(self, name: str, source: StateDictSource, write_only: bool = False) -> None:
        """Register a source.

        Args:
            name: Its key in the checkpoint.
            source: The object with the state.
            write_only: Whether it is only saved, and never loaded.

        Raises:
            StateError: If the name is registered already. It is a ``ValueError`` too.
        """
        if name in self.sources:
            raise _DuplicateStateError(
                f"Expected each state to be registered once, but {name!r} is registered already. "
                "Remove the second registration, or choose another name."
            )
        self.sources[name] = WriteOnlyWrapper(source) if write_only else source

    def state_dict(self) -> StateDict:
        """Return the state of all sources by name."""
        with _ema_swapped_out(self.sources.values()):
            return {name: _state_of(name, source) for name, source in self.sources.items()}

    def load_state_dict(self, state: StateDict, strict: bool = True, ignore: Collection[str] = ()) -> None:
        """Load the state of all sources.

        Args:
            state: A state dict of :meth:`state_dict`.
            strict: Whether missing or unexpected names are an error; otherwise they are ignored.
            ignore: Names to ignore.

        Raises:
            StateError: If ``strict`` and the names differ; nothing is loaded then.
        """
        known = [name for name in self.sources if name not in ignore]
        if strict:
            self._check_names(state, known, ignore)
        for name in known:
            if name in state:
                self.sources[name].load_state_dict(state[name])

    def _check_names(self, state: Mapping[str, Any], known: list[str], ignore: Collection[str]) -> None:
        unknown = [name for name in state if name not in self.sources and name not in ignore]
        missing = [name for name in known if name not in state and not isinstance(self.sources[name], WriteOnlyWrapper)]
        if not unknown and not missing:
            return
        parts = []
        if unknown:
            parts.append(f"the checkpoint has {_join_names(unknown)}, which the solver has not registered")
        if missing:
            parts.append(f"it lacks {_join_names(missing)}, which the solver has registered")
        names = ", ".join(repr(name) for name in unknown + missing)
        raise StateError(
            f"Expected a checkpoint of the registered state, but {' and '.join(parts)}. Register the same names as "
            f"the program that wrote it, or ignore them: restore(ignore=[{names}]) or restore(strict=False)."
        )


class _DuplicateStateError(StateError, ValueError):
    """Registration of a name that is registered already."""


def _state_of(name: str, source: StateDictSource) -> StateDict:
    try:
        return source.state_dict()
    except AttributeError as error:
        inner = source.source if isinstance(source, WriteOnlyWrapper) else source
        if isinstance(inner, AttributeWrapper) and not hasattr(inner.owner, inner.name):
            raise _MissingAttributeError(
                f"Expected {type(inner.owner).__name__} to have the attribute {inner.name!r}, which is registered as "
                f"state {name!r}, but it was never set. Set it before the first commit."
            ) from error
        raise


class _MissingAttributeError(StateError, AttributeError):
    """State of a registered attribute that was never set."""


@contextmanager
def _ema_swapped_out(sources: Collection[StateDictSource]) -> Iterator[None]:
    """Context manager: put the models' own weights back where an EMA has swapped in its average."""
    with ExitStack() as stack:
        for source in sources:
            value = getattr(source.owner, source.name, None) if isinstance(source, AttributeWrapper) else source
            pause = getattr(value, "swapped_back", None)
            if callable(pause):
                stack.enter_context(pause())
        yield


def _can_copy(value: Any, state: Any) -> bool:
    tensors = isinstance(value, torch.Tensor) and isinstance(state, torch.Tensor)
    return tensors and value.shape == state.shape and value.dtype == state.dtype


def _restore_type(value: Any, state: Any) -> Any:
    """Convert a state back to an OmegaConf configuration if the current value is one."""
    omegaconf = sys.modules.get("omegaconf")
    if omegaconf is not None and omegaconf.OmegaConf.is_config(value):
        return omegaconf.OmegaConf.create(state)
    return state


def _join_names(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)

"""What a registry holds: a name with metadata and provenance, and how to get at the factory."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from flash.errors import ConfigurationError, PluginError, PluginWarning
from flash.plugins import Contribution, Provider, load_target
from flash.plugins.types import Spec, check_target

__all__ = ["Factory", "Item", "RegistryEntry", "given_item", "listed_names", "local_item", "member_item"]

Factory = Callable[..., Any]


@dataclass(frozen=True)
class RegistryEntry:
    """What a registry knows about a name.

    Args:
        name: The name.
        summary: One sentence about it.
        metadata: Whatever was said when it was registered.
        provider: The plugin that it comes from, or None if it was registered in this process.

    Example:
        >>> RegistryEntry("tiny", summary="Two layers.").provider is None
        True
    """

    name: str
    summary: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    provider: Provider | None = None


@dataclass(frozen=True)
class Item:
    """An entry, and how to get at its factory."""

    entry: RegistryEntry
    load: Callable[[], Factory]

    @property
    def name(self) -> str:
        """Name of the entry."""
        return self.entry.name

    @property
    def provider(self) -> Provider | None:
        """Provider of the entry."""
        return self.entry.provider


def local_item(entry: RegistryEntry, factory: Factory | str) -> Item:
    """What is registered in this process."""
    if isinstance(factory, str):
        check_target(f"the factory of {entry.name!r}", factory)
        return Item(entry, functools.partial(load_target, factory))
    if not callable(factory):
        raise ConfigurationError(f"the factory of {entry.name!r} must be a callable or a string, but {factory!r} came")
    return Item(entry, lambda: factory)


def given_item(given: Contribution[Spec]) -> Item:
    """What a plugin gives under a name of its own."""
    apart = {"name", "summary", *given.spec.target_fields}
    metadata = {each.name: getattr(given.spec, each.name) for each in fields(given.spec) if each.name not in apart}
    entry = RegistryEntry(given.name, given.spec.summary, MappingProxyType(metadata), given.provider)
    return Item(entry, given.load)


def member_item(catalogue: Contribution[Spec], name: str) -> Item:
    """One of the names in a catalogue."""
    metadata = {"domain": catalogue.spec.scope, "catalogue": catalogue.name}
    entry = RegistryEntry(name, catalogue.spec.summary, MappingProxyType(metadata), catalogue.provider)
    return Item(entry, lambda: functools.partial(catalogue.load(), name))


def listed_names(catalogue: Contribution[Spec]) -> Sequence[str]:
    """The names that a catalogue lists; none, with a warning, if it cannot."""
    try:
        return catalogue.listed()
    except PluginError as error:
        # One catalogue that cannot be read must not take the other backbones of the domain with it.
        warnings.warn(f"the {catalogue.label} is left out: {error}", PluginWarning, stacklevel=2)
        return ()

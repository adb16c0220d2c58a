"""Items of a registry: a name with metadata and provenance, and a loader for its factory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from flash.errors import ConfigurationError
from flash.plugins._targets import load_target
from flash.plugins.info import Contribution, Provider
from flash.plugins.types import Spec, check_target

__all__ = ["Factory", "Item", "RegistryEntry"]

Factory = Callable[..., Any]


@dataclass(frozen=True)
class RegistryEntry:
    """Metadata and provenance of a registered name.

    Args:
        name: The name.
        summary: One sentence about it.
        metadata: Additional keyword arguments of the registration.
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
    """A registry entry with a loader for its factory."""

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

    @classmethod
    def local(cls, entry: RegistryEntry, factory: Factory | str) -> Item:
        """Return an item for a factory that is registered in this process."""
        if isinstance(factory, str):
            check_target(f"the factory of {entry.name!r}", factory)
            return cls(entry, functools.partial(load_target, factory))
        if not callable(factory):
            raise ConfigurationError(
                f"the factory of {entry.name!r} must be a callable or a string, but got {factory!r}"
            )
        return cls(entry, lambda: factory)

    @classmethod
    def from_plugin(cls, contribution: Contribution[Spec]) -> Item:
        """Return an item for a contribution of a plugin."""
        apart = {"name", "summary", *contribution.spec.target_fields}
        metadata = {
            each.name: getattr(contribution.spec, each.name)
            for each in fields(contribution.spec)
            if each.name not in apart
        }
        entry = RegistryEntry(
            contribution.name, contribution.spec.summary, MappingProxyType(metadata), contribution.provider
        )
        return cls(entry, contribution.load)

    @classmethod
    def from_catalogue(cls, catalogue: Contribution[Spec], name: str) -> Item:
        """Return an item for a single name of a catalogue."""
        metadata = {"domain": catalogue.spec.scope, "catalogue": catalogue.name}
        entry = RegistryEntry(name, catalogue.spec.summary, MappingProxyType(metadata), catalogue.provider)
        return cls(entry, lambda: functools.partial(catalogue.load(), name))

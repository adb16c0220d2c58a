"""The public home of :class:`Registry`, which lives below data and tasks in :mod:`flash.plugins.registry`."""

from flash.plugins.registry import (
    ComponentRegistry,
    Registry,
    RegistryEntry,
    backbone_registry,
    qualified_choice,
    strategy_registry,
)

__all__ = [
    "ComponentRegistry",
    "Registry",
    "RegistryEntry",
    "backbone_registry",
    "qualified_choice",
    "strategy_registry",
]

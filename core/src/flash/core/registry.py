"""Public module of :class:`Registry`, re-exported from :mod:`flash.plugins.registry`."""

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

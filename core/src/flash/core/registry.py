"""Public module of :class:`Registry`, re-exported from :mod:`flash.plugins.registry`."""

from typing import TYPE_CHECKING

from flash.former import former_names
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

# Hidden from type checkers, which would otherwise accept any misspelled name.
if not TYPE_CHECKING:
    __getattr__ = former_names(__name__)

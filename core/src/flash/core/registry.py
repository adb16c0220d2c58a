"""The public home of :class:`Registry`, which lives below data and tasks in :mod:`flash.plugins.registry`."""

from flash.plugins.registry import Registry, RegistryEntry, backbone_registry, strategy_registry

__all__ = ["Registry", "RegistryEntry", "backbone_registry", "strategy_registry"]

"""Plugins: they contribute domains, backbones, finetuning strategies, data sources and callbacks to Flash.

A plugin is a module that an entry point of the group ``flash.plugins`` names. It imports in milliseconds,
without torch, and its hook implementations return descriptions of its contributions; the hooks and their return
types are in :mod:`flash.plugins.hookspecs`.

Example:
    >>> from flash.plugins import Backbone, hookimpl, isolated_plugins
    >>> class Plugin:
    ...     @hookimpl
    ...     def flash_backbones(self):
    ...         yield Backbone("counter", domain="audio", factory="collections:Counter")
    >>> with isolated_plugins(Plugin()) as host:
    ...     host.backbones("audio")["counter"].load().__name__
    'Counter'
"""

from flash.errors import PluginWarning
from flash.plugins._current import get_host, isolated_plugins
from flash.plugins._lazy import lazy_exports
from flash.plugins._ownership import default_owner, dist_of
from flash.plugins._targets import load_target
from flash.plugins.components import (
    Augmentation,
    Component,
    Exporter,
    Head,
    Loss,
    LRScheduler,
    Metric,
    Optimizer,
    Output,
    Recipe,
)
from flash.plugins.hookspecs import HOOK_API, hookimpl
from flash.plugins.info import Contribution, PluginInfo, PluginState, Provider
from flash.plugins.manager import PluginHost
from flash.plugins.renames import Renamed
from flash.plugins.types import (
    Backbone,
    BackboneCatalogue,
    CallbackSpec,
    Command,
    DataSource,
    Engine,
    Strategy,
    TaskSpec,
)

__all__ = [
    "HOOK_API",
    "Augmentation",
    "Backbone",
    "BackboneCatalogue",
    "CallbackSpec",
    "Command",
    "Component",
    "Contribution",
    "DataSource",
    "Engine",
    "Exporter",
    "Head",
    "LRScheduler",
    "Loss",
    "Metric",
    "Optimizer",
    "Output",
    "PluginHost",
    "PluginInfo",
    "PluginState",
    "PluginWarning",
    "Provider",
    "Recipe",
    "Renamed",
    "Strategy",
    "TaskSpec",
    "default_owner",
    "dist_of",
    "get_host",
    "hookimpl",
    "isolated_plugins",
    "lazy_exports",
    "load_target",
]

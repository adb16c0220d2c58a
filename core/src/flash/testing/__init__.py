"""A conformance kit: classes of checks that a plugin's tests inherit.

A subclass says with fixtures what is checked, and gets the whole battery. Needs pytest: ``pip install
"flash-core[testing]"``. First-party plugins are held to the same checks.

Example:
    >>> class TestPlugin(PluginConformance):
    ...     plugin = "acme-audio"
"""

from flash.errors import ConfigurationError

try:
    import pytest as pytest
except ImportError as error:
    raise ConfigurationError(
        "Expected pytest, which runs the checks, to be installed: pip install 'flash-core[testing]'."
    ) from error

from flash.testing._backbone import BackboneConformance
from flash.testing._battery import Conformance
from flash.testing._callback import CallbackConformance
from flash.testing._data import DataModuleConformance
from flash.testing._plugin import PluginConformance
from flash.testing._process import in_clean_process
from flash.testing._silence import settle, silent_trainer
from flash.testing._site import FlashResult, PluginSite, plugin_site
from flash.testing._source import DataSourceConformance
from flash.testing._strategy import StrategyConformance
from flash.testing._task import TaskConformance

__all__ = [
    "BackboneConformance",
    "CallbackConformance",
    "Conformance",
    "DataModuleConformance",
    "DataSourceConformance",
    "FlashResult",
    "PluginConformance",
    "PluginSite",
    "StrategyConformance",
    "TaskConformance",
    "in_clean_process",
    "plugin_site",
    "settle",
    "silent_trainer",
]

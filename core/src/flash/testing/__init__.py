"""A conformance kit: classes of checks that a plugin's tests inherit.

A subclass provides fixtures with the objects under test, and inherits all checks. Needs pytest: ``pip install
"flash-core[testing]"``. First-party plugins run the same checks.

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
from flash.testing._callback import CallbackConformance
from flash.testing._conformance import Conformance
from flash.testing._data import DataModuleConformance
from flash.testing._plugin import PluginConformance
from flash.testing._process import in_clean_process
from flash.testing._site import FlashResult, PluginSite, plugin_site
from flash.testing._source import DataSourceConformance
from flash.testing._strategy import StrategyConformance
from flash.testing._task import TaskConformance
from flash.testing._trainer import settle, silent_trainer

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

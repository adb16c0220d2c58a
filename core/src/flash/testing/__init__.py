"""A conformance kit: classes of checks that a plugin's tests inherit.

A subclass provides fixtures with the objects under test, and inherits all checks. Needs pytest: ``pip install
"flash-core[testing]"``. First-party plugins run the same checks.

Example:
    >>> class TestPlugin(PluginConformance):
    ...     plugin = "acme-audio"
"""

import os

# Before torch and the client of the hub are imported, and for processes that a test starts: several threads make tiny
# networks slower and no two runs equal, and no test may wait for a hub. What is set already stays.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

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

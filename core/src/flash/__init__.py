"""Flash: from raw data to a finetuned deep-learning baseline in three lines.

The names below are imported when they are first used, so that ``import flash`` and the ``flash`` command stay
instant. Domains are separate packages that share this namespace, as ``flash.<domain>``; each is installed with pip.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

# Domain packages ship flash/<domain>/ only, possibly in another folder of sys.path (editable installs, --target).
__path__ = pkgutil.extend_path(__path__, __name__)

__version__ = "0.1.0"

if TYPE_CHECKING:
    from flash.core.model import Task as Task
    from flash.core.registry import Registry as Registry
    from flash.core.trainer import Trainer as Trainer
    from flash.data.data_module import DataModule as DataModule
    from flash.data.process import Postprocess as Postprocess
    from flash.data.process import Preprocess as Preprocess
    from flash.download import download_data as download_data
    from flash.errors import FlashError as FlashError

_EXPORTS = {
    "DataModule": "flash.data.data_module",
    "FlashError": "flash.errors",
    "Postprocess": "flash.data.process",
    "Preprocess": "flash.data.process",
    "Registry": "flash.core.registry",
    "Task": "flash.core.model",
    "Trainer": "flash.core.trainer",
    "download_data": "flash.download",
}

__all__ = [
    "DataModule",
    "FlashError",
    "Postprocess",
    "Preprocess",
    "Registry",
    "Task",
    "Trainer",
    "download_data",
]


# Hidden from type checkers, which would otherwise accept any misspelled name as an attribute.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _EXPORTS:
            value = getattr(importlib.import_module(_EXPORTS[name]), name)
            globals()[name] = value
            return value
        if name.startswith("_"):
            raise AttributeError(f"module 'flash' has no attribute {name!r}")
        try:
            return importlib.import_module(f"flash.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"flash.{name}":
                raise
        from flash.plugins.first_party import DOMAINS

        if name in DOMAINS:
            raise AttributeError(
                f"flash.{name} is provided by a plugin that is not installed: pip install {DOMAINS[name]}"
            )
        from flash.former import former_names

        return former_names(__name__)(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

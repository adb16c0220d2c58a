"""Label tools: annotations of Label Studio as data, and predictions as tasks that a person reviews there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash.plugins import lazy_exports

if TYPE_CHECKING:
    from .writing import label_config as label_config
    from .writing import to_label_studio as to_label_studio

__version__ = "0.1.0"

_EXPORTS = {"label_config": ".writing", "to_label_studio": ".writing"}

__all__ = ["label_config", "to_label_studio"]


# Hidden from type checkers, which would otherwise accept any misspelled name.
if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)

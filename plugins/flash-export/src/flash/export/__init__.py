"""Export of tasks: files for other runtimes, and what is needed beside them to predict from raw inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash.plugins import lazy_exports

if TYPE_CHECKING:
    from .folder import write_export as write_export
    from .formats import Format as Format

__version__ = "0.1.0"

_EXPORTS = {"Format": ".formats", "write_export": ".folder"}

__all__ = ["Format", "write_export"]


# Hidden from type checkers, which would otherwise accept any misspelled name.
if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)

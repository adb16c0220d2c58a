"""Predictions of a finetuned task over HTTP: a JSON API, a page to try it, health and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash.plugins import lazy_exports

if TYPE_CHECKING:
    from .app import make_app as make_app
    from .limits import Limits as Limits
    from .server import run as run

__version__ = "0.1.0"

_EXPORTS = {"Limits": ".limits", "make_app": ".app", "run": ".server"}

__all__ = ["Limits", "make_app", "run"]


# Hidden from type checkers, which would otherwise accept any misspelled name.
if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)

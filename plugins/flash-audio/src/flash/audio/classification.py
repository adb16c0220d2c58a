"""A module of version 0.x of Lightning Flash, whose names are found here or answered with a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash.former import former_module

from ._former import MODULES, NAMES

# Hidden from type checkers, for which there is nothing here.
if not TYPE_CHECKING:
    __getattr__ = former_module(__name__, MODULES, NAMES)

"""A module of version 0.x of Lightning Flash; :mod:`flash.former` says what to write for its names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash.former import former_module

# Hidden from type checkers, for which there is nothing here.
if not TYPE_CHECKING:
    __getattr__ = former_module(__name__)

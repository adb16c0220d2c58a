"""The package that the ancestor, Lightning Flash, had its data in; here it is :mod:`flash.data`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash.former import former_module

# Hidden from type checkers, for which there is nothing here but ``utils``.
if not TYPE_CHECKING:
    __getattr__ = former_module(__name__)

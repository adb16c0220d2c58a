"""Names of a package that are imported when they are first used, so that importing the package costs nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["lazy_exports"]


def lazy_exports(
    package: str, exports: Mapping[str, str], otherwise: Callable[[str], Any] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and the ``__dir__`` of a package that imports its public names late (PEP 562).

    Define them where type checkers do not look, ``if not TYPE_CHECKING:``, so that these report a misspelt name, and
    import the names for type checkers alone, ``if TYPE_CHECKING:``.

    Args:
        package: The ``__name__`` of the package.
        exports: Each public name with the module inside the package that defines it, such as ``".data"``.
        otherwise: The ``__getattr__`` for other names, such as :func:`flash.former.former_names` returns.

    Example:
        >>> get, names = lazy_exports("flash.plugins", {"hookimpl": ".hookspecs"})
        >>> callable(get("hookimpl")), "hookimpl" in names()
        (True, True)
    """

    def get_attribute(name: str) -> Any:
        if name not in exports:
            if otherwise is not None:
                return otherwise(name)
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(exports[name], package), name)
        vars(sys.modules[package])[name] = value
        return value

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *exports})

    return get_attribute, list_names

"""Import an object by its ``"module:attribute"`` string."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from difflib import get_close_matches
from functools import reduce
from typing import Any

from flash.errors import PluginError
from flash.plugins._messages import clean, one_line

__all__ = ["load_target", "modules_of", "why_not_found"]


def load_target(target: str, *, owner: str = "") -> Any:
    """Import an object by its ``"module:attribute"`` string.

    Args:
        target: The string.
        owner: The contribution that the target belongs to, for the error message.

    Raises:
        PluginError: If the module cannot be imported or has no such attribute.

    Example:
        >>> load_target("collections:Counter").__name__
        'Counter'
    """
    module_name, _, path = target.partition(":")
    whose = f" ({owner})" if owner else ""
    try:
        module = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # Such as SystemExit: importing a plugin must not end the process.
        hint = why_not_found(error, module_name)
        more = f"; {hint}" if hint else ""
        raise PluginError(f"cannot import {target}{whose}: {one_line(error)}{more}") from error
    try:
        return reduce(getattr, path.split("."), module)
    except KeyboardInterrupt:
        raise
    except AttributeError as error:
        close = get_close_matches(path, dir(module), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise PluginError(f"cannot import {target}{whose}: there is no {path!r} in it{hint}") from error
    except BaseException as error:  # A lazy module imports on attribute access, which can fail in any way.
        raise PluginError(f"cannot import {target}{whose}: {one_line(error)}") from error


def why_not_found(error: BaseException, module_name: str) -> str | None:
    """Return a sentence that says whether a module or one of its imports is missing, or None if neither is.

    Args:
        error: The exception that importing it raised.
        module_name: Name of the module.
    """
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if not missing:
        return None
    if module_name != missing and not module_name.startswith(f"{missing}."):
        return f"it imports {clean(missing)!r}, which is not installed"
    package, _, _ = missing.rpartition(".")
    if not package:
        return f"there is no package {missing!r}"
    modules = modules_of(package)
    close = get_close_matches(missing.rpartition(".")[2], [each.rpartition(".")[2] for each in modules], n=1)
    has = [f"{package}.{each}" for each in close] or modules[:5]
    return f"there is no such module; the package has {', '.join(has)}" if has else "there is no such module"


def modules_of(package: str) -> list[str]:
    """Return the full names of the modules in a package, without importing them."""
    found = sys.modules.get(package)
    folders = list(getattr(found, "__path__", ()))
    return sorted(f"{package}.{module.name}" for module in pkgutil.iter_modules(folders))

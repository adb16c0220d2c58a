"""Import of what a ``"module:attribute"`` string names."""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from functools import reduce
from typing import Any

from flash.errors import PluginError
from flash.plugins._messages import one_line

__all__ = ["load_target"]


def load_target(target: str, *, owner: str = "") -> Any:
    """Import the object that a ``"module:attribute"`` string names.

    Args:
        target: The string.
        owner: Whose target it is, for the error message.

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
    except Exception as error:
        raise PluginError(f"cannot import {target}{whose}: {one_line(error)}") from error
    try:
        return reduce(getattr, path.split("."), module)
    except AttributeError as error:
        close = get_close_matches(path, dir(module), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise PluginError(f"cannot import {target}{whose}: there is no {path!r} in it{hint}") from error
    except Exception as error:  # A lazy module imports when it is asked, and that can fail in any way.
        raise PluginError(f"cannot import {target}{whose}: {one_line(error)}") from error

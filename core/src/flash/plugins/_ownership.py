"""Find the distribution that a module belongs to, and the one that a default argument refers to."""

from __future__ import annotations

import inspect
from typing import Any

from flash.plugins._current import get_host
from flash.plugins.first_party import CORE, published_owner
from flash.plugins.info import PluginState

__all__ = ["default_owner", "dist_of"]


def dist_of(module_name: str) -> str | None:
    """Return the distribution of the plugin that a module belongs to, or None if no loaded plugin contains it.

    Args:
        module_name: The module's full name. A plugin whose entry point is in ``flash.<name>`` owns that package, any
            other plugin its top-level package.

    Example:
        >>> dist_of("flash.core.finetuning")
        'flash-core'
        >>> dist_of("json") is None
        True
    """
    for info in get_host().infos():
        if info.state is PluginState.LOADED and info.owns(module_name):
            return info.dist
    return CORE if published_owner(module_name) == CORE else None


def default_owner(owner: object, parameter: str, value: Any) -> str | None:
    """Return the distribution that a default of a constructor refers to, to be passed on as ``prefer``.

    Args:
        owner: The constructed object, such as a task.
        parameter: The parameter of its constructor.
        value: The argument. If it is not the default of a class in a plugin, the user chose it, and there is no owner.

    Example:
        >>> from flash.core.finetuning import FreezeUnfreeze
        >>> default_owner(FreezeUnfreeze(), "unfreeze_epoch", 10)
        'flash-core'
        >>> default_owner(FreezeUnfreeze(), "unfreeze_epoch", 3) is None
        True
    """
    for each in type(owner).__mro__:
        if "__init__" not in vars(each) or each is object:
            continue
        found = inspect.signature(vars(each)["__init__"]).parameters.get(parameter)
        default = found.default if found else inspect.Parameter.empty
        # The == of other values may return anything, such as a tensor.
        if default is value or (_is_plain(value) and _is_plain(default) and default == value):
            dist = dist_of(each.__module__)
            if dist:
                return dist
    return None


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, (*value.keys(), *value.values())))
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return isinstance(value, str | int | float | bool) or value is None

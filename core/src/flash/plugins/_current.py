"""The host that this process uses, and how to stand another one in for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flash.plugins._discovery import given
from flash.plugins.manager import PluginHost

__all__ = ["get_host", "isolated_plugins", "use_host"]

_lock = threading.Lock()
_host: PluginHost | None = None


def get_host() -> PluginHost:
    """The plugin host of this process.

    Example:
        >>> "freeze" in get_host().strategies()
        True
    """
    global _host
    with _lock:
        if _host is None:
            _host = PluginHost()
        return _host


@contextmanager
def use_host(host: PluginHost) -> Iterator[PluginHost]:
    """Make a host that of this process, for a while."""
    global _host
    with _lock:
        before, _host = _host, host
    try:
        yield host
    finally:
        with _lock:
            _host = before


@contextmanager
def isolated_plugins(*plugins: object, strict: bool = True) -> Iterator[PluginHost]:
    """Use only the given plugins, and what is built in, for a while.

    Made for tests, and for trying out a plugin in a notebook. What is installed and what the environment says
    do not count. All threads of the process are affected.

    Args:
        plugins: Modules, or objects with hook implementations.
        strict: Raise what is wrong with a plugin at once, instead of a warning when something is looked up.

    Raises:
        PluginError: If a plugin fails, and ``strict``.

    Example:
        >>> from flash.plugins import Strategy, hookimpl
        >>> class Plugin:
        ...     @hookimpl
        ...     def flash_finetuning_strategies(self):
        ...         yield Strategy("chain_thaw", factory="acme.finetuning:ChainThaw")
        >>> with isolated_plugins(Plugin()):
        ...     "chain_thaw" in get_host().strategies()
        True
        >>> "chain_thaw" in get_host().strategies()
        False
    """
    candidates = given(plugins)
    host = PluginHost(discover=lambda: candidates, environ={"FLASH_PLUGINS_STRICT": "1" if strict else ""})
    with use_host(host):
        if strict:
            host.domains()  # Looks something up, which loads the plugins.
        yield host

"""The plugin host of this process, and context managers that replace it temporarily."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flash.plugins._discovery import from_objects
from flash.plugins.manager import PluginHost

__all__ = ["get_host", "isolated_plugins", "use_host"]

_lock = threading.Lock()
_host: PluginHost | None = None


def get_host() -> PluginHost:
    """Return the plugin host of this process.

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
    """Replace the host of this process for the duration of the context."""
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
    """Use only the passed plugins and the built-in one for the duration of the context.

    Meant for tests, and for trying out a plugin in a notebook. Installed plugins and environment variables are
    ignored. All threads of the process are affected.

    Args:
        plugins: Modules, or objects with hook implementations.
        strict: Raise the errors of plugins immediately, instead of warning at the first look-up.

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
    candidates = from_objects(plugins)
    host = PluginHost(discover=lambda: candidates, environ={"FLASH_PLUGINS_STRICT": "1" if strict else ""})
    with use_host(host):
        if strict:
            host.domains()  # A look-up loads the plugins.
        yield host

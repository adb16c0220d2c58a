"""No network while the context is open, but for this machine itself."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["blocked_network"]

_HERE = {"localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "", None}  # noqa: S104  # names to compare with, not to bind


@contextmanager
def blocked_network() -> Iterator[list[str]]:
    """Refuse each connection to another machine, and note whom it was meant for.

    Yields:
        The hosts that were asked for, which fills while the context is open.
    """
    attempts: list[str] = []
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def refuse(host: Any) -> None:
        if isinstance(host, bytes):
            host = host.decode(errors="replace")
        if host not in _HERE and host != socket.gethostname():
            attempts.append(str(host))
            raise OSError(f"Expected no use of the network, but {host!r} was asked for.")

    def guarded(original: Any) -> Any:
        def call(self: socket.socket, address: Any) -> Any:
            if self.family in {socket.AF_INET, socket.AF_INET6}:
                refuse(address[0])
            return original(self, address)

        return call

    def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        refuse(host)
        return look_up(host, *args, **kwargs)

    names: dict[str, Any] = {"connect": guarded(connect), "connect_ex": guarded(connect_ex)}
    for name, replacement in names.items():
        setattr(socket.socket, name, replacement)
    socket.getaddrinfo = guarded_look_up
    try:
        yield attempts
    finally:
        # The two were inherited: what hides them goes.
        for name in names:
            delattr(socket.socket, name)
        socket.getaddrinfo = look_up

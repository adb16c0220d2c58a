"""Block network connections to other machines."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["blocked_network"]

_HERE = {"localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "", None}  # noqa: S104  # names to compare with, not to bind


@contextmanager
def blocked_network() -> Iterator[list[str]]:
    """Reject connections to other machines, and record their hosts.

    Yields:
        The list of requested hosts, filled while the context is open.
    """
    attempts: list[str] = []
    look_up = socket.getaddrinfo
    methods = {
        name: (vars(socket.socket).get(name), getattr(socket.socket, name)) for name in ("connect", "connect_ex")
    }

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

    for name, (_, original) in methods.items():
        setattr(socket.socket, name, guarded(original))
    socket.getaddrinfo = guarded_look_up
    try:
        yield attempts
    finally:
        for name, (own, _) in methods.items():
            # Deleting the attribute restores an inherited method.
            delattr(socket.socket, name) if own is None else setattr(socket.socket, name, own)
        socket.getaddrinfo = look_up

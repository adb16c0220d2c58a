"""The protocol of uvicorn with a time limit for the headers of a request, which uvicorn lacks."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["GuardedProtocol"]

_SECONDS = 10.0
_MOST_BYTES = 65_536


class GuardedProtocol(HttpToolsProtocol):
    """Closes a connection whose headers take 10 seconds, or 64 kB; a connection waits for its first request as long."""

    _timer: asyncio.TimerHandle | None = None
    _bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for headers."""
        super().connection_made(transport)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._have_headers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Wait for the end of the headers, where they have begun."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._have_headers()
        elif before is None or before.response_complete:
            self._bytes += len(data)
            if self._bytes > _MOST_BYTES:
                self.transport.abort()
            elif self._timer is None:
                self._await_headers()

    def _await_headers(self) -> None:
        self._timer = self.loop.call_later(_SECONDS, self.transport.abort)

    def _have_headers(self) -> None:
        self._bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

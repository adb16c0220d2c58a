"""The protocol of uvicorn with a time limit for the headers of a request, which it lacks, and one write an answer."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["GuardedProtocol", "JoinedWrites"]

_SECONDS = 10.0
_MOST_BYTES = 65_536


class GuardedProtocol(HttpToolsProtocol):
    """Closes a connection whose headers take 10 seconds, or 64 kB; a connection waits for its first request as long.

    The head and the body of an answer are written to the socket together.
    """

    _timer: asyncio.TimerHandle | None = None
    _bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for headers."""
        joined: Any = JoinedWrites(transport, self.loop)
        super().connection_made(joined)
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


class JoinedWrites:
    """Transport that writes what comes in one turn of the event loop at once: one call of the system for an answer.

    Args:
        transport: The transport that is written to.
        loop: Its event loop.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []
        # Asked for in each request.
        self.is_closing = transport.is_closing
        self.pause_reading, self.resume_reading = transport.pause_reading, transport.resume_reading

    def write(self, data: bytes) -> None:
        """Write in the next turn of the event loop, with all that comes until then."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        """Write what there is, and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            data, self._parts = b"".join(self._parts), []
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

"""The protocol of uvicorn with a time limit for the headers of a request, which it lacks, and one write an answer."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from .heads import plain_head

__all__ = ["GuardedProtocol", "JoinedWrites"]

_SECONDS = 10.0
_MOST_BYTES = 65_536
# How a request for predictions begins; one with longer headers is left to uvicorn.
_START = b"POST /v1/predict "
_MOST_PLAIN_BYTES = 2048


class GuardedProtocol(HttpToolsProtocol):
    """Closes a connection whose headers take 10 seconds, or 64 kB; a connection waits for its first request as long.

    The head and the body of an answer are written to the socket together. A plain request for predictions that comes in
    one piece is answered without the steps of ASGI, which take longer than all else of a small one.
    """

    _timer: asyncio.TimerHandle | None = None
    _bytes = 0
    # Whether the parser of uvicorn is between two requests.
    _is_between = True
    # Whether a request is answered without uvicorn, what came after it, and whether the connection ends with it.
    _is_answering = False
    _is_last = False

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for headers."""
        joined: Any = JoinedWrites(transport, self.loop)
        super().connection_made(joined)
        self._await_headers()
        self._later: list[bytes] = []
        # Of an application of others, or around this one, nothing is known.
        is_usual = not (self.config.access_log or self.root_path or self.limit_concurrency)
        self._predict_whole = getattr(self.app, "predict_whole", None) if is_usual else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._have_headers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Wait for the end of the headers, where they have begun."""
        if self._is_answering:
            self._later.append(data)
            self.flow.pause_reading()
            return
        if self._is_between and data.startswith(_START) and self._predicts(data):
            return
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

    def on_message_begin(self) -> None:
        """Note that a request has begun."""
        self._is_between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Note that a request has ended."""
        self._is_between = True
        super().on_message_complete()

    def shutdown(self) -> None:
        """End the connection after the request that is being answered."""
        if self._is_answering:
            self._is_last = True
        else:
            super().shutdown()

    def _predicts(self, data: bytes) -> bool:
        """Begin to answer a whole request, if it is plain, and the answer before it is written."""
        head, mark, body = data.partition(b"\r\n\r\n")
        if self._predict_whole is None or self.flow.write_paused or not mark or len(head) > _MOST_PLAIN_BYTES:
            return False
        cycle = self.cycle
        found = plain_head(head) if cycle is None or cycle.response_complete else None
        if found is None or found.length != len(body):
            return False
        self._is_answering = True
        if not self._predict_whole(found.content_type, body, self._write):
            self._is_answering = False
            return False
        self._unset_keepalive_if_required()
        self._have_headers()
        return True

    def _write(self, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        """Write an answer, and go on with what came after its request."""
        self._is_answering = False
        if self.transport.is_closing():
            return
        parts = [STATUS_LINE[status]]
        for name, value in (*self.server_state.default_headers, *headers):
            self._is_last |= name == b"connection" and value.lower() == b"close"
            parts += [name, b": ", value, b"\r\n"]
        parts += [b"connection: close\r\n\r\n" if self._is_last else b"\r\n", body]
        self.transport.write(b"".join(parts))
        if self._is_last:
            self.transport.close()
        self.on_response_complete()
        later, self._later = b"".join(self._later), []
        if later and not self._is_last:
            self.data_received(later)

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

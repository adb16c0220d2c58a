"""Clients of a service, in a process of their own that loads nothing else: run with port, clients and seconds.

The request comes on stdin; requests per second and the median of their latency go to stdout.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from typing import Any


class Client(asyncio.Protocol):
    """Sends the same request again and again, over one connection."""

    def __init__(self, request: bytes, seconds: list[float], until: float) -> None:
        self.request, self.seconds, self.until = request, seconds, until
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._send()

    def _send(self) -> None:
        self.start = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, mark, body = self.buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if len(body) < length:
            return
        assert head.startswith(b"HTTP/1.1 200"), self.buffer[:500]
        self.buffer = b""
        now = time.perf_counter()
        self.seconds.append(now - self.start)
        if now < self.until:
            self._send()
        else:
            self.transport.close()
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the service closed the connection"))


async def load(port: int, request: bytes, clients: int, seconds: float) -> tuple[float, float]:
    """Return the requests per second of some clients, and the median of their latency."""
    loop, found = asyncio.get_running_loop(), list[float]()
    start = time.perf_counter()
    made = [
        (await loop.create_connection(lambda: Client(request, found, start + seconds), "127.0.0.1", port))[1]
        for _ in range(clients)
    ]
    await asyncio.gather(*(each.done for each in made))
    return len(found) / (time.perf_counter() - start), statistics.median(found)


if __name__ == "__main__":
    port, clients, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    print(json.dumps(asyncio.run(load(port, sys.stdin.buffer.read(), clients, seconds))))

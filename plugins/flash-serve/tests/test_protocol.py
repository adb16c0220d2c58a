"""The protocol of the service: what it writes to a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from small_domains import Service, on_loopback

import flash
from flash.serve.protocol import JoinedWrites

Serve = Callable[..., Service]


class Transport:
    """Notes what is done with it."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.pause_reading = self.resume_reading = self.is_closing = lambda: False

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def close(self) -> None:
        self.done.append("closed")

    def abort(self) -> None:
        self.done.append("aborted")


def test_what_is_written_in_one_turn_of_the_event_loop_is_written_at_once() -> None:
    async def main() -> None:
        joined.append(JoinedWrites(transport, asyncio.get_running_loop()))
        joined[0].write(b"head")
        joined[0].write(b"body")
        assert transport.done == []
        await asyncio.sleep(0)
        joined[0].write(b"next")
        await asyncio.sleep(0)

    joined: list[JoinedWrites] = []
    transport = Transport()
    asyncio.run(main())
    assert transport.done == [b"headbody", b"next"]


def test_what_was_written_comes_before_the_end() -> None:
    async def main() -> None:
        joined = JoinedWrites(transport, asyncio.get_running_loop())
        joined.write(b"head")
        joined.write(b"body")
        joined.close()
        await asyncio.sleep(0)
        joined.abort()

    transport = Transport()
    asyncio.run(main())
    assert transport.done == [b"headbody", "closed", "aborted"]


def test_answers_of_one_connection_keep_their_order(serve: Serve, rows: flash.Task) -> None:
    async def main(port: int) -> list[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for age in (30, 2, 40):
            body = b'{"rows": [{"age": %d, "city": "Rome"}]}' % age
            head = (
                b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            )
            writer.write(head % len(body) + body)
        found = []
        for _ in range(3):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            found.append(await reader.readexactly(length))
        writer.close()
        await writer.wait_closed()
        return found

    with on_loopback(serve(rows).app) as port:
        answers = asyncio.run(main(port))
    assert [b'"prediction":"long"' in each for each in answers] == [True, False, True]

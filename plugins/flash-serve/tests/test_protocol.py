"""The protocol of the service: what it writes to a connection."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from small_domains import Rows, Service, on_loopback, task_of
from torch import nn

import flash
from flash.serve import make_app
from flash.serve.heads import plain_head
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


# ---------------------------------------------------------------------- requests in one piece

START = b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
BODY = b'{"rows": [{"age": 30, "city": "Rome"}]}'
ANSWER = b'{"predictions":[{"prediction":[30.0,4.0]}]}'


def request(body: bytes = BODY, more: bytes = b"") -> bytes:
    return START + more + b"content-length: %d\r\n\r\n" % len(body) + body


def read(connection: socket.socket) -> tuple[bytes, bytes]:
    """Return the head and the body of the next answer; both are empty at the end of the connection."""
    head, length = b"", 0
    while not head.endswith(b"\r\n\r\n"):
        block = connection.recv(1)
        if not block:
            return head, b""
        head += block
    found = re.search(rb"content-length: (\d+)", head)
    assert found is not None
    length, body = int(found[1]), b""
    while len(body) < length:
        body += connection.recv(length - len(body))
    return head, body


class Gate(nn.Module):
    """A network that waits."""

    def __init__(self) -> None:
        super().__init__()
        self.has_begun, self.is_open = threading.Event(), threading.Event()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.has_begun.set()
        assert self.is_open.wait(60)
        return x


@pytest.fixture
def port() -> Iterator[int]:
    with on_loopback(make_app(task_of(Rows()), max_body=1000)) as port:
        yield port


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.is_open.set()


def gated(gate: Gate) -> Any:
    task = flash.Task(gate)
    task.preprocess = Rows()
    return make_app(task)


@pytest.mark.parametrize(
    ("body", "status"),
    [(BODY, b"200"), (b'{"rows": [{"age": "x", "city": ""}]}', b"422"), (b"{", b"400"), (b" " * 1001, b"413")],
)
def test_the_answer_to_a_request_in_one_piece_is_that_to_one_in_two(port: int, body: bytes, status: bytes) -> None:
    whole = request(body)
    answers = []
    for parts in ([whole], [whole[:20], whole[20:]]):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for part in parts:
                connection.sendall(part)
                threading.Event().wait(0.05 * (part is not parts[-1]))
            head, answer = read(connection)
        answers.append((re.sub(rb"date: .*?\r\n", b"", head), answer))
    assert answers[0] == answers[1]
    assert answers[0][0].startswith(b"HTTP/1.1 " + status)


def test_a_plain_request_in_one_piece_takes_no_steps_of_asgi(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: Any) -> None:
        raise AssertionError("the application was called")

    monkeypatch.setattr("flash.serve.app._Application.__call__", refuse)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        for _ in range(2):
            connection.sendall(request())
            assert read(connection)[1] == ANSWER


def test_the_body_of_a_refused_request_is_not_taken_for_a_request(port: int) -> None:
    inner = request()
    head = START + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(inner)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(head)
        assert read(connection)[0].startswith(b"HTTP/1.1 415 ")
        connection.sendall(inner)
        connection.sendall(request(more=b"connection: close\r\n"))
        assert read(connection)[1] == ANSWER
        assert read(connection) == (b"", b"")


def test_what_comes_while_a_request_is_answered_is_answered_after_it(gate: Gate) -> None:
    with (
        on_loopback(gated(gate)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=60) as connection,
    ):
        connection.sendall(request())
        assert gate.has_begun.wait(60)
        older = BODY.replace(b"30", b"40")
        connection.sendall(request(older) + request(more=b"connection: close\r\n"))
        gate.is_open.set()
        found = [read(connection)[1] for _ in range(3)]
        assert found == [ANSWER, ANSWER.replace(b"30", b"40"), ANSWER]
        assert read(connection) == (b"", b"")


def test_a_request_in_one_piece_is_answered_before_the_service_ends(gate: Gate) -> None:
    with on_loopback(gated(gate)) as port:
        connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        connection.sendall(request())
        assert gate.has_begun.wait(60)
        # It is asked to end as the context does, and waits for the network.
        threading.Timer(0.5, gate.is_open.set).start()
    with connection:
        head, answer = read(connection)
        assert answer == ANSWER
        assert b"connection: close\r\n" in head
        assert read(connection) == (b"", b"")


def test_a_client_that_leaves_harms_nobody(gate: Gate) -> None:
    with on_loopback(gated(gate)) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(request())
            assert gate.has_begun.wait(60)
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(request())
            gate.is_open.set()
            assert read(connection)[1] == ANSWER


@pytest.mark.parametrize(
    "head",
    [
        START,
        START + b"content-length: x",
        START + b"content-length: 2\r\ncontent-length: 2",
        START + b"content-length: 2\r\ncontent-type: text/plain",
        START + b"content-length: 2\r\nexpect: 100-continue",
        START + b"content-length: 2\r\ncontent-encoding: gzip",
        START + b"content-length: 2\r\nconnection: close",
        START + b"content-length: 2\r\nconnection: upgrade\r\nupgrade: h2c",
        START + b"content-length: 2\r\ntransfer-encoding: chunked",
        START + b"content-length: 2\r\n folded",
        START.replace(b"1.1", b"1.0") + b"content-length: 2\r\nconnection: keep-alive",
        START.replace(b"predict", b"predict?a=1") + b"content-length: 2",
        START.replace(b"POST", b"PUT") + b"content-length: 2",
    ],
)
def test_a_head_that_is_not_plain_is_left_to_uvicorn(head: bytes) -> None:
    assert plain_head(START + b"content-length: 2\r\nconnection: keep-alive") is not None
    assert plain_head(head) is None


@pytest.mark.parametrize("place", ["decoder.decode", "batcher.begin"])
def test_a_mistake_of_the_service_is_answered_too(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        if place == "decoder.decode":
            raise ZeroDivisionError
        future = asyncio.get_running_loop().create_future()
        future.set_exception(ZeroDivisionError())
        return future

    app = make_app(task_of(Rows()))
    owner, _, name = place.partition(".")
    monkeypatch.setattr(getattr(app.state.service, owner), name, fail)
    with on_loopback(app) as port, socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        for _ in range(2):
            connection.sendall(request())
            head, answer = read(connection)
            assert head.startswith(b"HTTP/1.1 500 ")
            assert b"Expected the service to answer, but it failed with ZeroDivisionError; its log says why." in answer

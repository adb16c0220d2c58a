"""A service on loopback: slow and broken senders, its end, and its processes."""

from __future__ import annotations

import json
import re
import socket
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from small_domains import Rows, on_loopback, task_of

import flash
from flash.errors import ConfigurationError
from flash.serve import make_app, run
from flash.serve.command import main
from flash.serve.protocol import GuardedProtocol

ROW = {"rows": [{"age": 30, "city": "Rome"}]}


def post(port: int, content: Any, timeout: float = 30) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/predict", json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.loads(answer.read())


def talk(port: int, *parts: bytes, timeout: float = 30) -> bytes:
    """Send bytes, and return all that comes until the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        for part in parts:
            connection.sendall(part)
        found = b""
        while block := connection.recv(65536):
            found += block
    return found


# ---------------------------------------------------------------------- uvicorn in a thread


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A service that waits half a second for headers and two for bodies, and takes bodies of 100 kB."""
    monkeypatch.setattr("flash.serve.protocol._SECONDS", 0.5)
    with on_loopback(make_app(task_of(Rows()), timeout=2, max_body=100_000)) as port:
        yield port


POST = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.process
@pytest.mark.parametrize("start", [b"", b"POST", POST, POST + b"X: "])
def test_headers_that_do_not_end_are_cut_off_and_hold_nobody_up(port: int, start: bytes) -> None:
    connections = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(50)]
    for each in connections:
        each.sendall(start)
    assert post(port, ROW)["predictions"][0]["prediction"] == [30.0, 4.0]
    for each in connections:
        try:
            assert each.recv(100) == b""
        except ConnectionResetError:
            assert start  # the rest was not read
        each.close()
    assert post(port, ROW)


@pytest.mark.process
def test_headers_that_are_too_long_are_cut_off(port: int) -> None:
    def send_on() -> None:
        while True:
            connection.sendall(POST + b"X: " + b"x" * 10_000)

    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    with connection, pytest.raises(OSError, match="reset|Broken pipe"):
        send_on()
    assert post(port, ROW)


@pytest.mark.process
def test_a_body_that_stops_is_answered_and_its_connection_closed(port: int) -> None:
    answer = talk(port, POST + b"Content-Length: 100\r\n\r\n", b'{"rows"')
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"Expected the whole body within 2 s, but it is not there. Send it again." in answer


@pytest.mark.process
def test_a_chunked_body_that_is_too_large_is_refused_while_it_is_read(port: int) -> None:
    chunk = b"2710\r\n" + b" " * 10_000 + b"\r\n"
    answer = talk(port, POST + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 20, b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"Expected a body of at most 100,000 bytes, but got more." in answer


@pytest.mark.process
def test_a_large_body_gets_its_answer_before_the_connection_is_closed(port: int) -> None:
    answer = talk(port, POST + b"Content-Length: 3000000\r\n\r\n", b" " * 3_000_000)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"Expected a body of at most 100,000 bytes, but got 3,000,000." in answer


@pytest.mark.process
@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", b"\x00" * 1000])
def test_what_is_not_http_is_refused(port: int, junk: bytes) -> None:
    assert talk(port, junk).startswith(b"HTTP/1.1 400 ")
    assert post(port, ROW)


@pytest.mark.process
def test_a_connection_serves_many_requests(port: int) -> None:
    body = json.dumps(ROW).encode()
    request = POST + b"Content-Length: %d\r\n" % len(body)
    keep, close = request + b"\r\n" + body, request + b"Connection: close\r\n\r\n" + body
    assert talk(port, keep, keep, close).count(b'{"predictions":[{"prediction":[30.0,4.0]}]}') == 3


# ---------------------------------------------------------------------- the command


def test_the_command_says_what_is_wrong_at_once(tmp_path: Path) -> None:
    with pytest.raises(flash.errors.CheckpointError):
        main([str(tmp_path / "none.ckpt")])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--max_body", "x"], "Expected a size such as 500kB or 10MB, but got 'x'."),
        (["--max_batch", "0"], "Expected max_batch to be a whole number above 0, but got 0."),
        (["--workers", "0"], "Expected workers to be a whole number above 0, but got 0."),
        (["--precision", "8"], "Expected precision to be one of 32, 16, bf16, 64, but got '8'."),
    ],
)
def test_arguments_of_the_command_are_checked(tmp_path: Path, arguments: Sequence[str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(sentence)):
        main([str(tmp_path / "task.ckpt"), *arguments])


def test_a_port_that_is_taken_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sentence = rf"Expected an address to listen on, but 127.0.0.1:{port} is none: .*in use. Choose another host or"
        with pytest.raises(ConfigurationError, match=sentence):
            main([str(tmp_path / "none.ckpt"), "--port", str(port)])


@pytest.mark.parametrize("arguments", [["--port", "70000"], ["--port", "-1"], ["--host", "nowhere.invalid"]])
def test_an_address_that_is_none_is_said(tmp_path: Path, arguments: Sequence[str]) -> None:
    with pytest.raises(ConfigurationError, match="Expected an address to listen on, but .* is none: "):
        main([str(tmp_path / "none.ckpt"), *arguments])


def test_the_protocol_is_given_as_a_class_which_all_versions_of_uvicorn_take(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: dict[str, Any] = {}
    monkeypatch.setattr("uvicorn.run", lambda app, **options: taken.update(options))
    run(task_of(Rows()), port=0)
    assert taken["http"] is GuardedProtocol


def test_several_workers_need_a_checkpoint() -> None:
    with pytest.raises(ConfigurationError, match="Expected a checkpoint for 2 workers, each of which loads it, but"):
        run(task_of(Rows()), workers=2)

"""Answers of a server that lies, hangs, changes its file or packs it: the whole file, or an error."""

from __future__ import annotations

import gzip
import hashlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flash import download_data
from flash.download import _transfer
from flash.errors import FlashError

FILES = {b"one": b"first file " * 50, b"two": b"second one! " * 40}
TIMEOUT = 0.05


@dataclass(frozen=True)
class Answer:
    """One answer: what it says of itself, and what it sends."""

    status: int = 200
    version: bytes = b"one"
    length: int | None = 0  # how much more than it sends it announces; None announces nothing
    cut: int | None = None  # after how many bytes it hangs up
    hang: bool = False  # whether it waits there instead
    shift: int = 0  # by how much its range lies
    etag: bool = True
    packed: bool = False
    location: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    server: Server

    def do_GET(self) -> None:
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        body = FILES[answer.version]
        asked = self.headers.get("Range")
        start = int(asked[6:-1]) if asked and answer.status == 206 else 0
        start = min(start, len(body))
        sent = gzip.compress(body) if answer.packed else body[start:]
        self.send_response(answer.status)
        if answer.length is not None:
            self.send_header("Content-Length", str(max(len(sent) + answer.length, 0)))
        if answer.status == 206:
            self.send_header("Content-Range", f"bytes {start + answer.shift}-{len(body) - 1}/{len(body)}")
        if answer.etag:
            self.send_header("ETag", f'"{answer.version.decode()}"')
        if answer.packed:
            self.send_header("Content-Encoding", "gzip")
        if answer.location:
            self.send_header("Location", answer.location)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent[: answer.cut])
        self.wfile.flush()
        if answer.hang:
            self.server.released.wait(4 * TIMEOUT)
        self.connection.shutdown(socket.SHUT_WR)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Answer] = []
        self.released = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the game."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transfer, "_INITIAL_WAIT", 0.0)
    monkeypatch.setattr(_transfer, "_MAX_WAIT", 0.0)


ANSWERS = st.builds(
    Answer,
    status=st.sampled_from(
        [200, 200, 206, 206, 204, 301, 302, 307, 308, 304, 400, 403, 404, 408, 416, 429, 500, 503, 999]
    ),
    version=st.sampled_from(sorted(FILES)),
    length=st.sampled_from([0, 0, 0, None, 7, -7, 10**15]),
    cut=st.sampled_from([None, None, None, 0, 1, 100, 300]),
    hang=st.sampled_from([False] * 9 + [True]),
    shift=st.sampled_from([0, 0, 3, -3]),
    etag=st.booleans(),
    packed=st.sampled_from([False, False, False, True]),
    location=st.sampled_from(
        ["", "/other.bin", "file:///etc/passwd", "http://127.0.0.1:1/x", "ftp://a/b", "///", "http://["]
    ),
    headers=st.sampled_from([{}, {"Retry-After": "1e999"}, {"Retry-After": "soon"}, {"Content-Range": "bytes */*"}]),
)


@given(answers=st.lists(ANSWERS, min_size=1, max_size=4), with_sum=st.booleans())
@example(answers=[Answer(cut=100), Answer(206, b"two")], with_sum=False)
@example(answers=[Answer(cut=100), Answer(206, etag=False)], with_sum=False)
@example(answers=[Answer(packed=True)], with_sum=False)
@example(answers=[Answer(length=-7)], with_sum=False)
@example(answers=[Answer(301, location="file:///etc/passwd")], with_sum=False)
def test_any_server_gives_the_whole_file_or_an_error(answers: list[Answer], with_sum: bool, server: Server) -> None:
    server.answers = list(answers)
    address = f"http://127.0.0.1:{server.server_port}/data.bin"
    sha256 = hashlib.sha256(FILES[b"one"]).hexdigest() if with_sum else None
    with tempfile.TemporaryDirectory() as outer:
        folder = Path(outer, "inner")
        try:
            file = download_data(
                address, folder, sha256=sha256, extract=False, progress=False, timeout=TIMEOUT, retries=2
            )
        except FlashError:
            assert not (folder / "data.bin").exists()
        else:
            assert _is_whole(Path(file).read_bytes(), answers, with_sum)
        assert {path.name for path in folder.rglob("*")} <= {"data.bin", "data.bin.part", ".data.bin.download"}
        assert [path.name for path in Path(outer).iterdir()] in ([], ["inner"])


def _is_whole(content: bytes, answers: list[Answer], with_sum: bool) -> bool:
    if with_sum:
        return content == FILES[b"one"]
    if content in FILES.values():
        return True
    # Whoever announces no length, or a shorter one, cannot be told from one whose file is short.
    known = [file for file in FILES.values() if file.startswith(content)]
    return bool(known) and any(answer.length is None or answer.length < 0 for answer in answers)

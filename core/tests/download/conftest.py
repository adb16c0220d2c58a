from __future__ import annotations

import hashlib
import io
import random
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flash.download import _transfer, download_data
from flash.errors import DownloadError


class Site(ThreadingHTTPServer):
    """A web server with one file and moods."""

    daemon_threads = True
    original = bytes(range(256)) * 1024

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[dict[str, str]] = []
        self.content = self.original
        self.etag: str | None = '"one"'
        self.modified: str | None = None
        self.ranges = True
        self.silent_parts = False  # whether a part comes without its version
        self.if_range = True
        self.announce = True
        self.statuses: list[int] = []  # to answer with, instead of the file
        self.cuts: list[int] = []  # after how many bytes to hang up, one an answer
        self.stall = threading.Event()  # what an answer waits for after `stall_after` bytes
        self.stall_after: int | None = None
        self.headers: dict[str, str] = {}
        self.file_headers = False  # whether they come with the file too

    def url(self, path: str = "/data.bin", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.server_port}{path}"

    @property
    def half(self) -> int:
        return len(self.original) // 2

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def download(self, folder: Path, **options: Any) -> Path:
        """Download the file without a progress bar and without patience."""
        return download_data(self.url(), folder, **{"progress": False, "timeout": 5.0, **options})

    def interrupt(self, folder: Path) -> None:
        """Leave half of a download behind."""
        self.cuts = [self.half]
        with pytest.raises(DownloadError):
            self.download(folder, retries=0)
        assert (folder / "data.bin.part").stat().st_size == self.half
        self.requests.clear()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the game."""


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        site = self.server
        site.requests.append({"path": self.path, **{name.lower(): v for name, v in self.headers.items()}})
        if site.statuses:
            self._begin(site.statuses.pop(0), site.headers)
            return
        body, start = site.content, self._start()
        if start >= len(body) and start:
            self._begin(416, {"Content-Range": f"bytes */{len(body)}"})
            return
        headers = {"Content-Length": str(len(body) - start)} if site.announce else {}
        headers |= site.headers if site.file_headers else {}
        if not (start and site.silent_parts):
            headers |= {"ETag": site.etag} if site.etag else {}
            headers |= {"Last-Modified": site.modified} if site.modified else {}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        self._begin(206 if start else 200, headers)
        end = start + site.cuts.pop(0) if site.cuts else len(body)
        if site.stall_after is not None:
            self.wfile.write(body[start : site.stall_after])
            site.stall.wait(10)
            start = site.stall_after
        self.wfile.write(body[start:end])

    def _start(self) -> int:
        asked = self.headers.get("Range")
        known = (self.server.etag, self.server.modified)
        unchanged = self.headers.get("If-Range") in known or not self.server.if_range
        return int(asked[6:-1]) if asked and self.server.ranges and unchanged else 0

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    yield server
    server.stall.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transfer, "_INITIAL_WAIT", 0.001)


class Packer:
    """Makes archives, good and evil ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def zip(self, name: str, *members: tuple[str, str], mode: int = 0, packing: int = zipfile.ZIP_DEFLATED) -> Path:
        with zipfile.ZipFile(self.folder / name, "w", packing) as archive:
            for path, content in members:
                info = zipfile.ZipInfo(path)
                info.filename = info.orig_filename = path  # as it is, whatever the system thinks of it
                info.external_attr, info.compress_type = mode << 16, packing
                archive.writestr(info, content)
        return self.folder / name

    def tar(self, name: str, *members: tuple[tarfile.TarInfo, bytes], packing: str = "") -> Path:
        mode: Any = f"w:{packing}"
        with tarfile.open(self.folder / name, mode) as archive:
            for info, content in members:
                archive.addfile(info, io.BytesIO(content))
        return self.folder / name

    def of_noise(self, packing: str) -> Path:
        """An archive that stays large, filled to its end."""
        noise = random.Random(0).randbytes(200_000)
        if packing == "zip":
            return self.zip("noise", ("a", noise.hex()), ("b", "b"))
        # 400 blocks of 512 bytes: a header before each member, two blocks of end mark, and no padding.
        return self.tar("noise", self.entry("a", noise), self.entry("b", noise[: 5 * 512]), packing=packing)

    @staticmethod
    def entry(
        name: str, content: bytes | str = b"", kind: bytes = tarfile.REGTYPE, **facts: Any
    ) -> tuple[tarfile.TarInfo, bytes]:
        info = tarfile.TarInfo(name)
        content = content.encode() if isinstance(content, str) else content
        info.type, info.size = kind, len(content)
        for fact, value in facts.items():
            setattr(info, fact, value)
        return info, content

    def symlink(self, name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
        return self.entry(name, kind=tarfile.SYMTYPE, linkname=target)

    def hardlink(self, name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
        return self.entry(name, kind=tarfile.LNKTYPE, linkname=target)


@pytest.fixture
def pack(tmp_path: Path) -> Packer:
    return Packer(tmp_path)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder

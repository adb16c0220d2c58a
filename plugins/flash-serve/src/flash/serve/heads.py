"""The head of a request for predictions, if there is nothing about it that needs the whole of HTTP."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import httptools

__all__ = ["PlainHead", "plain_head"]

_PATH = b"/v1/predict"
# What asks for more than an answer to a body of a known length, on a connection that stays.
_SPECIAL = frozenset({b"transfer-encoding", b"content-encoding", b"expect", b"upgrade"})


class PlainHead(NamedTuple):
    """The head of a plain request.

    Args:
        content_type: The type of its body.
        length: The number of bytes of its body.
    """

    content_type: str
    length: int


# A client sends the same head again and again.
@lru_cache(256)
def plain_head(head: bytes) -> PlainHead | None:
    r"""Return what the head of a request says of its body; ``None`` if it is for uvicorn to read.

    It is read by the parser that uvicorn has, so that both take and refuse the same.

    Args:
        head: The line of the request and its headers, without the empty line after them.

    Example:
        >>> start = b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        >>> plain_head(start + b"content-length: 2")
        PlainHead(content_type='application/json', length=2)
        >>> plain_head(start + b"transfer-encoding: chunked") is None
        True
    """
    reader = _Reader()
    parser = httptools.HttpRequestParser(reader)
    try:
        parser.feed_data(head + b"\r\n\r\n")
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    is_post = reader.is_complete and parser.get_method() == b"POST" and reader.url == _PATH
    if not is_post or parser.get_http_version() != "1.1" or not parser.should_keep_alive() or parser.should_upgrade():
        return None
    names = [name for name, _ in reader.headers]
    if _SPECIAL & {*names} or names.count(b"content-length") != 1 or names.count(b"content-type") > 1:
        return None
    found = dict(reader.headers)
    length = found[b"content-length"]
    return PlainHead(found.get(b"content-type", b"").decode("latin-1"), int(length)) if length.isdigit() else None


class _Reader:
    """Listener of the parser, which keeps what it has read."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.is_complete = True

"""Open a remote file at an http(s) or file URL, at any byte offset."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener, url2pathname

from flash import __version__
from flash.errors import DownloadError

_CHUNK = 1 << 20
_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_COMPRESSED = (".gz", ".tgz", ".bz2", ".xz", ".zst", ".z", ".br")
_WINDOWS_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class TransientError(Exception):
    """A transient failure; ``wait`` is the number of seconds that the server asked to wait before a retry."""

    def __init__(self, what: str, wait: float = 0.0) -> None:
        super().__init__(what)
        self.wait = wait


class StalePartError(TransientError):
    """The downloaded part does not belong to the file that the server offers."""


@dataclass(frozen=True)
class Version:
    """The version of a remote file."""

    etag: str = ""
    modified: str = ""
    size: int | None = None

    @property
    def token(self) -> str:
        """Value of ``If-Range``; not a weak ETag, which does not guarantee the same bytes."""
        return self.modified if self.etag.startswith("W/") else self.etag or self.modified

    def is_proven_by(self, other: Version) -> bool:
        """Return whether another answer says that its file has the same bytes; one that says nothing does not."""
        same_etag = not (self.etag and other.etag) or self.etag == other.etag
        return bool(self.token) and self.token == other.token and same_etag and self.size == other.size


class _Stream(Protocol):
    def read1(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class RemoteFile:
    """An open remote file, at the byte offset ``start``."""

    remote: Remote
    stream: _Stream
    start: int
    version: Version
    timeout: float

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes as they arrive; an end before the announced size is a :class:`TransientError`."""
        position = self.start
        try:
            # read1 returns the available bytes; read would wait for a full chunk, and a kill would lose more.
            while chunk := self.stream.read1(_CHUNK):
                position += len(chunk)
                yield chunk
        except (OSError, http.client.HTTPException) as error:
            raise _failure(error, self.remote, self.timeout) from error
        if self.version.size not in (None, position):
            raise TransientError(f"the answer ended after {position} of {self.version.size} bytes")


@dataclass(frozen=True)
class Remote:
    """A URL that can be opened, with its secrets separated from the label for messages.

    Example:
        >>> Remote.parse("https://me:secret@example.org/data.zip?key=1").label
        'https://example.org/data.zip?...'
    """

    url: str = field(repr=False)
    label: str
    authorization: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Remote:
        """Validate a URL and split it into its parts."""
        try:
            parts = urlsplit(url)
            host = parts.netloc.rpartition("@")[2]
            host = host if host.isascii() else host.encode("idna").decode()
            _ = parts.port  # raises ValueError if it is not a number
        except ValueError:
            # Not chained and not shown: the text may contain a password with a colon.
            raise DownloadError("The host or port of this URL is malformed. Check the address.") from None
        if parts.scheme not in ("http", "https", "file"):
            raise DownloadError(
                f"Expected a URL that begins with http://, https:// or file://, not {parts.scheme!r}. For "
                "a file on this machine pass Path(...).absolute().as_uri()."
            )
        if parts.scheme == "file" and host not in ("", "localhost"):
            raise DownloadError(f"Expected file:///path, on this machine; this one names the host {host!r}.")
        if parts.scheme != "file" and not host:
            raise DownloadError(f"Expected {parts.scheme}://host/path; this URL names no host.")
        path = quote(parts.path, safe="/%:@!$&'()*+,;=~")
        query = "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?[]") if parts.query else ""
        bare = f"{parts.scheme}://{host}{path}"
        return cls(bare + query, bare + ("?..." if query else ""), _basic(parts.username, parts.password))

    @property
    def identity(self) -> str:
        """Digest of the URL, so that records on disk hold no token of its query."""
        return hashlib.sha256(self.url.encode()).hexdigest()

    def open(self, offset: int, known: Version, timeout: float) -> RemoteFile:
        """Open at ``offset`` if the version is still ``known``, else at the beginning."""
        if self.url.startswith("file:"):
            return self._open_file(offset, known, timeout)
        return self._open_http(offset, known, timeout)

    def _open_file(self, offset: int, known: Version, timeout: float) -> RemoteFile:
        try:
            stream = Path(url2pathname(urlsplit(self.url).path)).open("rb")  # noqa: SIM115 (its user closes it)
        except OSError as error:
            raise DownloadError(f"Cannot read {self.label}: {error.strerror}. Check the path.") from error
        facts = os.fstat(stream.fileno())
        version = Version(etag=f"{facts.st_mtime_ns}-{facts.st_size}", size=facts.st_size)
        start = stream.seek(offset if known == version else 0)
        return RemoteFile(self, stream, start, version, timeout)

    def _open_http(self, offset: int, known: Version, timeout: float) -> RemoteFile:
        request = Request(self.url, headers={"User-Agent": f"flash-core/{__version__}"})  # noqa: S310 (parsed)
        if self.authorization:
            # urllib copies ordinary headers to the host of a redirect.
            request.add_unredirected_header("Authorization", self.authorization)
        if offset:
            request.add_header("Range", f"bytes={offset}-")
            request.add_header("If-Range", known.token)
        try:
            # A new opener for each request, so that a proxy that was set after a failure is used by the next retry.
            response = build_opener(_Redirects, _Https).open(request, timeout=timeout)
        except HTTPError as error:
            with error:
                raise _refusal(error, self, ranged=offset > 0) from error
        except DownloadError:  # from a redirect to an unsupported URL
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a redirect to no address
            raise _failure(error, self, timeout) from error
        try:
            _refuse_encoding(response, self)
            start, version = _parse_response(response)
            if start and not (start == offset and known.is_proven_by(version)):
                raise StalePartError("the server sent another part than the one asked for")
        except Exception:
            response.close()
            raise
        return RemoteFile(self, response, start, version, timeout)


def file_name(url: str) -> str:
    """Return the last part of a URL's path as a file name that is safe on any system.

    Example:
        >>> file_name("https://example.org/files/data.zip?download=1")
        'data.zip'
        >>> file_name("https://example.org/..%2F..%2Fetc%2Fpasswd")
        'passwd'
        >>> file_name("https://example.org/")
        'download'
    """
    name = re.split(r"[/\\]", unquote(urlsplit(url).path))[-1]
    name = re.sub(r'[\x00-\x1f\x7f-\x9f\ud800-\udfff<>:"|?*]', "_", name).strip(" ").rstrip(". ")
    name = re.sub(r"^\.+", "_", name)  # not hidden, since download records are hidden files
    if _WINDOWS_DEVICE.fullmatch(name):
        name = f"_{name}"
    # The end with the suffix is kept; file systems allow 255 bytes, and we append to the name.
    return name.encode()[-200:].decode(errors="ignore") or "download"


class _Redirects(HTTPRedirectHandler):
    """Follow redirects, but never from https to http, and never send the password to another host."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme not in (old.scheme, "https"):
            raise HTTPError(req.full_url, code, "redirect to an unencrypted address", headers, fp)
        follow = Request(Remote.parse(newurl).url, headers=dict(req.headers))  # noqa: S310 (parsed)
        if (old.scheme, old.netloc) == (new.scheme, new.netloc) and "Authorization" in req.unredirected_hdrs:
            follow.add_unredirected_header("Authorization", req.unredirected_hdrs["Authorization"])
        return follow

    http_error_308 = HTTPRedirectHandler.http_error_302  # Python 3.10 does not know it


class _Https(HTTPSHandler):
    """Verify certificates, even in a program that disabled that in the ``ssl`` module."""

    def https_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(http.client.HTTPSConnection, req, context=ssl.create_default_context())


def _basic(user: str | None, password: str | None) -> str:
    if user is None and password is None:
        return ""
    pair = f"{unquote(user or '')}:{unquote(password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _refuse_encoding(response: http.client.HTTPResponse, remote: Remote) -> None:
    """Reject a file that was compressed for the way: it is not the file, and parts of it do not fit together."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    # Some servers say so of a file that is compressed itself, and send it as it is.
    if encoding not in ("", "identity") and not remote.url.partition("?")[0].lower().endswith(_COMPRESSED):
        raise DownloadError(
            f"Cannot download {remote.label}: the server compressed it with {encoding[:20]!r}, although it was asked "
            "for the file as it is. Download it with a browser, and pass its path."
        )


def _parse_response(response: http.client.HTTPResponse) -> tuple[int, Version]:
    """Return the byte offset at which a response starts, and the version of the file."""
    start, size = 0, response.length
    if response.status == 206:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", "").strip())
        if span is None:
            raise StalePartError("the server sent a part without saying which")
        start, size = int(span[1]), int(span[2])
    elif response.status != 200:
        raise StalePartError(f"the server answered {response.status}, neither a file nor a part of one")
    return start, Version(response.headers.get("ETag", ""), response.headers.get("Last-Modified", ""), size)


def _refusal(error: HTTPError, remote: Remote, *, ranged: bool) -> Exception:
    """Return the exception for an HTTP status of 300 and above."""
    if error.code == 416 and ranged:
        return StalePartError("the server's file is shorter than the part that we have")
    status = f"{error.code} {http.client.responses.get(error.code, '')}".strip()
    if error.code in _TRANSIENT_STATUS:
        wait = 0.0
        with suppress(ValueError):
            wait = float(error.headers.get("Retry-After", ""))
        return TransientError(f"the server answered {status}", wait)
    advice = "Check the address."
    if error.code in (401, 403):
        advice = "It needs permission: put user:password@ before the host, or fetch the file by hand."
    if 300 <= error.code < 400:
        advice = "The redirect leads in a circle or away from https. Give the final address."
    return DownloadError(f"Cannot download {remote.label}: the server answered {status}. {advice}")


def _failure(error: Any, remote: Remote, timeout: float) -> Exception:
    """Return the exception for a broken connection."""
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return TransientError(f"the server sent nothing for {timeout:g} s")
    if isinstance(reason, ssl.SSLCertVerificationError):
        advice = "Its certificate is not trusted. Behind a proxy that signs anew, set SSL_CERT_FILE."
    elif isinstance(reason, http.client.InvalidURL):
        advice = "The address is malformed."
    elif isinstance(reason, socket.gaierror) and reason.errno != socket.EAI_AGAIN:
        advice = "No such host. Check the address and the network."
    elif isinstance(reason, (ConnectionError, http.client.HTTPException, ssl.SSLError, socket.gaierror)):
        return TransientError(f"the connection failed ({type(reason).__name__}: {reason})")
    else:
        advice = f"{reason}. Check the address and the network."
    return DownloadError(f"Cannot download {remote.label}: {advice}")

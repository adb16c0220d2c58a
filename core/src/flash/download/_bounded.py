"""Decompress untrusted archives in bounded memory and time."""

from __future__ import annotations

import bz2
import copy
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from flash.errors import UnsafeArchiveError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Header", "TarStream", "open_member"]

_CHUNK = 1 << 16
# A long name has some hundred bytes; extended attributes of a file have up to 64 KiB each.
_MAX_HEADER_BYTES = 1 << 18
# GNU tar writes up to four headers before the one of a member: global and local attributes, name and target.
_MAX_HEADERS = 8
_MAX_ATTRIBUTES = 1000
# What is neither content nor the padding of it: for all members together, and for each.
_OVERHEAD = 1 << 22
_OVERHEAD_PER_MEMBER = 1 << 13
_MAX_DICTIONARY = 1 << 28


class Header(tarfile.TarInfo):
    """A header of a tar archive, refused before anything of a size that no honest archive has is read for it."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Parse a header, and refuse names and attributes that are too large."""
        header = super().frombuf(buf, encoding, errors)
        extends = header.type in (
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE,
        )
        if extends and not 0 <= header.size <= _MAX_HEADER_BYTES:
            raise UnsafeArchiveError(f"a header has {header.size} bytes, more than {_MAX_HEADER_BYTES}")
        return header

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        """Read the headers of the next member, and refuse too many of them."""
        stream = cast(TarStream, tarfile.fileobj)
        stream.headers += 1
        try:
            if stream.headers > _MAX_HEADERS or len(tarfile.pax_headers) > _MAX_ATTRIBUTES:
                raise UnsafeArchiveError(
                    f"a member has more than {_MAX_HEADERS} headers, or {_MAX_ATTRIBUTES} attributes"
                )
            return super().fromtarfile(tarfile)
        finally:
            stream.headers -= 1


class TarStream(io.RawIOBase):
    """The decompressed bytes of a tar archive, up to a limit that grows with the members that were accepted.

    Args:
        file: The archive, uncompressed or compressed by gzip, bz2 or xz; detected from its first bytes.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "a.tar.bz2")
        >>> _ = file.write_bytes(bz2.compress(b"tar"))
        >>> with TarStream(file) as stream:
        ...     stream.read(2)
        b'ta'
    """

    def __init__(self, file: Path) -> None:
        self._stream: Any = _open_packed(file)
        #: How many headers of the current member are being read.
        self.headers = 0
        self._limit = self._left = _OVERHEAD

    def account(self, overhead: int, end: int) -> None:
        """Note a member: how many bytes its headers have, and where its content ends."""
        self._left += _OVERHEAD_PER_MEMBER - overhead
        self._limit = end + self._left

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that its position can be changed."""
        return True

    def tell(self) -> int:
        """Return the position in the decompressed bytes."""
        return int(self._stream.tell())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position, which decompresses what is before it."""
        self._check(offset)
        return int(self._stream.seek(offset, whence))

    def read(self, size: int = -1) -> bytes:
        """Read some bytes; all that are left if ``size`` is negative."""
        left = self._limit + 1 - self.tell()
        found = self._stream.read(min(size, left) if size >= 0 else left)
        self._check(self.tell())
        return cast(bytes, found)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        super().close()

    def _check(self, position: int) -> None:
        if position > self._limit:
            raise UnsafeArchiveError(
                f"it goes on for more than {_OVERHEAD} bytes that belong to no member, such as behind its end mark"
            )


def _open_packed(file: Path) -> Any:
    with file.open("rb") as begin:
        block = begin.read(tarfile.BLOCKSIZE)
    with suppress(tarfile.HeaderError):  # a first member may be named like the mark of a compressor
        tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape")
        return file.open("rb")
    for magic, opened in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ", lzma.open)):
        if block.startswith(magic):
            return opened(file, "rb")
    return file.open("rb")


def open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """Open a member of a zip archive so that a read decompresses no more than it returns.

    ``zipfile`` does so for DEFLATE only: of the other methods, a block of a hundred bytes can become gigabytes.
    """
    if info.compress_type not in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        return archive.open(info)
    stored: Any = copy.copy(info)
    stored.compress_type, stored.file_size, stored.CRC = zipfile.ZIP_STORED, info.compress_size, None
    return cast(IO[bytes], io.BufferedReader(_Inflated(archive.open(stored), info)))


class _Inflated(io.RawIOBase):
    """The content of a member that is compressed by bz2 or LZMA."""

    def __init__(self, stored: IO[bytes], info: zipfile.ZipInfo) -> None:
        self._stored = stored
        self._info = info
        self._crc = self._size = 0
        self._decompressor: Any = bz2.BZ2Decompressor()
        if info.compress_type == zipfile.ZIP_LZMA:
            self._decompressor = _lzma_decompressor(stored)

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Decompress as much as fits into the buffer, or is left."""
        found = b""
        wanted = min(len(buffer), self._info.file_size + 1 - self._size)
        while wanted and not found and not self._decompressor.eof:
            packed = self._stored.read(_CHUNK) if self._decompressor.needs_input else b""
            if not packed and self._decompressor.needs_input:
                break
            found = self._decompressor.decompress(packed, wanted)
        self._crc, self._size = zlib.crc32(found, self._crc), self._size + len(found)
        if not found and wanted and (self._size, self._crc) != (self._info.file_size, self._info.CRC):
            raise zipfile.BadZipFile(f"the content of {self._info.filename!r} does not fit its checksum")
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        """Close the member."""
        self._stored.close()
        super().close()


def _lzma_decompressor(stored: IO[bytes]) -> lzma.LZMADecompressor:
    """Return the decompressor that the properties at the beginning of a member describe."""
    head = stored.read(9)
    if len(head) < 9 or head[2:4] != b"\x05\x00" or head[4] >= 9 * 5 * 5:
        raise zipfile.BadZipFile("a member has no properties of LZMA")
    lc, lp, pb = head[4] % 9, head[4] // 9 % 5, head[4] // 45
    dictionary = int.from_bytes(head[5:], "little")
    if dictionary > _MAX_DICTIONARY:
        raise UnsafeArchiveError(f"a member needs {dictionary} bytes of memory to be decompressed")
    properties = {"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": dictionary}
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[properties])

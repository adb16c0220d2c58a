"""Read zip and tar archives as a list of members, with the format detected from the content."""

from __future__ import annotations

import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from flash.download._bounded import Header, TarStream, open_member
from flash.errors import UnsafeArchiveError

_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_MAX_LINK_BYTES = 4096
# What Linux, macOS and Windows can hold; the depth is bounded since Python removes folders recursively.
_MAX_PATH_BYTES = 4096
_MAX_NAME_BYTES = 255
_MAX_DEPTH = 128
_SHOWN = 80


class CorruptArchiveError(Exception):
    """The archive is truncated or inconsistent."""


@dataclass(frozen=True)
class Member:
    """An archive entry: its path relative to the folder, as parts, and its kind."""

    parts: tuple[str, ...]
    kind: Literal["file", "folder", "symlink", "hardlink"]
    size: int = 0
    executable: bool = False
    target: str = ""
    handle: Any = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Path inside the archive, for messages."""
        return "/".join(self.parts)


class Reader(Protocol):
    """An open archive."""

    def members(self) -> Iterator[Member]:
        """Yield every member, and raise an error if the archive is truncated."""

    def open(self, member: Member) -> IO[bytes]:
        """Open the content of a file."""

    def close(self) -> None:
        """Close the archive."""


def is_archive(file: Path) -> bool:
    """Return whether a file is an archive: by its suffix, or by its content if it has no suffix.

    Files with another suffix are not archives: ``.npz``, ``.docx`` and many checkpoints are zip files inside.
    """
    if file.name.lower().endswith(_SUFFIXES):
        return True
    return not file.suffix and (_begins(file, b"PK\x03\x04") or _is_tar(file))


def open_archive(file: Path) -> Reader:
    """Open an archive by its content, regardless of its name."""
    if _begins(file, b"PK"):
        return _Zip(file)
    if _is_tar(file):
        return _Tar(file)
    with file.open("rb") as stream:
        raise CorruptArchiveError(f"it begins with {stream.read(16)!r}, unlike any zip or tar")


def shown(path: str) -> str:
    """Return a path for messages: quoted, and truncated."""
    return repr(path) if len(path) <= _SHOWN else f"{path[:_SHOWN]!r}..."


def safe_parts(path: str) -> tuple[str, ...]:
    """Split a member's path into parts, and reject paths that lead out of the folder or are too long on any system."""
    if len(path.encode(errors="surrogatepass")) > _MAX_PATH_BYTES:
        raise UnsafeArchiveError(f"a path has more than {_MAX_PATH_BYTES} bytes: {shown(path)}")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    drive = any(re.match(r"[A-Za-z]:", part) for part in parts)
    if path.startswith("/") or ".." in parts or drive or "\\" in path or "\0" in path:
        raise UnsafeArchiveError(f"the path {path!r} leads out of the folder")
    if len(parts) > _MAX_DEPTH:
        raise UnsafeArchiveError(f"a path is more than {_MAX_DEPTH} folders deep: {shown(path)}")
    if any(len(part.encode(errors="surrogatepass")) > _MAX_NAME_BYTES for part in parts):
        raise UnsafeArchiveError(f"a name has more than {_MAX_NAME_BYTES} bytes: {shown(path)}")
    return parts


def _begins(file: Path, magic: bytes) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(magic)) == magic


def _is_tar(file: Path) -> bool:
    try:
        with closing(_Tar(file)):
            return True
    except UnsafeArchiveError:  # which says what is wrong when it is unpacked
        return True
    # Compressed and damaged at the beginning, or the fields of a header are no numbers.
    except (EOFError, OSError, ValueError, RecursionError, lzma.LZMAError, tarfile.TarError, zlib.error):
        return False


class _Zip:
    def __init__(self, file: Path) -> None:
        self._zip = zipfile.ZipFile(file)

    def members(self) -> Iterator[Member]:
        for info in self._zip.infolist():
            if info.flag_bits & 0x1:
                raise CorruptArchiveError("it is encrypted")
            # ZipInfo truncates its filename at a null byte, and on Windows converts backslashes.
            yield self._member(info, safe_parts(info.orig_filename))

    def _member(self, info: zipfile.ZipInfo, parts: tuple[str, ...]) -> Member:
        mode = info.external_attr >> 16
        kind = stat.S_IFMT(mode)
        if info.filename.endswith("/") or kind == stat.S_IFDIR:  # is_dir fails for an empty name
            return Member(parts, "folder")
        if kind == stat.S_IFLNK:
            if info.file_size > _MAX_LINK_BYTES:
                raise CorruptArchiveError(f"the link {info.filename!r} has {info.file_size} bytes")
            return Member(parts, "symlink", target=self._read_link(info))
        if kind not in (0, stat.S_IFREG):
            raise UnsafeArchiveError(f"{info.filename!r} is a device or a pipe")
        return Member(parts, "file", info.file_size, bool(mode & stat.S_IXUSR), handle=info)

    def _read_link(self, info: zipfile.ZipInfo) -> str:
        with open_member(self._zip, info) as stream:
            target = stream.read(_MAX_LINK_BYTES + 1)
        if len(target) != info.file_size:
            raise CorruptArchiveError(f"the link {info.filename!r} has {len(target)} bytes, not {info.file_size}")
        return target.decode()

    def open(self, member: Member) -> IO[bytes]:
        return open_member(self._zip, member.handle)

    def close(self) -> None:
        self._zip.close()


class _Tar:
    def __init__(self, file: Path) -> None:
        self._stream = TarStream(file)
        try:
            self._tar = tarfile.TarFile(fileobj=self._stream, mode="r", tarinfo=Header)
        except BaseException:
            self._stream.close()
            raise

    def members(self) -> Iterator[Member]:
        end = 0
        for info in self._tar:
            if info.size < 0:
                raise CorruptArchiveError(f"{shown(info.name)} has a negative size")
            stored = self._tar.offset - info.offset_data
            if not 0 <= stored < info.size + tarfile.BLOCKSIZE:
                raise CorruptArchiveError(f"{shown(info.name)} takes {stored} bytes, but has {info.size}")
            self._stream.account(info.offset_data - end, self._tar.offset)
            end = self._tar.offset
            info.pax_headers = {}  # a copy of all that are global, in each member
            yield self._member(info, safe_parts(info.name))
        self._check_end()

    def _member(self, info: tarfile.TarInfo, parts: tuple[str, ...]) -> Member:
        if info.isdir():
            return Member(parts, "folder")
        if info.issym():
            return Member(parts, "symlink", target=info.linkname)
        if info.islnk():
            return Member(parts, "hardlink", target=info.linkname)
        if not info.isreg():
            raise UnsafeArchiveError(f"{info.name!r} is a device, a pipe or of an unknown kind")
        return Member(parts, "file", info.size, bool(info.mode & stat.S_IXUSR), handle=info)

    def _check_end(self) -> None:
        # tarfile stops silently at a header that it cannot read, and never verifies the compressor's checksum.
        stream = self._stream
        stream.seek(self._tar.offset)
        if stream.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise CorruptArchiveError("it has no end mark")
        while stream.read(1 << 20):
            pass

    def open(self, member: Member) -> IO[bytes]:
        content = self._tar.extractfile(member.handle)
        if content is None:
            raise CorruptArchiveError(f"{member.name!r} has no content")
        return content

    def close(self) -> None:
        self._tar.close()
        self._stream.close()

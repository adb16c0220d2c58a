"""Read zip and tar archives as a list of members, with the format detected from the content."""

from __future__ import annotations

import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from flash.errors import UnsafeArchiveError

_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_MAX_LINK_BYTES = 4096


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


def safe_parts(path: str) -> tuple[str, ...]:
    """Split a member's path into parts, and reject paths that lead out of the folder on any system."""
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    drive = any(re.match(r"[A-Za-z]:", part) for part in parts)
    if path.startswith("/") or ".." in parts or drive or "\\" in path or "\0" in path:
        raise UnsafeArchiveError(f"the path {path!r} leads out of the folder")
    return parts


def _begins(file: Path, magic: bytes) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(magic)) == magic


def _is_tar(file: Path) -> bool:
    try:
        return tarfile.is_tarfile(file)
    except (EOFError, OSError, lzma.LZMAError, zlib.error):  # compressed, and damaged at the beginning
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
        if info.is_dir() or kind == stat.S_IFDIR:
            return Member(parts, "folder")
        if kind == stat.S_IFLNK:
            if info.file_size > _MAX_LINK_BYTES:
                raise CorruptArchiveError(f"the link {info.filename!r} has {info.file_size} bytes")
            return Member(parts, "symlink", target=self._zip.read(info).decode())
        if kind not in (0, stat.S_IFREG):
            raise UnsafeArchiveError(f"{info.filename!r} is a device or a pipe")
        return Member(parts, "file", info.file_size, bool(mode & stat.S_IXUSR), handle=info)

    def open(self, member: Member) -> IO[bytes]:
        return self._zip.open(member.handle)

    def close(self) -> None:
        self._zip.close()


class _Tar:
    def __init__(self, file: Path) -> None:
        self._tar = tarfile.open(file, "r:*")  # noqa: SIM115 (closed by close)

    def members(self) -> Iterator[Member]:
        for info in self._tar:
            if info.size < 0:
                raise CorruptArchiveError(f"{info.name!r} has a negative size")
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
        stream: Any = self._tar.fileobj
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

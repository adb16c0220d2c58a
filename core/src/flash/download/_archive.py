"""Unpack untrusted archives.

Three steps: read the list of members and reject the archive if any of them is unsafe; write all of them into a
hidden staging folder; move them to their destination. The standard library's ``extract`` is not used, since its
filters differ between the Python versions that we support.
"""

from __future__ import annotations

import itertools
import lzma
import os
import shutil
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Collection, Iterable
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

from flash.download._archive_formats import (
    CorruptArchiveError,
    Member,
    Reader,
    open_archive,
    safe_parts,
    shown,
)
from flash.download._disk import disk_errors
from flash.download._progress import Bar, progress_bar
from flash.errors import DownloadError, UnsafeArchiveError

_CORRUPT = (
    CorruptArchiveError,
    EOFError,
    OSError,  # how gzip and bz2 report damaged data
    NotImplementedError,  # a compression that zipfile does not know
    RecursionError,  # headers of headers
    ValueError,  # a name that is no text, a negative offset
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
# The list of members needs memory: no more of it than a file of this size can honestly hold.
_MIN_LIST_BYTES = 1 << 27
_LIST_BYTES_PER_BYTE = 32
_BYTES_PER_ENTRY = 512
_KEPT = "The archive is kept; free some space and call again."


def unpack(
    archive: Path,
    folder: Path,
    *,
    max_bytes: int | None = None,
    reserved: Collection[str] = (),
    suffix: str = "",
    progress: bool = True,
) -> list[str]:
    """Unpack a zip or tar archive into a folder; no member appears there before all of them are unpacked.

    Existing files are replaced, existing folders are merged. Owners, times and all permissions except
    "executable" are dropped.

    Args:
        archive: The file; its format is detected from its content.
        folder: The destination; it must exist.
        max_bytes: Reject an archive that unpacks to more. The default is the free space on the folder's disk.
        reserved: Names in the folder that no member may have.
        suffix: Suffix of the staging folder, if another process may unpack the same archive at the same time.
        progress: Whether to show a progress bar.

    Returns:
        The names of the unpacked top-level entries in ``folder``, sorted.

    Raises:
        UnsafeArchiveError: A member would be written outside the folder, or is not a file, folder or link, or
            the archive unpacks to more than ``max_bytes``.
        DownloadError: The archive is damaged, or the disk is full.

    Example:
        >>> import tempfile, zipfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with zipfile.ZipFile(folder / "pets.zip", "w") as archive:
        ...     archive.writestr("pets/ant.txt", "six legs")
        >>> unpack(folder / "pets.zip", folder, progress=False)
        ['pets']
    """
    # A fixed name by default, so that the next call finds and removes what a killed process left behind.
    staging = folder / f".{archive.name}{suffix}.unpacking"
    try:
        with closing(open_archive(archive)) as reader:
            members = _checked(reader, folder, max_bytes, {*reserved, staging.name}, archive.stat().st_size)
            total = sum(member.size for member in members)
            bar = progress_bar(f"Unpacking {archive.name}", total, shown=progress)
            with disk_errors(folder, lambda: total, _KEPT), bar:
                _write_and_move(reader, members, staging, bar)
    except UnsafeArchiveError as error:
        raise UnsafeArchiveError(
            f"Refused to unpack {archive}: {error}. Nothing was written. Do not trust this file; if you know "
            "why it is like that, unpack it by hand and pass extract=False."
        ) from error
    except DownloadError:
        raise
    except _CORRUPT as error:
        raise DownloadError(
            f"{archive} cannot be unpacked: {error or type(error).__name__}. It is damaged or no archive. "
            "Delete it and download it again."
        ) from error
    return sorted({member.parts[0] for member in members})


def _checked(
    reader: Reader, folder: Path, max_bytes: int | None, reserved: Collection[str], packed: int
) -> list[Member]:
    """Return the members, after all of them passed the checks."""
    free = shutil.disk_usage(folder).free
    most, cost = max(_MIN_LIST_BYTES, packed * _LIST_BYTES_PER_BYTE), 0
    members, total = [], 0
    folders: _Folders = {}
    for member in reader.members():
        total += member.size
        if max_bytes is not None and total > max_bytes:
            raise UnsafeArchiveError(f"it unpacks to more than max_unpacked_bytes={max_bytes}")
        if max_bytes is None and total > free:
            raise DownloadError(f"The disk is full: unpacking needs {total} bytes or more, {free} are free. {_KEPT}")
        cost += _BYTES_PER_ENTRY + len(member.name) + len(member.target) + _add_folders(folders, member)
        if cost > most:
            raise UnsafeArchiveError(f"the list of its members takes more than {most} bytes, too much for its size")
        if member.parts:
            members.append(member)
        elif member.kind != "folder":
            raise UnsafeArchiveError(f"a {member.kind} would replace the folder itself")
    _check_links(members, folders)
    _check_folder(members, folders, folder, {_key([name]) for name in reserved})
    return members


# The folders that hold members: by their parts, the key, and a member in them.
_Folders: TypeAlias = "dict[tuple[str, ...], tuple[tuple[str, ...], Member]]"


def _add_folders(folders: _Folders, member: Member) -> int:
    """Add those that hold a member, each once however many members it holds; return the bytes that they take."""
    depth = len(member.parts) - 1
    while depth > 0 and member.parts[:depth] not in folders:
        depth -= 1
    key = folders[member.parts[:depth]][0] if depth > 0 else ()
    cost = 0
    for place in range(max(depth, 0), len(member.parts) - 1):
        key += _key(member.parts[place : place + 1])
        folders[member.parts[: place + 1]] = (key, member)
        cost += _BYTES_PER_ENTRY + 16 * len(key)
    return cost


def _key(parts: Iterable[str]) -> tuple[str, ...]:
    """Return one key for all spellings that some file system treats as the same name."""
    return tuple(unicodedata.normalize("NFC", part).casefold() for part in parts)


def _check_links(members: list[Member], folders: _Folders) -> None:
    links = {_key(member.parts) for member in members if member.kind == "symlink"}
    others = {_key(member.parts) for member in members if member.kind != "symlink"}
    for key, member in folders.values():
        if key in links:
            raise UnsafeArchiveError(f"{shown(member.name)} would be written through a link")
    for member in members:
        if member.kind == "symlink" and _key(member.parts) in others:
            raise UnsafeArchiveError(f"{shown(member.name)} is a link and something else")
        if member.kind == "symlink":
            _check_symlink(member)
        if member.kind == "hardlink" and _key(safe_parts(member.target)) not in others:
            raise UnsafeArchiveError(f"the link {shown(member.name)} points outside, to {shown(member.target)}")


def _check_symlink(member: Member) -> None:
    """Reject symlink targets that resolve outside the extraction root.

    ``..`` is allowed at the beginning of the target only: after a name, which could be another link, it could resolve
    to any folder.
    """
    steps = [step for step in member.target.split("/") if step not in ("", ".")]
    down = list(itertools.dropwhile(lambda step: step == "..", steps))
    if member.target.startswith("/") or len(steps) - len(down) >= len(member.parts):
        raise UnsafeArchiveError(f"the link {shown(member.name)} points outside, to {shown(member.target)}")
    safe_parts("/".join(down))


def _check_folder(members: list[Member], folders: _Folders, folder: Path, reserved: set[tuple[str, ...]]) -> None:
    """Reject existing symlinks and file/directory conflicts in the target directory."""
    for member in members:
        if _key(member.parts[:1]) in reserved:
            raise UnsafeArchiveError(f"{shown(member.name)} would replace the archive or its record")
    places = dict.fromkeys(((parts, True) for parts in folders), None)
    places |= dict.fromkeys((member.parts, member.kind == "folder") for member in members)
    for parts, is_folder in places:
        _check_place(folder.joinpath(*parts), is_folder)


def _check_place(path: Path, is_folder: bool) -> None:
    if is_folder and path.is_symlink():
        raise UnsafeArchiveError(f"it would write through the link {path}, which was there before")
    if path.exists() and not path.is_symlink() and path.is_dir() != is_folder:
        new, old = ("folder", "file") if is_folder else ("file", "folder")
        raise DownloadError(f"Cannot unpack the {new} {path}: there is a {old} of this name. Move it away.")


def _write_and_move(reader: Reader, members: list[Member], staging: Path, bar: Bar) -> None:
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        _write(reader, members, staging, bar)
        _move(staging, staging.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write(reader: Reader, members: list[Member], staging: Path, bar: Bar) -> None:
    for member in members:
        path = staging.joinpath(*member.parts)
        (path if member.kind == "folder" else path.parent).mkdir(parents=True, exist_ok=True)
        if member.kind == "file":
            _write_file(reader, member, path, bar)
    # Links are created last, symbolic ones after hard ones, so that no member is written through a link.
    for member in (member for member in members if member.kind == "hardlink"):
        _removed(staging.joinpath(*member.parts)).hardlink_to(staging.joinpath(*safe_parts(member.target)))
    for member in (member for member in members if member.kind == "symlink"):
        _removed(staging.joinpath(*member.parts)).symlink_to(member.target)


def _removed(path: Path) -> Path:
    """Remove an earlier member of the same name and return its path."""
    path.unlink(missing_ok=True)
    return path


def _write_file(reader: Reader, member: Member, path: Path, bar: Bar) -> None:
    # Only the "executable" bit is kept, and set at creation, so that the umask applies and no setuid bit is set.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(_removed(path), flags, 0o777 if member.executable else 0o666)
    written = 0
    with os.fdopen(handle, "wb") as file, reader.open(member) as content:
        while chunk := content.read(1 << 20):
            written += file.write(chunk)
            bar.update(len(chunk))
    if written != member.size:
        raise CorruptArchiveError(f"{member.name!r} has {written} bytes, not {member.size}")


def _move(staged: Path, folder: Path) -> None:
    for entry in staged.iterdir():
        place = folder / entry.name
        if entry.is_dir() and not entry.is_symlink() and place.exists():
            _move(entry, place)
        else:
            entry.replace(place)

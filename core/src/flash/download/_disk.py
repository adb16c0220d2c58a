"""The local half of a download: sizes, checksums, and what a failed write means."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flash.errors import DownloadError


@contextmanager
def disk_errors(path: Path, missing: Callable[[], int | None], advice: str) -> Iterator[None]:
    """Turn an OSError into a DownloadError that says how many bytes there was no place for.

    Example:
        >>> import errno
        >>> with disk_errors(Path("data"), lambda: 512, "Free some space."):
        ...     raise OSError(errno.ENOSPC, "No space left on device")
        Traceback (most recent call last):
            ...
        flash.errors.DownloadError: The disk is full: data needs 512 more bytes. Free some space.
    """
    try:
        yield
    except DownloadError:
        raise
    except OSError as error:
        if error.errno is None:  # not from the system: how gzip and bz2 report damaged data
            raise
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise DownloadError(f"Cannot write {path}: {error.strerror or error}.") from error
        count = missing()
        need = "more space" if count is None else f"{count} more bytes"
        raise DownloadError(f"The disk is full: {path} needs {need}. {advice}") from error


def size_of(file: Path) -> int:
    """How many bytes are there; none if there is no file."""
    with suppress(FileNotFoundError):
        return file.stat().st_size
    return 0


def digest(file: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    sha256 = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            sha256.update(chunk)
    return sha256.hexdigest()


def put_in_place(part: Path, file: Path) -> None:
    """Give a finished file its name in one step, which lasts through a power cut where the system can."""
    part.replace(file)
    with suppress(OSError):
        handle = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

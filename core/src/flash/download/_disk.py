"""Local files of a download: sizes, checksums, and errors of failed writes."""

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
    """Convert an OSError into a DownloadError that says how many bytes did not fit.

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
        if error.errno is None:  # gzip and bz2 report damaged data like this
            raise
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise DownloadError(f"Cannot write {path}: {error.strerror or error}.") from error
        count = missing()
        need = "more space" if count is None else f"{count} more bytes"
        raise DownloadError(f"The disk is full: {path} needs {need}. {advice}") from error


def size_of(file: Path) -> int:
    """Return the size of a file in bytes, 0 if it does not exist."""
    with suppress(FileNotFoundError):
        return file.stat().st_size
    return 0


def digest(file: Path) -> str:
    """Return the sha256 of a file, in hexadecimal; the file is not held in memory.

    Args:
        file: The file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(folder, "empty").touch()
        ...     digest(Path(folder, "empty"))[:8]
        'e3b0c442'
    """
    sha256 = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            sha256.update(chunk)
    return sha256.hexdigest()


def replace_durably(part: Path, file: Path) -> None:
    """Rename a complete file to its final name atomically, and sync the folder if the system can."""
    part.replace(file)
    with suppress(OSError):
        handle = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

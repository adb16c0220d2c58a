"""Record of a downloaded file, stored in a small hidden file in the same folder, which is also the lock."""

from __future__ import annotations

import errno
import json
import os
import secrets
import sys
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

from flash.download._disk import disk_errors

_NO_LOCKS_HERE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}

if sys.platform == "win32":
    import msvcrt

    def _wait_for_lock(handle: int) -> None:
        # Windows forbids other processes to read locked bytes, so we lock a byte far beyond the content.
        os.lseek(handle, 1 << 30, os.SEEK_SET)
        while True:
            try:
                return msvcrt.locking(handle, msvcrt.LK_LOCK, 1)
            except OSError as error:
                if error.errno != errno.EDEADLK:  # raised after ten attempts
                    raise

else:
    import fcntl

    def _wait_for_lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)


class DownloadRecord:
    """Store facts about ``<name>`` in ``.<name>.download``, and hold its lock while open.

    The lock belongs to the open file, so that it is released when its process ends, even if it is killed. The
    facts are one line of JSON that is written by a single call, so that a reader sees either the old or the new
    ones. In a read-only folder the facts can be read but not changed. On a file system without
    locks (some clusters) ``suffix`` makes the temporary names of two processes unique, at the price that a
    killed download starts over. A download that fails and leaves neither the file nor a part of it leaves no record.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "data.zip"
        >>> with DownloadRecord(file) as record:
        ...     record.update(size=3)
        >>> with DownloadRecord(file) as record:
        ...     record.facts
        {'size': 3}
    """

    def __init__(self, file: Path) -> None:
        self._described = (file, file.with_name(f"{file.name}.part"))
        self.path = file.with_name(f".{file.name}.download")
        self.facts: dict[str, Any] = {}
        self.suffix = ""
        self._file: FileIO | None = None

    def __enter__(self) -> DownloadRecord:
        with self._disk_errors():
            self._open()
        # A line that cannot be read is treated like a missing one.
        with suppress(OSError, ValueError, RecursionError):
            facts = json.loads(self.path.read_bytes().partition(b"\n")[0])
            self.facts = facts if isinstance(facts, dict) else {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        # Without locks, another process may be using it.
        if error is not None and not self.suffix and not any(map(os.path.lexists, self._described)):
            with suppress(OSError):  # Windows cannot remove an open file
                self.path.unlink()
        self._file.close()

    def update(self, **facts: Any) -> None:
        """Set facts, and remove those that are None."""
        self.facts = {key: value for key, value in {**self.facts, **facts}.items() if value is not None}
        if self._file is not None:
            line = json.dumps(self.facts).encode() + b"\n"
            with self._disk_errors():
                self._file.seek(0)
                self._file.write(line)
                self._file.truncate(len(line))

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
        while True:
            try:
                self._file = FileIO(os.open(self.path, flags, 0o666), "r+")
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                    raise
                return
            try:
                _wait_for_lock(self._file.fileno())
            except OSError as error:
                if error.errno not in _NO_LOCKS_HERE:
                    raise
                self.suffix = f".{secrets.token_hex(4)}"
            if self.suffix or self._is_in_place(self._file):
                return
            self._file.close()

    def _is_in_place(self, file: FileIO) -> bool:
        """Return whether the locked file is still the record: the process that held the lock may have removed it."""
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(file.fileno()), self.path.stat())
        return False

    def _disk_errors(self) -> Any:
        return disk_errors(self.path, lambda: None, "Free some space and call again.")

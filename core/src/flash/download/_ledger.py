"""What is known about one downloaded file, in a small hidden file beside it that is also the lock."""

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
        # Windows forbids others to read locked bytes, so we lock one far behind the content.
        os.lseek(handle, 1 << 30, os.SEEK_SET)
        while True:
            try:
                return msvcrt.locking(handle, msvcrt.LK_LOCK, 1)
            except OSError as error:
                if error.errno != errno.EDEADLK:  # how it says that it tried for that long
                    raise

else:
    import fcntl

    def _wait_for_lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)


class Ledger:
    """Remembers facts about ``<name>`` in ``.<name>.download``, and holds its lock while open.

    The lock belongs to the open file, so that it is gone as soon as its process is, however that ended. The
    facts are one line of JSON that a single call writes, so that a reader sees the old ones or the new
    ones. In a folder that is read-only the facts can be read and not changed. On a file system without
    locks (some clusters) ``suffix`` keeps the temporary names of two processes apart, at the price that a
    killed download starts anew.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "data.zip"
        >>> with Ledger(file) as ledger:
        ...     ledger.record(size=3)
        >>> with Ledger(file) as ledger:
        ...     ledger.facts
        {'size': 3}
    """

    def __init__(self, file: Path) -> None:
        self.path = file.with_name(f".{file.name}.download")
        self.facts: dict[str, Any] = {}
        self.suffix = ""
        self._file: FileIO | None = None

    def __enter__(self) -> Ledger:
        with self._disk_errors():
            self._open()
        # A line that cannot be read is no worse than none: the file is then judged by what it is.
        with suppress(OSError, ValueError):
            facts = json.loads(self.path.read_bytes().partition(b"\n")[0])
            self.facts = facts if isinstance(facts, dict) else {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def record(self, **facts: Any) -> None:
        """Set facts, and drop those that are None."""
        self.facts = {key: value for key, value in {**self.facts, **facts}.items() if value is not None}
        if self._file is not None:
            line = json.dumps(self.facts).encode() + b"\n"
            with self._disk_errors():
                self._file.seek(0)
                self._file.write(line)
                self._file.truncate(len(line))

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
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

    def _disk_errors(self) -> Any:
        return disk_errors(self.path, lambda: None, "Free some space and call again.")

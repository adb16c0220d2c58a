"""Download a remote file: resume partial downloads, retry transient failures, expose only complete files."""

from __future__ import annotations

import os
import time
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path

from flash.download._disk import digest, disk_errors, replace_durably, size_of
from flash.download._progress import progress_bar
from flash.download._record import DownloadRecord
from flash.download._remote import Remote, RemoteFile, StalePartError, TransientError, Version
from flash.errors import ChecksumError, DownloadError

_INITIAL_WAIT = 0.5
_MAX_WAIT = 60.0


class Transfer:
    """The download of one file, under the lock of its record.

    The bytes are appended to ``<name>.part``. The record stores the version of the remote file, so that
    the download is only resumed if it is still the same.
    """

    def __init__(
        self,
        remote: Remote,
        file: Path,
        record: DownloadRecord,
        *,
        timeout: float,
        retries: int,
        progress: bool,
        max_bytes: int | None = None,
    ) -> None:
        self.remote = remote
        self.file = file
        self.part = file.with_name(f"{file.name}{record.suffix}.part")
        self.record = record
        self.timeout = timeout
        self.retries = retries
        self.progress = progress
        self.max_bytes = max_bytes

    def run(self, sha256: str | None) -> None:
        """Download and verify the complete file, or raise an error and keep the part for a resume."""
        self._complete()
        if sha256 is not None and (got := digest(self.part)) != sha256:
            self.part.unlink()
            raise ChecksumError(
                f"{self.remote.label} is not the expected file: expected sha256 {sha256}, got {got}. The "
                "download was removed. Download it again; if the error persists, the file was changed at its source."
            )
        with disk_errors(self.file, lambda: None, "Free some space and call again."):
            replace_durably(self.part, self.file)
        self.record.update(part=None, file={"source": self.remote.identity, "size": size_of(self.file)})

    def _complete(self) -> None:
        failures, most = 0, 0
        while True:
            try:
                return self._attempt()
            except TransientError as error:
                have = size_of(self.part)
                # A long download may be interrupted more often than a request may fail, if it makes progress.
                failures = 1 if have > most else failures + 1
                most = max(most, have)
                if failures > self.retries:
                    raise DownloadError(self._failure_message(error, failures, have)) from error
                time.sleep(min(max(_INITIAL_WAIT * 2 ** (failures - 1), error.wait), _MAX_WAIT))

    def _attempt(self) -> None:
        offset, known = self._resume_point()
        self._check_size(max(offset, known.size or 0))
        if offset and offset == known.size:
            return
        try:
            opened = self.remote.open(offset, known, self.timeout)
        except StalePartError:
            opened = self.remote.open(0, Version(), self.timeout)
        with closing(opened.stream):
            self._write(opened)

    def _resume_point(self) -> tuple[int, Version]:
        part = self.record.facts.get("part") or {}
        known = Version(part.get("etag", ""), part.get("modified", ""), part.get("size"))
        have = size_of(self.part)
        too_long = known.size is not None and have > known.size
        if part.get("source") != self.remote.identity or not known.token or too_long:
            return 0, Version()
        return have, known

    def _write(self, opened: RemoteFile) -> None:
        total, start = opened.version.size, opened.start
        self._check_size(total or 0)
        bar = progress_bar(self.file.name, total, done=start, shown=self.progress)
        with (
            bar,
            disk_errors(
                self.part,
                lambda: None if total is None else total - size_of(self.part),
                "The downloaded part is kept; free some space and call again to resume.",
            ),
            self.part.open("ab" if start else "wb") as part,
        ):
            if not start:  # before the first byte of a new version is written
                self.record.update(part={"source": self.remote.identity, **asdict(opened.version)})
            have = start
            for chunk in opened.chunks():
                have += len(chunk)
                # The announced size may be missing, or wrong.
                self._check_size(have)
                part.write(chunk)
                bar.update(len(chunk))
            part.flush()
            os.fsync(part.fileno())

    def _check_size(self, size: int) -> None:
        if self.max_bytes is None or size <= self.max_bytes:
            return
        # On Windows an open file cannot be removed: it is empty then, and replaced by the next download.
        with suppress(OSError):
            os.truncate(self.part, 0)
            self.part.unlink()
        self.record.update(part=None)
        raise DownloadError(
            f"Expected at most {self.max_bytes} bytes at {self.remote.label}, but there are more. What was downloaded "
            "is removed. Check the address, or use flash.download_data(url, max_bytes=...) and its path."
        )

    def _failure_message(self, error: TransientError, failures: int, have: int) -> str:
        tries = f"{failures} times in a row" if failures > 1 else "once"
        kept = f"{have} bytes are in {self.part}. Call again to resume" if have else "Call again later"
        return (
            f"Cannot download {self.remote.label}: {error} ({tries}). {kept}; for a slow server pass a longer timeout= "
            "or more retries=."
        )

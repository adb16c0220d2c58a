"""Bring a remote file here: resume what is there, retry where that can help, show only whole files."""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from flash.download._disk import digest, disk_errors, put_in_place, size_of
from flash.download._ledger import Ledger
from flash.download._progress import progress_bar
from flash.download._remote import Answer, Remote, StalePartError, TransientError, Version
from flash.errors import ChecksumError, DownloadError

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 60.0


class Transfer:
    """One file on its way, under the lock of its ledger.

    The bytes grow in ``<name>.part``. With them the ledger keeps what the server said about the file, so
    that they are only continued while it is the same one.
    """

    def __init__(
        self, remote: Remote, file: Path, ledger: Ledger, *, timeout: float, retries: int, progress: bool
    ) -> None:
        self.remote = remote
        self.file = file
        self.part = file.with_name(f"{file.name}{ledger.suffix}.part")
        self.ledger = ledger
        self.timeout = timeout
        self.retries = retries
        self.progress = progress

    def run(self, sha256: str | None) -> None:
        """Leave the whole, verified file under its name, or raise and leave what is there to be resumed."""
        self._complete()
        if sha256 is not None and (got := digest(self.part)) != sha256:
            self.part.unlink()
            raise ChecksumError(
                f"{self.remote.label} is not the expected file: expected sha256 {sha256}, got {got}. What "
                "came was removed. Download it again; if it stays so, the file was changed at its source."
            )
        with disk_errors(self.file, lambda: None, "Free some space and call again."):
            put_in_place(self.part, self.file)
        self.ledger.record(part=None, file={"source": self.remote.identity, "size": size_of(self.file)})

    def _complete(self) -> None:
        failures, most = 0, 0
        while True:
            try:
                return self._attempt()
            except TransientError as error:
                have = size_of(self.part)
                # A download of hours may break more often than a request may fail, as long as it gets on.
                failures = 1 if have > most else failures + 1
                most = max(most, have)
                if failures > self.retries:
                    raise DownloadError(self._gave_up(error, failures, have)) from error
                time.sleep(min(max(_FIRST_WAIT * 2 ** (failures - 1), error.wait), _LONGEST_WAIT))

    def _attempt(self) -> None:
        offset, known = self._resume_point()
        if offset and offset == known.size:
            return
        try:
            answer = self.remote.open(offset, known, self.timeout)
        except StalePartError:
            answer = self.remote.open(0, Version(), self.timeout)
        with closing(answer.stream):
            self._write(answer)

    def _resume_point(self) -> tuple[int, Version]:
        part = self.ledger.facts.get("part") or {}
        known = Version(part.get("etag", ""), part.get("modified", ""), part.get("size"))
        have = size_of(self.part)
        too_long = known.size is not None and have > known.size
        if part.get("source") != self.remote.identity or not known.token or too_long:
            return 0, Version()
        return have, known

    def _write(self, answer: Answer) -> None:
        total, start = answer.version.size, answer.start
        bar = progress_bar(self.file.name, total, done=start, shown=self.progress)
        with (
            bar,
            disk_errors(
                self.part,
                lambda: None if total is None else total - size_of(self.part),
                "What came so far is kept; free some space and call again to go on from there.",
            ),
            self.part.open("ab" if start else "wb") as part,
        ):
            if not start:  # between the last old byte and the first new one
                self.ledger.record(part={"source": self.remote.identity, **asdict(answer.version)})
            for chunk in answer.chunks():
                part.write(chunk)
                bar.update(len(chunk))
            part.flush()
            os.fsync(part.fileno())

    def _gave_up(self, error: TransientError, failures: int, have: int) -> str:
        tries = f"{failures} times in a row" if failures > 1 else "once"
        return (
            f"Cannot download {self.remote.label}: {error} ({tries}). {have} bytes are in {self.part}. "
            "Call again to go on from there; for a slow server give a longer timeout= or more retries=."
        )

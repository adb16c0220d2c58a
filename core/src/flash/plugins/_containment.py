"""Run code of a plugin with its output captured."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from flash.plugins._messages import clean

__all__ = ["Printed", "silenced"]


@dataclass
class Printed:
    """The captured output, on one line."""

    text: str = ""


class _Recorder(io.TextIOBase):
    """A text stream that captures what one thread writes until it is stopped.

    Writes of other threads, and writes after it is stopped, such as those of a log handler, go to the original stream.
    """

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, before: Any) -> None:
        self._before = before
        self._thread = threading.get_ident()
        self._recording = True
        self._text = io.StringIO()
        self.buffer = io.BytesIO()

    def write(self, text: str) -> int:
        if self._before is None or (self._recording and threading.get_ident() == self._thread):
            return self._text.write(text)
        return int(self._before.write(text))

    def flush(self) -> None:
        if self._before is not None and not self._recording:
            self._before.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._before.fileno())

    def reconfigure(self, **_: object) -> None:
        """Accept and ignore the arguments of ``io.TextIOWrapper.reconfigure``."""

    def stop(self) -> str:
        """Stop capturing and return the captured text."""
        self._recording = False
        return f"{self._text.getvalue()} {self.buffer.getvalue().decode('utf-8', 'replace')}"


@contextlib.contextmanager
def silenced() -> Iterator[Printed]:
    """Capture standard output and standard error of the code in the context.

    Output of compiled code and subprocesses to the file descriptors is captured too, unless other threads are running,
    which could be writing to them.

    Yields:
        The captured output, complete after the context.

    Example:
        >>> with silenced() as printed:
        ...     print("Welcome to acme 1.0")
        >>> printed.text
        'Welcome to acme 1.0'
    """
    printed = Printed()
    recorders = _Recorder(sys.stdout), _Recorder(sys.stderr)
    with _silenced_descriptors() as below:
        try:
            with contextlib.redirect_stdout(recorders[0]), contextlib.redirect_stderr(recorders[1]):
                yield printed
        finally:
            printed.text = clean(" ".join([*(recorder.stop() for recorder in recorders), below()]))


@contextlib.contextmanager
def _silenced_descriptors() -> Iterator[Callable[[], str]]:
    if threading.active_count() > 1:
        yield lambda: ""
        return
    with contextlib.ExitStack() as stack:
        try:
            kept = stack.enter_context(tempfile.TemporaryFile())
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
            for descriptor in (1, 2):
                before = os.dup(descriptor)
                stack.callback(os.close, before)
                os.dup2(kept.fileno(), descriptor)
                stack.callback(os.dup2, before, descriptor)
        except (OSError, ValueError):  # No descriptors, as in a service, or no temporary file.
            yield lambda: ""
            return

        def read() -> str:
            kept.seek(0)
            return kept.read(10_000).decode("utf-8", "replace")

        yield read

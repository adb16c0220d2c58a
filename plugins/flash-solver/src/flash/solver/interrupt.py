"""Requests to stop, which wait until a step is complete."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["StopRequest", "listening"]

_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)]


class StopRequest:
    """Whether the program was asked to stop, and by which signal; 0 for none."""

    signum: int = 0

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Take note of a signal."""
        self.signum = signum


@contextmanager
def listening() -> Iterator[StopRequest]:
    """Take note of SIGTERM, and of SIGUSR1 and SIGUSR2 where the program has no use for them itself.

    Python lets the main thread alone do that; in another one nothing is heard.
    """
    request = StopRequest()
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for signum in _SIGNALS:
            if signum == signal.SIGTERM or signal.getsignal(signum) == signal.SIG_DFL:
                before[signum] = signal.signal(signum, request)
    try:
        yield request
    finally:
        for signum, handler in before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
